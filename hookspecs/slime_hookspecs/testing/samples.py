"""Samples, groups and runs for checks to hand to a plugin."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from slime_hookspecs.context import RunInfo
from slime_hookspecs.observe import CheckpointEvent, RunEndEvent, TrainStepEvent, WeightsEvent
from slime_hookspecs.records import (
    KEEP,
    Group,
    Prompt,
    Reward,
    Rollout,
    Sample,
    SampleError,
    StopReason,
    Verdict,
)
from slime_hookspecs.trace import Trace

#: Weight version of every token that these samples carry.
WEIGHT_VERSION: Final = 1


def run_info(directory: Path, **changes: Any) -> RunInfo:
    """The facts of a small run."""
    facts: dict[str, Any] = {
        "name": "conformance",
        "directory": directory,
        "model": directory / "model",
        "seed": 0,
        "steps": 2,
        "prompts_per_step": 4,
        "samples_per_prompt": 4,
        "max_response_tokens": 512,
    }
    return RunInfo(**{**facts, **changes})


def prompt(number: int = 0) -> Prompt:
    """A prompt that no data source gave, with a label that is a short text."""
    text = f"{number}+1="
    return Prompt(f"conformance/{number}", [{"role": "user", "content": text}], str(number + 1))


def sample(given: Prompt, response: str, index: int = 0, group_index: int = 0) -> Sample:
    """A finished sample; its trace has one token a character, 256 at most."""
    trace = Trace()
    trace.append_prompt([1, 2, 3])
    tokens = [4 + ord(character) % 96 for character in response[:256]] + [0]
    trace.append_sampled(tokens, [-0.5] * len(tokens), WEIGHT_VERSION)
    return Sample(
        index, group_index, copy.deepcopy(given), trace, StopReason.STOP, response=response
    )


def group(given: Prompt, responses: Sequence[str], index: int = 0) -> Group:
    """Finished samples of one prompt, not scored."""
    made = [sample(given, text, 100 * index + i, index) for i, text in enumerate(responses)]
    return Group(index, made[0].prompt if made else given, made)


def scored_group(given: Prompt, rewards: Sequence[float | None], index: int = 0) -> Group:
    """A group with these rewards; ``None`` is a sample that failed."""
    made = group(given, [f"answer {i}" for i in range(len(rewards))], index)
    for one, reward in zip(made.samples, rewards, strict=True):
        if reward is None:
            one.error = SampleError("conformance", "slime_reward", "ValueError", "made to fail")
            one.stop = StopReason.FAILED
        else:
            one.reward = reward
            one.rewards = {"conformance": Reward(reward)}
    return made


def random_groups(given: Prompt, seed: int = 0) -> list[Group]:
    """Groups of all the shapes that a filter or an advantage must take."""
    rng = random.Random(seed)
    shapes: list[list[float | None]] = [
        [],
        [None],
        [None, None, None],
        [1.0],
        [0.0] * 4,
        [1.0] * 4,
        [0.0, 1.0, 0.0, 1.0],
        [None, 0.5, -1.0],
        [1e6, -1e6, 0.0],
        [float(i) for i in range(32)],
    ]
    for _ in range(20):
        pool = [0.0, 1.0, -1.0, rng.random(), rng.uniform(-5, 5), None]
        shapes.append(rng.choices(pool, k=rng.randint(1, 9)))
    return [scored_group(given, shape, index) for index, shape in enumerate(shapes)]


def judged_groups(given: Prompt) -> list[tuple[Group, Verdict]]:
    """Groups as observers are told of them: one sample or more was scored."""
    shapes: list[list[float | None]] = [[1.0], [0.0, 1.0, 0.0, 1.0], [None, 0.5, -1.0], [0.0] * 9]
    verdicts = (KEEP, KEEP, KEEP, Verdict(keep=False, reason="equal_rewards"))
    groups = (scored_group(given, shape, index) for index, shape in enumerate(shapes))
    return list(zip(groups, verdicts, strict=True))


def rollouts(given: Prompt) -> list[Rollout]:
    """Rollouts of a first, a middle and a last step; the data of the last had come to its end."""
    kept = [group for group, verdict in judged_groups(given) if verdict.keep]
    for one in (one for group in kept for one in group.scored):
        one.advantage = (one.reward or 0.0) - 0.5
    metrics = {"reward/mean": 0.5, "prompts/trained": float(len(kept))}
    return [
        Rollout(0, kept, WEIGHT_VERSION, dict(metrics)),
        Rollout(1, kept[:1], WEIGHT_VERSION + 1),
        Rollout(2, [], WEIGHT_VERSION + 2, {"prompts/trained": 0.0}),
    ]


def driver_events(directory: Path) -> list[tuple[str, Any]]:
    """What a driver tells from a run's first event to its last, by hook, failed runs included."""
    checkpoint = directory / "checkpoints" / "step_000001"
    checkpoint.mkdir(parents=True, exist_ok=True)
    return [
        ("slime_on_weights", WeightsEvent(0, 1, {})),
        ("slime_on_train_step", TrainStepEvent(0, {"train/loss": 0.25, "train/kl": float("nan")})),
        ("slime_on_weights", WeightsEvent(1, 2, {"sync/bytes": 1e9})),
        ("slime_on_checkpoint", CheckpointEvent(1, checkpoint)),
        ("slime_on_train_step", TrainStepEvent(1, {})),
        ("slime_on_weights", WeightsEvent(2, 3, {"sync/bytes": 1e9})),
        ("slime_on_run_end", RunEndEvent("success", 2, {"reward/mean": 0.5, "best": None})),
        ("slime_on_run_end", RunEndEvent("error", 0, {})),
        ("slime_on_run_end", RunEndEvent("interrupted", 1, {"error": "stopped by the user"})),
    ]
