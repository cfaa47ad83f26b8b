"""Counts what became of every prompt and sample of a step, and says when too much was lost.

``prompts/drawn + prompts/from_buffer`` always equals
``prompts/trained + prompts/kept + sum of prompts/filtered/* + sum of prompts/failed/*``.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, final

from slime_hookspecs import Group, Rollout, RunError, SampleError, TooManyFailures

from slime_core.rollout.drawing import Drawn
from slime_core.rollout.outcomes import TOO_LONG, Outcome

#: A step stops after so many times the groups that it began with.
MAX_ROUNDS: Final = 20
LOG = logging.getLogger("slime.rollout")


@final
@dataclass(frozen=True, slots=True)
class Limits:
    """What a step aims at and how much it may lose.

    Attributes:
        target: Groups to train on.
        spare: Groups started at once, as a multiple of those that are missing.
        samples: Samples a group is asked for.
        failed_fraction: Part of the samples that may fail.
        skipped_fraction: Part of the prompts that may be longer than the context.
        oldest_version: Groups whose tokens are all from older weights are dropped.
    """

    target: int
    spare: float
    samples: int
    failed_fraction: float
    skipped_fraction: float
    oldest_version: int = 0


@final
class Account:
    """One step's books."""

    def __init__(self, step: int, limits: Limits) -> None:
        self._step = step
        self._limits = limits
        self._fates: Counter[str] = Counter(drawn=0, from_buffer=0, trained=0, kept=0)
        self._rejected: Counter[str] = Counter()
        self._errors: Counter[tuple[str, str, str]] = Counter()
        self._examples: dict[tuple[str, str, str], SampleError] = {}
        self._too_long = ""
        self._samples = 0
        self._continued: Counter[str] = Counter(samples=0, tokens=0, kept_tokens=0)
        self.aborted = 0

    @property
    def failed_samples(self) -> int:
        """Samples that failed so far."""
        return self._errors.total()

    def drew(self, drawn: Drawn) -> None:
        """Prompts were drawn."""
        self._fates["drawn"] += drawn.from_source
        self._fates["from_buffer"] += drawn.from_buffer
        self._continued["samples"] += sum(flight.started for flight in drawn.flights)
        self._continued["tokens"] += sum(flight.sampled_length for flight in drawn.flights)

    def carry(self, counts: Mapping[str, int], tokens: int = 0) -> None:
        """Begin with what other books hand over.

        Args:
            counts: Of prompts, by what became of them.
            tokens: That the model wrote already for those that are still under way.
        """
        self._fates.update(counts)
        self._continued["tokens"] += tokens

    def ended(self, outcome: Outcome) -> None:
        """A group ended and was dealt with."""
        self.saw(outcome.group)
        self.dealt_with(outcome)

    def dealt_with(self, outcome: Outcome) -> None:
        """A group that was seen is trained on, or not."""
        fate = "trained" if outcome.fate == "kept" else f"{outcome.fate}/{outcome.reason}"
        self._fates[fate] += 1
        if outcome.fate == "kept":
            self._rejected.update(sample.rejected for sample in outcome.group.scored)
        if outcome.reason == TOO_LONG and not self._too_long:
            tokens = max((len(sample.trace) for sample in outcome.group.samples), default=0)
            self._too_long = f"prompt {outcome.group.prompt.id!r} has {tokens} tokens"

    def saw(self, group: Group) -> None:
        """A group ended: its samples count, and those that failed."""
        self._samples += len(group.samples)
        for sample in group.samples:
            if sample.error is not None:
                key = (sample.error.plugin, sample.error.hook, sample.error.type)
                self._errors[key] += 1
                self._keep_example(key, sample.error)

    def gave_back(self, prompts: int, aborted_samples: int, kept_tokens: int) -> None:
        """Prompts went back to the buffer, and their samples were stopped."""
        self._fates["kept"] += prompts
        self._continued["kept_tokens"] += kept_tokens
        self.aborted += aborted_samples

    @property
    def counts(self) -> dict[str, int]:
        """What became of prompts so far."""
        return dict(self._fates)

    @property
    def tokens_elsewhere(self) -> int:
        """Tokens of groups that ended which earlier steps wrote, less those written for later."""
        return self._continued["tokens"] - self._continued["kept_tokens"]

    def metrics(self) -> dict[str, float]:
        """The books, as ``prompts/...``; what went on from step to step, as ``continued/...``.

        The latter only where anything did, and ``samples/...`` only where a filter rejected any.
        """
        found = {f"prompts/{fate}": float(count) for fate, count in self._fates.items()}
        if any(self._rejected):
            for reason, count in self._rejected.items():
                found[f"samples/rejected/{reason}" if reason else "samples/trained"] = float(count)
        if self._continued.total():
            found |= {f"continued/{name}": float(n) for name, n in self._continued.items()}
        return found

    def check(self, *, final: bool = False) -> None:
        """Stop the run if it lost too much.

        While the step lasts, losses are measured against what it aims at or has done already,
        whichever is more, so that the first failure does not count as all.

        Raises:
            TooManyFailures: more samples failed than allowed.
            RunError: more prompts than allowed are longer than the context.
        """
        planned = 0 if final else self._limits.target
        self._check_failed(max(self._samples, planned * self._limits.samples))
        self._check_skipped(max(self._settled, planned))

    @property
    def exhausted(self) -> bool:
        """Whether so much was tried that no more is to be drawn: nothing may go on for ever."""
        return self._tried >= MAX_ROUNDS * self._limits.target

    def out_of_rounds(self) -> RunError:
        """The error of a step that tried all it may without reaching its target."""
        return RunError(
            f"step {self._step}: {self._tried} prompts were tried and only "
            f"{self._fates['trained']} of {self._limits.target} groups can be trained on "
            f"({self._reasons()}); is a filter too strict, or the task too easy or too hard?"
        )

    @property
    def _tried(self) -> int:
        return self._fates["drawn"] + self._fates["from_buffer"]

    @property
    def _settled(self) -> int:
        return sum(n for fate, n in self._fates.items() if "/" in fate or fate == "trained")

    def _check_failed(self, samples: int) -> None:
        failed = self.failed_samples
        if failed <= self._limits.failed_fraction * samples:
            return
        key, count = self._errors.most_common(1)[0]
        example = self._examples[key]
        raise TooManyFailures(
            f"step {self._step}: {failed} of {samples} samples failed, and at most "
            f"{self._limits.failed_fraction:.0%} may (--max-failed-fraction). Most often, {count} "
            f"times: plugin {example.plugin}, hook {example.hook}: "
            f"{example.type}: {example.message}"
        )

    def _check_skipped(self, prompts: int) -> None:
        skipped = self._fates.get(f"failed/{TOO_LONG}", 0)
        if skipped > self._limits.skipped_fraction * prompts:
            raise RunError(
                f"step {self._step}: {skipped} of {prompts} prompts are as long as the model's "
                f"context or longer, and at most {self._limits.skipped_fraction:.0%} may be "
                f"(--rollout-max-skipped-fraction): {self._too_long}"
            )

    def _keep_example(self, key: tuple[str, str, str], error: SampleError) -> None:
        if key not in self._examples:
            self._examples[key] = error
            LOG.warning("step %d: plugin %s, hook %s: %s: %s", self._step, *key, error.message)

    def _reasons(self) -> str:
        losses = [(f, n) for f, n in self._fates.most_common() if "/" in f]
        return ", ".join(f"{fate} {count}" for fate, count in losses) or "nothing was lost"


def reopened(rollouts: Iterable[Rollout], carried: Mapping[str, int]) -> dict[str, int]:
    """The books of rollouts that nobody trained on, to be carried on by whoever does.

    Args:
        rollouts: Their groups are kept for later.
        carried: Books that none of them has carried yet.
    """
    counts = Counter(carried)
    for rollout in rollouts:
        for name, count in rollout.metrics.items():
            area, _, fate = name.partition("/")
            if area == "prompts":
                counts["kept" if fate == "trained" else fate] += int(count)
    return dict(counts)
