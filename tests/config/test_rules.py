"""Settings that contradict each other, and choices of plugins that make no sense."""

from __future__ import annotations

import pytest
from slime_hookspecs import ConfigError

from slime_core import config


def resolve(line: str) -> config.Config:
    return config.resolve(config.parse(f"--model m {line}".split()), {})


def refusal(line: str) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(line)
    return str(caught.value)


def test_a_run_without_a_model_is_told_how_to_give_one() -> None:
    with pytest.raises(ConfigError, match="no model: give --model DIR"):
        config.resolve(config.parse([]), {})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "--debug-rollout-only --debug-train-only --rollout-replay r",
            "--debug-rollout-only and --debug-train-only exclude each other",
        ),
        ("--debug-train-only", "say where they are with --rollout-replay"),
        ("--rollout-replay r", "--rollout-replay is read by --debug-train-only alone"),
        ("--train-ep 3 --train-dp 2 --train-tp 2", "must divide dp x tp = 2 x 2 = 4"),
        ("--rollout-top-k 0", "--rollout-top-k must be -1 (all) or at least 1, found 0"),
        (
            "--train-updates-per-step 9 --rollout-prompts-per-step 4 "
            "--rollout-samples-per-prompt 2",
            "--train-updates-per-step 9 is more than a step's samples: 4 x 2 = 8",
        ),
        ("--schedule one-step-off --colocate", "take turns on the same GPUs; use --schedule sync"),
        (
            "--schedule one-step-off --debug-rollout-only",
            "--debug-rollout-only starts none; leave one out",
        ),
        ("--schedule async --colocate", "take turns on the same GPUs; use --schedule sync"),
        ("--schedule async --engine-servers 0", "with --engine-servers 0 nothing is generated"),
        (
            "--schedule async --debug-train-only --rollout-replay r",
            "with --debug-train-only nothing is generated",
        ),
        ("--schedule async --rollout-over-sample 2", "--rollout-over-sample 2 starts spare groups"),
        ("--schedule async --mask-stale-tokens", "--max-staleness says how old it may be"),
        ("--max-staleness 3", "--max-staleness 3 is read by --schedule async alone"),
        ("--mask-stale-tokens", "--mask-stale-tokens has nothing to mask"),
        ("--eval-background on --colocate", "take turns on the same GPUs; leave one out"),
        ("--colocate --engine-servers 0", "--engine-servers is 0; leave one out"),
        (
            "--advantage a --use advantage=b",
            "--advantage (command line): advantage is to be a, but --use (command line) says b",
        ),
        ("--loss a --use loss=b", "loss is to be a, but"),
        ("--use loss=a --use loss=b", "loss is to be b, but --use (command line) says a"),
        ("--reward-weight a=1 --reward-weight a=2", "a is to be 2.0, but"),
        ("--use los=a", 'no role is called "los"; did you mean loss?'),
        ("--use reward=a", 'no role is called "reward"'),
        ("--use loss", '--use (command line): expected ROLE=PLUGIN, found "loss"'),
        ("--use =a", "expected ROLE=PLUGIN"),
        ("--reward-weight a", "expected PLUGIN=WEIGHT"),
        ("--reward-weight a=x", 'expected a number as weight, found "a=x"'),
        ("--reward-weight a=inf", "expected a number as weight"),
    ],
)
def test_contradictions_are_refused(line: str, message: str) -> None:
    assert message in refusal(line)


@pytest.mark.parametrize(
    "line",
    [
        "--debug-train-only --rollout-replay r",
        "--debug-rollout-only",
        "--train-ep 4 --train-dp 2 --train-tp 2",
        "--rollout-top-k 1",
        "--train-updates-per-step 8 --rollout-prompts-per-step 4 --rollout-samples-per-prompt 2",
        "--advantage a --use advantage=a",
        "--engine-servers 0",
    ],
)
def test_what_looks_alike_but_fits_together_is_taken(line: str) -> None:
    assert resolve(line)


def test_several_contradictions_are_said_at_once() -> None:
    assert len(refusal("--debug-train-only --rollout-top-k 0").splitlines()) == 2


def test_a_short_form_is_the_same_as_its_long_form() -> None:
    assert resolve("--advantage a --loss b") == resolve("--use advantage=a --use loss=b")
