"""What the page of records says of plugin options is what a run does with them."""

from __future__ import annotations

import dataclasses
import re
import shlex
import tomllib
import types
from pathlib import Path
from typing import Any, Literal

import pytest
from slime_hookspecs import ConfigError, hookimpl
from slime_hookspecs.docs_records import OPTION_TYPES

from slime_core import config
from slime_core.plugins import LoadedPlugin, build_options, load, with_environment

PAGE = Path(__file__).parents[2] / "docs" / "records.md"


@dataclasses.dataclass(frozen=True)
class Inner:
    depth: int = 0


#: How Python writes the types of the page that are no Python there.
MEANT = {"dataclass": Inner}

#: What each type's value is, once it is read.
READ = {
    "bool": True,
    "int": 3,
    "float": 1e-3,
    "str": "a text",
    "Literal['easy', 'hard']": "easy",
    "Path": Path("data/train.jsonl"),
    "int | None": 3,
    "list[str]": ["a", "b"],
    "dict[str, float]": {"a": 1.0},
    "dataclass": Inner(1),
}


def plugin(written: str) -> LoadedPlugin:
    """A plugin with one option of this type."""
    names = {"Literal": Literal, "Path": Path, "Any": Any}
    kind = MEANT.get(written) or eval(written, names)
    made = dataclasses.field(default=None, metadata={"help": "an option"})
    options = dataclasses.make_dataclass("Options", [("option", kind, made)], frozen=True)

    @hookimpl
    def slime_options() -> type:
        return options

    module = types.ModuleType("my_task")
    vars(module)["slime_options"] = slime_options
    (found,) = load(["math_dapo"])
    entry = dataclasses.replace(found.plugin, name="my_task")
    return dataclasses.replace(found, plugin=entry, object=module, answers={})


def built(loaded: LoadedPlugin, line: list[str], environ: dict[str, str] | None = None) -> Any:
    """The option as a run has it."""
    raw = with_environment(config.parse([*line, "--model", "m"]), [loaded], environ or {})
    return build_options(loaded, config.resolve(raw, {}).plugin["my_task"]).option


def test_the_page_lists_these_types() -> None:
    section = PAGE.read_text("utf-8").partition("## Plugin options")[2]
    told = [
        tuple(cell.strip().strip("`").replace("\\|", "|") for cell in row)
        for row in re.findall(r"^\| (.*?) (?<!\\)\| (.*?) \| (.*?) \|$", section, re.M)
    ]
    assert [(kind, toml, line or "") for kind, toml, line in OPTION_TYPES] == told[2:12]


@pytest.mark.parametrize(("written", "toml", "line"), OPTION_TYPES)
def test_an_option_is_read_from_toml_from_its_flag_and_from_its_variable(
    written: str, toml: str, line: str | None, tmp_path: Path
) -> None:
    loaded, right = plugin(written), READ[written]
    file = tmp_path / "run.toml"
    file.write_text(f"[plugin.my_task]\noption = {toml}\n")
    assert built(loaded, ["--config", str(file)]) == right
    flag = ["--my-task.option", *shlex.split(line or "x")]
    if line is None:
        with pytest.raises(ConfigError, match=r"is 'x'\n  expected"):
            built(loaded, flag)
    elif isinstance(right, list):
        assert built(loaded, [*flag, "--my-task.option", "b"]) == right
    else:
        assert built(loaded, flag) == right
    value = tomllib.loads(f"x = {toml}")["x"]
    text = value if isinstance(value, str) else str(value).replace("'", '"')
    text = text.lower() if isinstance(value, bool) else text
    assert built(loaded, [], {"SLIME_MY_TASK_OPTION": text}) == right


def test_every_type_of_the_page_is_tried() -> None:
    assert list(READ) == [written for written, _, _ in OPTION_TYPES]
