"""What a TOML file may hold, and what it refuses, naming file and table."""

from __future__ import annotations

from pathlib import Path

import pytest
from slime_hookspecs import ConfigError

from slime_core import config


def refusal(folder: Path, text: str) -> str:
    file = folder / "run.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.parse(["--config", str(file)])
    return str(caught.value).replace(str(folder) + "/", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step = 3", "step (run.toml): is not a setting; did you mean steps?"),
        (
            "[rollout]\nsample_per_prompt = 3",
            "[rollout] sample_per_prompt (run.toml): is not a setting; "
            "did you mean samples_per_prompt?",
        ),
        (
            "[rollout]\nsamples-per-prompt = 3",
            "[rollout] samples-per-prompt (run.toml): is not a setting; "
            "did you mean samples_per_prompt?",
        ),
        (
            "samples_per_prompt = 3",
            "samples_per_prompt (run.toml): is not a setting; "
            "samples_per_prompt belongs to [rollout]",
        ),
        (
            "[rollout]\nsteps = 3",
            "[rollout] steps (run.toml): is not a setting; steps belongs to the top level",
        ),
        ("[rolout]\nx = 1", "rolout (run.toml): is not a setting; did you mean rollout?"),
        (
            "[math_dapo]\ntask = 1",
            "math_dapo (run.toml): is not a setting; options of a plugin go to [plugin.math_dapo]",
        ),
        (
            'plugin = "math_dapo"',
            "plugin (run.toml): expected a table [plugin], found 'math_dapo'; "
            "plugins to load are listed in plugins",
        ),
        ("rollout = 3", "rollout (run.toml): expected a table [rollout], found 3"),
        (
            '[plugin]\nmath_dapo = "x"',
            "[plugin] math_dapo (run.toml): expected a table [plugin.math_dapo], found 'x'",
        ),
        ('steps = "3"', 'steps (run.toml): expected a whole number, found "3"'),
        ("steps = true", "steps (run.toml): expected a whole number, found True"),
        ("steps = 3.5", "steps (run.toml): expected a whole number, found 3.5"),
        ("colocate = 1", "colocate (run.toml): expected true or false, found 1"),
        ('plugins = "a"', 'plugins (run.toml): expected a list of texts, found "a"'),
        ("plugins = [1]", "plugins (run.toml): expected a list of texts, found [1]"),
        ("model = 1", "model (run.toml): expected a path, found 1"),
        (
            "[rollout]\nover_sample = 0.5",
            "[rollout] over_sample (run.toml): expected a number at least 1, found 0.5",
        ),
        (
            "[sglang]\nx = 2026-01-01",
            "[sglang] x (run.toml): expected a text, number, true, false, list or table, "
            "found 2026-01-01",
        ),
        (
            "[plugin.p]\nx = [nan]",
            "[plugin.p] x (run.toml): expected a text, number, true, false, list or table, "
            "found nan",
        ),
        (
            "[sglang]\nlog-level = 1\nlog_level = 2",
            "[sglang] log_level (run.toml): given twice, as log-level and log_level",
        ),
        ("steps = ", "run.toml: Invalid value (at end of document)"),
        ("steps = 1\nsteps = 2", "run.toml: Cannot overwrite a value"),
    ],
)
def test_wrong_files_are_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text).startswith(message)
    assert "\n" not in refusal(tmp_path, text)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"run.toml: .*utf-8"):
        config.parse(["--config", str(file)])


def test_a_whole_number_is_a_number(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('model = "m"\n[rollout]\ntemperature = 1')
    resolved = config.resolve(config.parse(["--config", str(file)]), {})
    assert isinstance(resolved.rollout.temperature, float)
