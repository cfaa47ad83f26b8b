"""What the command line means, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from slime_hookspecs import ConfigError

from slime_core import config
from slime_core.config import Raw
from slime_core.config.settings import settings


def parse(line: str) -> Raw:
    return config.parse(line.split())


def refusal(line: str) -> str:
    with pytest.raises(ConfigError) as caught:
        config.resolve(parse(f"--model m {line}"), {})
    return str(caught.value)


def test_each_kind_of_option_lands_in_its_table() -> None:
    raw = parse(
        "--plugin math_dapo --model DIR --rollout-samples-per-prompt 8 --math-dapo.task addition "
        "--sglang-mem-fraction-static 0.5 --router-policy random --megatron-lr 1e-4"
    )
    assert raw.values == {
        "plugins": ["math_dapo"],
        "model": Path("DIR"),
        "rollout": {"samples_per_prompt": 8},
        "plugin": {"math_dapo": {"task": "addition"}},
        "sglang": {"mem_fraction_static": "0.5"},
        "router": {"policy": "random"},
        "megatron": {"lr": "1e-4"},
    }
    assert set(raw.sources.values()) == {"command line"}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("--sglang-x", True),
        ("--no-sglang-x", False),
        ("--sglang-x --steps 3", True),
        ("--sglang-x v", "v"),
        ("--sglang-x=v", "v"),
        ("--sglang-x=--v=w", "--v=w"),
        ("--sglang-x=", ""),
        ("--sglang-x -1", "-1"),
        ("--sglang-x -.5e3", "-.5e3"),
        ("--sglang-x a b --steps 3", ["a", "b"]),
        ("--sglang-x a --sglang-x b", ["a", "b"]),
        ("--sglang-x a 1 --sglang-x b 2", [["a", "1"], ["b", "2"]]),
    ],
)
def test_pass_through_options_keep_what_was_typed(line: str, value: object) -> None:
    assert parse(line).values["sglang"] == {"x": value}


def test_a_plugin_option_may_be_spelled_with_dashes_or_underscores() -> None:
    values = parse("--math-dapo.eval-fraction 0.1 --math_dapo.eval_k 2").values
    assert values["plugin"] == {"math_dapo": {"eval_fraction": "0.1", "eval_k": "2"}}


def test_switches_have_a_negative_form() -> None:
    raw = parse("--model m --colocate --no-rollout-save --no-eval-at-start")
    resolved = config.resolve(raw, {})
    assert resolved.colocate
    assert not resolved.rollout.save
    assert not resolved.eval.at_start
    assert resolved.eval.at_end


def test_lists_are_made_by_repeating_an_option() -> None:
    raw = parse("--plugin a --plugin b --rollout-stop x --rollout-stop y")
    assert raw.plugins == ["a", "b"]
    assert raw.values["rollout"] == {"stop": ["x", "y"]}


def test_the_last_of_repeated_single_values_counts() -> None:
    assert parse("--steps 3 --steps 4").values == {"steps": 4}


def test_run_control_is_not_part_of_the_settings() -> None:
    raw = parse("--dry-run --steps 2")
    assert raw.dry_run
    assert raw.values == {"steps": 2}


def test_no_two_settings_share_a_flag() -> None:
    flags = [s.flag for s in settings().values()]
    assert len(flags) == len(set(flags))


def test_every_setting_has_a_help_that_says_something() -> None:
    assert all(len(s.help) > 8 for s in settings().values())


def test_paths_do_not_depend_on_the_folder_that_a_later_resume_is_typed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert config.resolve(parse("--model m"), {}).model == tmp_path / "m"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "--rolout-top-p 1",
            "command line: --rolout-top-p is not an option; did you mean --rollout-top-p?",
        ),
        ("--sglan-tp 2", "command line: --sglan-tp is not an option; did you mean --sglang-tp?"),
        ("--zzz", "command line: --zzz is not an option"),
        ("-x", "command line: -x is not an option"),
        ("--step 3", "command line: --step is not an option; did you mean --steps?"),
        ("--steps=3=4", '--steps (command line): expected a whole number, found "3=4"'),
        ("--steps", "command line: --steps: expected one argument"),
        ("--steps x", '--steps (command line): expected a whole number, found "x"'),
        ("--steps 1.5", '--steps (command line): expected a whole number, found "1.5"'),
        ("--steps 0", "--steps (command line): expected a whole number at least 1, found 0"),
        ("--steps=", "--steps (command line): is empty; give a value, or leave it out"),
        ("--plugin=", "--plugin (command line): is empty; give a value, or leave it out"),
        ("--config=", "--config (command line): is empty"),
        (
            "--rollout-top-p 2",
            "--rollout-top-p (command line): expected a number above 0 and at most 1, found 2.0",
        ),
        (
            "--rollout-temperature nan",
            "--rollout-temperature (command line): expected a number at least 0, found nan",
        ),
        (
            "--rollout-generate-timeout-s inf",
            "--rollout-generate-timeout-s (command line): expected a number above 0, found inf",
        ),
        (
            "--train-dtype bfloat",
            "--train-dtype (command line): expected one of auto, float32, bfloat16, "
            'found "bfloat"; did you mean bfloat16?',
        ),
        (
            "--rollout.top_p 1",
            "command line: --rollout.top_p is not an option; did you mean --rollout-top-p?",
        ),
        ("--sglang.x 1", "command line: --sglang.x is not an option; did you mean --sglang-x?"),
        ("--no-sglang-x v", "command line: --no-sglang-x takes no value, found v"),
        (
            "--colocate=true",
            "command line: --colocate/--no-colocate: takes no value, found 'true'",
        ),
        (
            "--rollout-top-p 0",
            "--rollout-top-p (command line): expected a number above 0 and at most 1, found 0.0",
        ),
        (
            "--eval-no-at-start",
            "command line: --eval-no-at-start is not an option; did you mean --no-eval-at-start?",
        ),
        (
            "--no-sglan-x",
            "command line: --no-sglan-x is not an option; did you mean --no-sglang-x?",
        ),
        (
            "--no-steps 3",
            "command line: --no-steps is not an option; --steps takes a value and has no negative",
        ),
        ("--no-zzz", "command line: --no-zzz is not an option"),
        ("hello", 'command line: "hello" belongs to no option'),
        ("docto", 'command line: "docto" belongs to no option; did you mean doctor?'),
        ("--config a.toml --resume r", "--resume and --config (command line)"),
        ("--resume r --run-dir d", "--resume and --run-dir (command line)"),
        ("--config nowhere.toml", "nowhere.toml: cannot be read: No such file or directory"),
    ],
)
def test_wrong_command_lines_are_refused_in_one_line(line: str, message: str) -> None:
    assert refusal(line).startswith(message)
    assert "\n" not in refusal(line)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--eval-no-at-start", "--no-eval-at-start"),
        ("--eval-at-no-start", "--no-eval-at-start"),
        ("--no-eval-at-strt", "--no-eval-at-start"),
        ("--noeval-at-start", "--no-eval-at-start"),
        ("--disable-eval-at-start", "--no-eval-at-start"),
        ("--no-at-start", "--no-eval-at-start"),
        ("--rollout-no-save", "--no-rollout-save"),
        ("--debug-no-rollout-only", "--no-debug-rollout-only"),
        ("--observe-no-progress", "--no-observe-progress"),
        ("--without-colocate", "--no-colocate"),
        ("--not-colocat", "--no-colocate"),
    ],
)
def test_who_says_no_is_shown_the_form_that_says_no(given: str, meant: str) -> None:
    assert refusal(given) == f"command line: {given} is not an option; did you mean {meant}?"
    parse(meant)


def test_every_switch_is_found_wherever_the_no_stands() -> None:
    switches = [s.flag[2:].split("-") for s in settings().values() if s.type is bool]
    for words in switches:
        for place in range(1, len(words)):
            moved = "-".join([*words[:place], "no", *words[place:]])
            meant = f"--no-{'-'.join(words)}"
            assert refusal(f"--{moved}").endswith(f"; did you mean {meant}?")


@pytest.mark.parametrize("value", ["true", "false", "off", "No"])
def test_the_value_of_a_switch_is_refused_with_the_two_forms(value: str) -> None:
    assert refusal(f"--eval-at-start {value}") == (
        f'command line: "{value}" belongs to no option; '
        "a switch is --NAME or --no-NAME, without a value"
    )


@pytest.mark.parametrize("table", ["sglang", "router", "megatron"])
def test_the_value_of_a_pass_through_option_never_swallows_the_next_option(table: str) -> None:
    assert parse(f"--{table}-x v --steps 3").values == {table: {"x": "v"}, "steps": 3}


def test_help_is_asked_for_even_beside_mistakes() -> None:
    raw = parse("--steps x --nonsense --plugin math_dapo --help")
    assert raw.help
    assert raw.plugins == ["math_dapo"]


@pytest.mark.parametrize("over", [0.99, 0])
def test_over_sampling_starts_at_one(over: float) -> None:
    assert "at least 1" in refusal(f"--rollout-over-sample {over}")


@pytest.mark.parametrize(
    "flag", ["--max-failed-fraction", "--rollout-max-skipped-fraction", "--train-lr-min-ratio"]
)
@pytest.mark.parametrize("value", [-0.01, 1.01])
def test_fractions_lie_between_zero_and_one(flag: str, value: float) -> None:
    assert "expected a number at least 0 and at most 1" in refusal(f"{flag}={value}")


@pytest.mark.parametrize(
    "flag",
    [
        *("--rollout-prompts-per-step", "--rollout-samples-per-prompt", "--engine-tp"),
        *("--rollout-max-response-tokens", "--train-tp", "--train-pp", "--train-dp", "--train-ep"),
        *("--train-micro-batch-tokens", "--weights-bucket-mb", "--checkpoint-keep", "--ray-cpus"),
    ],
)
def test_sizes_are_positive(flag: str) -> None:
    assert refusal(f"{flag} 0") == (
        f"{flag} (command line): expected a whole number at least 1, found 0"
    )
