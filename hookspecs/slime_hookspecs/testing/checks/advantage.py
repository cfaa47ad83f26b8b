"""Advantage: one finite number for each scored sample, whatever the order of the group."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from numbers import Real
from typing import Any, Final

from slime_hookspecs.records import Group
from slime_hookspecs.testing import samples
from slime_hookspecs.testing.checks import CheckFailed, NotApplicable, check
from slime_hookspecs.testing.subject import Subject

HOOKS: Final = ("slime_advantage",)


@check("advantage.one_per_scored_sample", "advantage", hooks=HOOKS)
def one_per_scored_sample(subject: Subject) -> None:
    """Groups of every size get one advantage for each scored sample, of one sample and of none."""
    for group in _groups(subject):
        rewards = [one.reward for one in group.samples]
        try:
            answer = list(subject.call("slime_advantage", group, subject.context()))
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise CheckFailed(f"it raised {what}\n  on rewards {rewards}") from error
        if len(answer) != len(group.scored):
            raise CheckFailed(
                f"{len(group.scored)} scored samples got {len(answer)} advantages; give one for "
                f"each of group.scored\n  on rewards {rewards}"
            )


@check("advantage.finite", "advantage", hooks=HOOKS)
def finite(subject: Subject) -> None:
    """Every advantage is a finite number, also where all rewards are equal."""
    for group in _groups(subject):
        for value in _values(subject, group):
            if not isinstance(value, Real) or not math.isfinite(value):
                rewards = [one.reward for one in group.scored]
                raise CheckFailed(f"an advantage is {value!r} on rewards {rewards}")


@check("advantage.order_independent", "advantage", hooks=HOOKS)
def order_independent(subject: Subject) -> None:
    """Samples in another order get the same advantages, in that order."""
    for group in _groups(subject):
        straight = dict(zip(map(id, group.scored), _values(subject, group), strict=False))
        shuffled = list(group.samples)
        random.Random(group.index).shuffle(shuffled)
        other = Group(group.index, group.prompt, shuffled)
        for one, value in zip(other.scored, _values(subject, other), strict=False):
            first = straight.get(id(one), math.nan)
            if math.isfinite(first) and not math.isclose(first, value, rel_tol=1e-6, abs_tol=1e-9):
                raise CheckFailed(
                    f"a sample of reward {one.reward} gets {first}, and {value} in another order"
                )


@check("advantage.no_mutation", "advantage", hooks=HOOKS)
def no_mutation(subject: Subject) -> None:
    """The group and its samples stay as they were; the core stores the answer."""
    for group in _groups(subject):
        order = [id(one) for one in group.samples]
        before = [(one, samples.snapshot(one)) for one in group.samples]
        _values(subject, group)
        if [id(one) for one in group.samples] != order:
            raise CheckFailed("it changed the group's list of samples")
        for one, values in before:
            if fields := samples.changed(values, one):
                raise CheckFailed(f"it changed {', '.join(fields)} of a sample")


def _groups(subject: Subject) -> list[Group]:
    return samples.random_groups(subject.prompts[0])


def _values(subject: Subject, group: Group) -> Sequence[Any]:
    try:
        values = list(subject.call("slime_advantage", group, subject.context()))
    except Exception as error:
        raise NotApplicable("it raises: advantage.one_per_scored_sample reports that") from error
    return values
