"""A group under way: which of its samples are done, and what interrupted attempts left of others.

A flight can be stopped at any time and started again, in this step or a later one: what is done
is not done again, and the rest goes on from the exact tokens in its traces.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from slime_hookspecs import Group, Sample, StopReason

from slime_core.rollout.outcomes import Outcome
from slime_core.rollout.times import Times


@final
@dataclass(slots=True, eq=False)
class Place:
    """One sample that a group is asked for.

    Attributes:
        sample: What is given to ``slime_generate``; its trace holds what an interrupted attempt
            left.
        answer: What came back: the sample, or several; empty while generation is not done.
        scored: Whether the answer has its rewards, or its error.
        times: How long all that took.
    """

    sample: Sample
    answer: list[Sample] = field(default_factory=list)
    scored: bool = False
    times: Times = field(default_factory=Times)

    def interrupt(self, answer: list[Sample]) -> None:
        """The attempt was told to stop: keep a finished answer, else what can be continued.

        One aborted sample of several cannot be continued alone, so they begin anew.
        """
        if all(one.error is None and one.stop is not StopReason.ABORTED for one in answer):
            self.answer = answer
        elif answer == [self.sample]:
            self.rewind()
        else:
            old = self.sample
            self.sample = Sample(
                old.index, old.group_index, old.prompt, provenance=dict(old.provenance)
            )

    def rewind(self) -> None:
        """Make the sample ready for another attempt, which continues its trace."""
        self.sample.stop = StopReason.PENDING
        self.sample.error = None

    @property
    def samples(self) -> list[Sample]:
        """The answer, or the sample that has none yet."""
        return self.answer or [self.sample]


@final
@dataclass(slots=True, eq=False)
class Flight:
    """A group and how far each of its samples is.

    Attributes:
        group: Its ``samples`` are those asked for, and all that came back once it has landed.
        places: One for each sample that was asked for, in their order.
        outcome: What became of the group; ``None`` while it is under way.
    """

    group: Group
    places: list[Place]
    outcome: Outcome | None = None

    @classmethod
    def of(cls, group: Group) -> Flight:
        """A group that nothing was done for yet."""
        return cls(group, [Place(sample) for sample in group.samples])

    @classmethod
    def landed(cls, group: Group) -> Flight:
        """A group that is worth training on and was not trained on yet."""
        places = [Place(sample, [sample], scored=True) for sample in group.samples]
        return cls(group, places, Outcome(group, "kept"))

    @property
    def left(self) -> int:
        """Samples that are not done."""
        return sum(not place.scored for place in self.places)

    @property
    def started(self) -> int:
        """Samples that an interrupted attempt left unfinished with tokens of the model."""
        return sum(not p.answer and p.sample.trace.sampled_length > 0 for p in self.places)

    @property
    def sampled_length(self) -> int:
        """Tokens that the model wrote so far."""
        return sum(s.trace.sampled_length for p in self.places for s in p.samples)

    def gather(self) -> None:
        """Make all that came back the group's samples."""
        self.group.samples = [sample for place in self.places for sample in place.answer]
