"""Asks every filter whether a scored group is worth training on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from slime_hookspecs import KEEP, AnyContext, Group, PluginError, Sample, Verdict

from slime_core.plugins import BoundHook
from slime_core.rollout.blame import blame


def judge(group: Group, filters: list[tuple[BoundHook, AnyContext]]) -> Verdict:
    """The first verdict that drops the group, else one that keeps it but for rejected samples.

    Raises:
        PluginError: a filter returned something else than a verdict, or rejects a sample that the
            group does not have. Exceptions of filters pass.
    """
    rejected: dict[int, str] = {}
    for hook, context in filters:
        try:
            verdict = _checked(hook.call(group, context), hook, group)
        except Exception as error:
            blame(error, hook, f"group {group.index}")
            raise
        if not verdict.keep:
            return verdict
        for index, reason in verdict.rejected.items():
            rejected.setdefault(index, reason or hook.plugin)
    if not rejected:
        return KEEP
    if all(sample.index in rejected for sample in group.scored):
        return Verdict(keep=False, reason=Counter(rejected.values()).most_common(1)[0][0])
    return Verdict(keep=True, rejected=rejected)


def mark(samples: Iterable[Sample], verdict: Verdict) -> None:
    """Set ``rejected`` of each sample as the verdict says."""
    for sample in samples:
        sample.rejected = verdict.rejected.get(sample.index, "")


def _checked(verdict: object, hook: BoundHook, group: Group) -> Verdict:
    if not isinstance(verdict, Verdict):
        raise PluginError(
            f"plugin {hook.plugin}, {hook.hook} returned {verdict!r:.80}; it must be a Verdict"
        )
    scored = {sample.index for sample in group.scored} if verdict.rejected else set()
    if unknown := set(verdict.rejected) - scored:
        raise PluginError(
            f"plugin {hook.plugin}, {hook.hook}, group {group.index} rejects {sorted(unknown)}; "
            f"its scored samples have the indices {sorted(scored)}"
        )
    if verdict.keep or verdict.reason:
        return verdict
    return Verdict(keep=False, reason=hook.plugin)
