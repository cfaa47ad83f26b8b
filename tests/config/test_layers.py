"""Which source wins, and how a configuration is saved and read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slime_hookspecs import ConfigError

from slime_core import config
from slime_core.config import Config, Sourced
from slime_core.config.settings import Setting, settings

DEFAULTS: dict[str, Any] = {
    "steps": 5,
    "rollout": {"samples_per_prompt": 4, "top_p": 0.5},
    "plugin": {"policy_loss": {"clip_high": 0.28}},
}
FILE = """
plugins = ["math_dapo"]
model = "m"
[rollout]
top_p = 0.6
temperature = 0.6
[plugin.math_dapo]
task = "addition"
[sglang]
mem-fraction-static = 0.5
log_level = "error"
"""


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    file = tmp_path / "run.toml"
    file.write_text(FILE)
    return file


def test_core_defaults_yield_to_plugins_and_those_to_the_file_and_that_to_the_command_line(
    toml: Path,
) -> None:
    raw = config.parse(["--config", str(toml), "--rollout-temperature", "0.7"])
    resolved = config.resolve(raw, DEFAULTS)
    assert raw.plugins == ["math_dapo"]
    assert resolved.seed == Config().seed
    assert resolved.steps == 5
    assert resolved.rollout.samples_per_prompt == 4
    assert resolved.rollout.top_p == 0.6
    assert resolved.rollout.temperature == 0.7
    assert resolved.plugin == {
        "policy_loss": {"clip_high": 0.28},
        "math_dapo": {"task": "addition"},
    }
    assert resolved.sglang == {"mem_fraction_static": 0.5, "log_level": "error"}


def test_provenance_names_the_source_of_whatever_is_not_a_core_default(toml: Path) -> None:
    raw = config.parse(["--config", str(toml), "--rollout-temperature", "0.7"])
    found = config.provenance(raw, DEFAULTS)
    assert found[("steps",)] == Sourced(5, "plugin default")
    assert found[("rollout", "top_p")] == Sourced(0.6, str(toml))
    assert found[("rollout", "temperature")] == Sourced(0.7, "command line")
    assert found[("plugin", "math_dapo", "task")] == Sourced("addition", str(toml))
    assert ("seed",) not in found


def test_the_command_line_replaces_a_list_of_the_file(toml: Path) -> None:
    raw = config.parse(["--config", str(toml), "--plugin", "sft"])
    assert raw.plugins == ["sft"]


def test_roles_and_reward_weights_are_replaced_one_by_one(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('model = "m"\nuse = ["loss=a", "advantage=b"]\nreward_weight = ["x=1", "y=2"]')
    raw = config.parse(["--config", str(file), "--loss", "c", "--reward-weight", "y=0.5"])
    resolved = config.resolve(raw, {"use": ["generate=g", "loss=d"]})
    assert resolved.use == ["advantage=b", "generate=g", "loss=c"]
    assert resolved.reward_weight == ["x=1.0", "y=0.5"]
    assert config.provenance(raw, {})[("use", "loss")] == Sourced("c", "command line")


def test_plugins_that_fill_a_role_are_among_those_that_the_user_names() -> None:
    raw = config.parse(["--plugin", "a", "--use", "loss=b", "--advantage", "a"])
    assert config.named(raw) == ["a", "b"]


def test_a_plugin_default_of_the_wrong_type_is_refused_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"\[rollout\] top_p \(plugin default\): expected a num"):
        config.resolve(config.parse(["--model", "m"]), {"rollout": {"top_p": "high"}})


def test_plugin_defaults_cannot_load_more_plugins() -> None:
    with pytest.raises(ConfigError, match="defaults cannot load more plugins"):
        config.resolve(config.parse(["--model", "m"]), {"plugins": ["other"]})


def resumed(saved: Config, run: Path, *arguments: str) -> Config:
    run.mkdir(exist_ok=True)
    file = run / "config.json"
    file.write_text(json.dumps(config.to_dict(saved)))
    raw = config.resume(config.parse(["--resume", str(run), *arguments]), file)
    return config.resolve(raw, DEFAULTS)


def test_a_resumed_run_has_its_saved_settings_with_the_command_line_on_top(tmp_path: Path) -> None:
    saved = config.resolve(config.parse(["--model", "m", "--steps", "9", "--seed", "3"]), {})
    again = resumed(saved, tmp_path / "run", "--seed", "4")
    assert (again.steps, again.seed, again.rollout.samples_per_prompt) == (9, 4, 8)


def test_a_resumed_run_takes_nothing_from_what_plugins_want_by_now(tmp_path: Path) -> None:
    saved = config.resolve(config.parse(["--model", "m"]), {})
    assert resumed(saved, tmp_path / "run").plugin == {}


def test_secrets_can_be_left_out_of_what_is_written() -> None:
    whole = config.from_dict({"plugin": {"p": {"key": "x", "size": 1}}})
    written = config.to_dict(whole, {("plugin", "p", "key")})
    assert written["plugin"] == {"p": {"size": 1}}


def test_a_resumed_run_stays_in_its_folder_even_when_that_was_moved(tmp_path: Path) -> None:
    saved = config.resolve(config.parse(["--model", "m", "--run-dir", "elsewhere"]), {})
    assert resumed(saved, tmp_path / "moved").run_dir == tmp_path / "moved"


def test_a_resumed_run_keeps_its_plugins(tmp_path: Path) -> None:
    saved = config.resolve(config.parse(["--model", "m", "--plugin", "math_dapo"]), {})
    assert resumed(saved, tmp_path / "run").plugins == ["math_dapo"]


def test_unset_settings_written_as_null_are_unset_when_read() -> None:
    assert config.from_dict({"model": None, "rollout": {"replay": None}}) == Config()


def test_a_saved_configuration_with_an_unknown_key_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\[rollout\] topp \(saved configuration\)"):
        config.from_dict({"rollout": {"topp": 1}})


def _values(setting: Setting) -> st.SearchStrategy[Any]:
    text = st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=8)
    if setting.choices:
        return st.sampled_from(setting.choices)
    if setting.type is bool:
        return st.booleans()
    if setting.is_list:
        return st.lists(text, max_size=3)
    if setting.type in (int, int | None):
        return st.integers(max(int(setting.at_least or 0), 1), int(setting.at_most or 10**6))
    if setting.type is float:
        low = 0.5 if setting.at_least is None else setting.at_least
        return st.floats(low, 1.0 if setting.at_most is None else setting.at_most)
    if setting.type == Path | None:
        return text.map(lambda name: f"/{name}")
    return text


def _tree(flat: dict[tuple[str, ...], Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        table = tree.setdefault(key[0], {}) if len(key) > 1 else tree
        table[key[-1]] = value
    return tree


_RAW = st.dictionaries(
    st.from_regex(r"[a-z]{1,5}", fullmatch=True),
    st.one_of(st.booleans(), st.integers(), st.text(), st.lists(st.text(), max_size=2)),
    max_size=3,
)


@given(
    st.fixed_dictionaries({}, optional={k: _values(s) for k, s in settings().items()}),
    _RAW,
    _RAW,
)
def test_any_configuration_survives_json(
    flat: dict[tuple[str, ...], Any], sglang: dict[str, Any], options: dict[str, Any]
) -> None:
    first = config.from_dict({**_tree(flat), "sglang": sglang, "plugin": {"p": options}})
    assert config.from_dict(json.loads(json.dumps(config.to_dict(first)))) == first
