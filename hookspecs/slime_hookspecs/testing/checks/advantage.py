"""Advantage: one finite number for each scored sample, whatever the order of the group."""

from __future__ import annotations

import itertools
import math
import random
from numbers import Real
from typing import Any, Final

from slime_hookspecs import promises
from slime_hookspecs.records import Group
from slime_hookspecs.testing import samples
from slime_hookspecs.testing.checks import CheckFailed, check
from slime_hookspecs.testing.subject import Subject

HOOKS: Final = ("slime_advantage",)

#: Advantages below this are rounding.
ROUNDING: Final = 1e-6


@check("advantage.one_per_scored_sample", "advantage", hooks=HOOKS)
def one_per_scored_sample(subject: Subject) -> None:
    """Groups of every size get one advantage for each scored sample, of one sample and of none."""
    for group in _groups(subject):
        try:
            answer = list(subject.call("slime_advantage", group, subject.context()))
        except Exception as error:
            what = subject.told(error)
            raise CheckFailed(f"it raised {what}\n  on rewards {_rewards(group)}") from error
        if len(answer) != len(group.scored):
            raise CheckFailed(
                f"{len(group.scored)} scored samples got {len(answer)} advantages; give one for "
                f"each of group.scored\n  on rewards {_rewards(group)}"
            )


@check("advantage.finite", "advantage", hooks=HOOKS)
def finite(subject: Subject) -> None:
    """Every advantage is a finite number, also where all rewards are equal."""
    for group, values in _answers(subject):
        for value in values:
            if not isinstance(value, Real) or not math.isfinite(value):
                raise CheckFailed(f"an advantage is {value!r} on rewards {_rewards(group)}")


@check("advantage.order_independent", "advantage", hooks=HOOKS)
def order_independent(subject: Subject) -> None:
    """Samples in another order get the same advantages, in that order."""
    for group, values in _answers(subject):
        straight = dict(zip(map(id, group.scored), values, strict=True))
        shuffled = list(group.samples)
        random.Random(group.index).shuffle(shuffled)
        other = Group(group.index, group.prompt, shuffled)
        for one, value in zip(other.scored, _values(subject, other) or (), strict=False):
            first = straight[id(one)]
            if _comparable(first, value) and not _close(first, value):
                raise CheckFailed(
                    f"a sample of reward {one.reward} gets {first}, and {value} in another order"
                )


@check("advantage.no_mutation", "advantage", hooks=HOOKS)
def no_mutation(subject: Subject) -> None:
    """The group and its samples stay as they were; the core stores the answer."""
    for group in _groups(subject):
        members, before = list(group.samples), list(map(promises.snapshot, group.samples))
        _values(subject, group)
        if wrong := promises.mutated_group(members, before, group):
            raise CheckFailed(wrong)


@check(
    "advantage.zero_on_equal_rewards",
    "advantage",
    hooks=HOOKS,
    capability="zero_on_equal_rewards",
)
def zero_on_equal_rewards(subject: Subject) -> None:
    """Groups of equal rewards teach nothing: of one sample, of many, of rewards like 0.1."""
    for place, (reward, count) in enumerate(itertools.product((0.0, 1.0, 0.1, -0.7), (1, 3, 7))):
        group = samples.scored_group(subject.prompts[0], [reward] * count, place)
        for value in _values(subject, group) or ():
            if _comparable(value) and abs(value) > ROUNDING:
                raise CheckFailed(
                    f"an advantage is {value} where {count} samples all have reward {reward}; "
                    f"is rounding error divided by a standard deviation near 0?"
                )


def _groups(subject: Subject) -> list[Group]:
    return samples.random_groups(subject.prompts[0])


def _rewards(group: Group) -> list[float | None]:
    return [one.reward for one in group.samples]


def _answers(subject: Subject) -> list[tuple[Group, list[Any]]]:
    """Groups with their advantages; those whose answer is no answer are left out."""
    answers = [(group, _values(subject, group)) for group in _groups(subject)]
    return [(group, values) for group, values in answers if values is not None]


def _values(subject: Subject, group: Group) -> list[Any] | None:
    """The advantages, or ``None`` where ``advantage.one_per_scored_sample`` fails."""
    try:
        values = list(subject.call("slime_advantage", group, subject.context()))
    except Exception:
        return None
    return values if len(values) == len(group.scored) else None


def _comparable(*values: Any) -> bool:
    return all(isinstance(one, Real) and math.isfinite(one) for one in values)


def _close(first: float, second: float) -> bool:
    return math.isclose(first, second, rel_tol=1e-6, abs_tol=1e-9)
