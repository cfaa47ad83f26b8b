"""Filter: an answer for every group, with a reason, that looks at rewards and changes nothing."""

from __future__ import annotations

import random
from typing import Final

from slime_hookspecs import promises
from slime_hookspecs.records import Group, Verdict
from slime_hookspecs.testing import samples
from slime_hookspecs.testing.checks import CheckFailed, NotApplicable, check
from slime_hookspecs.testing.subject import Subject

HOOKS: Final = ("slime_filter",)


@check("filter.total", "filter", hooks=HOOKS)
def total(subject: Subject) -> None:
    """Every group gets a verdict: empty, failed, of one sample, of equal rewards, of any other."""
    for group in _groups(subject):
        try:
            verdict = subject.call("slime_filter", group, subject.context())
        except NotApplicable:
            raise
        except Exception as error:
            what = subject.told(error)
            raise CheckFailed(f"it raised {what}\n  on rewards {_rewards(group)}") from error
        if wrong := promises.wrong_verdict(verdict) or promises.wrong_rejected(group, verdict):
            raise CheckFailed(wrong)


@check("filter.reasons", "filter", hooks=HOOKS)
def reasons(subject: Subject) -> None:
    """What is left out is left out for a reason in snake_case, which metrics count."""
    for group in _groups(subject):
        if wrong := promises.wrong_reason(_verdict(subject, group)):
            raise CheckFailed(wrong)


@check("filter.order_independent", "filter", hooks=HOOKS)
def order_independent(subject: Subject) -> None:
    """The verdict does not depend on the order of a group's samples, nor on earlier groups."""
    for group in _groups(subject):
        first = _verdict(subject, group)
        for seed in range(3):
            shuffled = list(group.samples)
            random.Random(seed).shuffle(shuffled)
            other = _verdict(subject, Group(group.index, group.prompt, shuffled))
            if other != first:
                order = _rewards(Group(0, group.prompt, shuffled))
                raise CheckFailed(f"{first} on rewards {_rewards(group)}, {other} on {order}")


@check("filter.no_mutation", "filter", hooks=HOOKS)
def no_mutation(subject: Subject) -> None:
    """A filter changes neither the group nor its samples."""
    for group in _groups(subject):
        members, before = list(group.samples), list(map(promises.snapshot, group.samples))
        _verdict(subject, group)
        if wrong := promises.mutated_group(members, before, group):
            raise CheckFailed(wrong)


def _groups(subject: Subject) -> list[Group]:
    return samples.random_groups(subject.prompts[0])


def _verdict(subject: Subject, group: Group) -> Verdict:
    try:
        verdict = subject.call("slime_filter", group, subject.context())
    except Exception:
        verdict = None
    # A filter that is not total fails that check, and no other.
    return verdict if isinstance(verdict, Verdict) else Verdict(keep=True)


def _rewards(group: Group) -> list[float | None]:
    return [one.reward for one in group.samples]
