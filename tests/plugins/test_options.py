"""A plugin's options are its dataclass; what does not fit names plugin, option, value and type."""

from __future__ import annotations

from typing import Any

import pytest
from slime_hookspecs import ConfigError, PluginError

from slime_core.config.schema import Config
from slime_core.plugins import bind, build_options, load, options_type

OPTIONS = """
from __future__ import annotations
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from slime_hookspecs import hookimpl

@dataclass(frozen=True)
class Inner:
    depth: int = 1

@dataclass(frozen=True)
class Options:
    data: Path | None = None
    scale: float = 1.0
    strict: bool = False
    mode: Literal["fast", "exact"] = "fast"
    levels: list[int] = field(default_factory=list)
    inner: Inner = Inner()
    table: dict[str, int] | None = None
    key: str = field(default="", metadata={"secret": True})

    def __post_init__(self) -> None:
        if self.scale < 0:
            raise ValueError(f"scale is {self.scale}, below 0")

@hookimpl
def slime_options() -> type:
    return Options
"""


@pytest.fixture
def task(site: Any) -> Any:
    site.install(
        "slime-plugin-task", plugins={"my_task": "task_module"}, files={"task_module.py": OPTIONS}
    )
    return load(["my_task"])[0]


def test_the_options_type_is_the_plugins_dataclass(task: Any, site: Any) -> None:
    site.plugin("bare", "@hookimpl\ndef slime_reward(): return 1.0")
    assert options_type(task) is task.object.Options
    assert options_type(load(["bare"])[0]) is None


def test_text_from_the_command_line_becomes_the_fields_type(task: Any) -> None:
    table = {"data": "a/b", "scale": "2.5", "strict": "true", "mode": "exact", "levels": ["1", 2]}
    module = task.object
    assert build_options(task, {**table, "inner": {"depth": 3}}) == module.Options(
        data=module.Path("a/b"),
        scale=2.5,
        strict=True,
        mode="exact",
        levels=[1, 2],
        inner=module.Inner(3),
    )


def test_a_table_on_the_command_line_is_json(task: Any) -> None:
    table = {"inner": '{"depth": 3}', "table": '{"a": 1, "b": 2}'}
    options: Any = build_options(task, table)
    assert options.inner == task.object.Inner(3)
    assert options.table == {"a": 1, "b": 2}


@pytest.mark.parametrize("text", ["a=1", "{'a': 1}", "[1]", '{"a": "x"}'])
def test_a_table_that_is_none_is_refused_with_how_one_is_written(task: Any, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_options(task, {"table": text})
    assert "option 'table' of plugin my_task" in str(caught.value)
    assert "--my-task.table '{\"name\": value}'" in str(caught.value)


def test_without_values_the_options_are_the_defaults(task: Any) -> None:
    assert build_options(task, {}) == task.object.Options()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"scale": "much"},
            "option 'scale' of plugin my_task (slime-plugin-task 1.0) is 'much'\n"
            "  expected float (Expected `float`, got `str`)\n"
            "  in TOML: [plugin.my_task] scale = ...; on the command line: --my-task.scale",
        ),
        (
            {"mode": "slow"},
            "option 'mode' of plugin my_task (slime-plugin-task 1.0) is 'slow'\n"
            "  expected Literal['fast', 'exact'] (Invalid enum value 'slow')\n"
            "  in TOML: [plugin.my_task] mode = ...; on the command line: --my-task.mode",
        ),
        (
            {"scal": 1},
            "plugin my_task (slime-plugin-task 1.0) has no option 'scal'; did you mean 'scale'?\n"
            "  its options: data, inner, key, levels, mode, scale, strict, table",
        ),
        (
            {"no_strict": True},
            "plugin my_task (slime-plugin-task 1.0) has no option 'no_strict'; "
            "did you mean --no-my-task.strict, in TOML strict = false?\n"
            "  its options: data, inner, key, levels, mode, scale, strict, table",
        ),
        (
            {"inner": {"dept": 1}},
            "plugin my_task (slime-plugin-task 1.0) has no option 'inner.dept'; "
            "did you mean 'depth'?\n  known there: depth",
        ),
        (
            {"scale": -1},
            "options of plugin my_task (slime-plugin-task 1.0): scale is -1.0, below 0",
        ),
    ],
)
def test_what_does_not_fit_is_named(task: Any, table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_options(task, table)
    assert str(caught.value) == message


def test_a_secret_is_shown_by_no_message(task: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        build_options(task, {"key": ["hush", 1]})
    assert "hush" not in str(caught.value)
    assert "is a secret" in str(caught.value)


def test_a_table_for_a_plugin_that_is_not_part_of_the_run_is_an_error(task: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        bind(Config(plugins=["my_task"], plugin={"my-task": {}}), [task])
    assert str(caught.value) == (
        "[plugin.my-task]: this run has no plugin 'my-task'; did you mean 'my_task'?\n"
        "  plugins of this run: broadcast, grpo, my_task, policy_loss, single_turn; "
        "to add it: --plugin my-task"
    )


def test_options_for_a_plugin_without_any_are_an_error(site: Any) -> None:
    site.plugin("bare", "@hookimpl\ndef slime_reward(): return 1.0")
    with pytest.raises(ConfigError, match=r"bare .* has no option 'x'\n  its options: none"):
        build_options(load(["bare"])[0], {"x": 1})


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("return 3", "it must return a dataclass, the class itself"),
        ("raise OSError('disk')", "it raised OSError: disk"),
        ("return int", "it must return a dataclass, the class itself"),
        (
            "return dataclasses.make_dataclass('O', [('size', int)])",
            "the field has no default, and every option needs one",
        ),
        (
            "I = dataclasses.make_dataclass('I', [('k', str, SECRET)])\n"
            "    return dataclasses.make_dataclass('O', [('i', list[I], D)])",
            "a secret must be a field of the options class itself",
        ),
        (
            "return dataclasses.make_dataclass('O', [('size', 'Nowhere', D)])",
            "its annotations cannot be read: name 'Nowhere' is not defined; "
            "import their types at module level",
        ),
    ],
)
def test_an_options_hook_that_answers_wrongly_is_refused(site: Any, body: str, wrong: str) -> None:
    head = (
        "import dataclasses\nSECRET = dataclasses.field(default='', metadata={'secret': True})\n"
        "D = dataclasses.field(default=None)\n"
    )
    site.plugin("bad", f"{head}@hookimpl\ndef slime_options():\n    {body}\n")
    with pytest.raises(PluginError) as caught:
        options_type(load(["bad"])[0])
    (
        first,
        *_,
    ) = str(caught.value).split("\n")
    assert first == "plugin bad (slime-plugin-bad 1.0), hook slime_options"
    assert wrong in str(caught.value)


def test_a_field_type_that_no_configuration_can_give_blames_the_author(site: Any) -> None:
    site.plugin(
        "odd",
        """
        import dataclasses, threading
        Odd = dataclasses.make_dataclass("Odd", [("lock", threading.Thread, None)])
        @hookimpl
        def slime_options(): return Odd
        """,
    )
    with pytest.raises((PluginError, ConfigError), match="option"):
        build_options(load(["odd"])[0], {"lock": "x"})
