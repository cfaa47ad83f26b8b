"""Asks every filter whether a scored group is worth training on."""

from __future__ import annotations

from slime_hookspecs import KEEP, AnyContext, Group, PluginError, Verdict

from slime_core.plugins import BoundHook
from slime_core.rollout.blame import blame


def judge(group: Group, filters: list[tuple[BoundHook, AnyContext]]) -> Verdict:
    """The first verdict that drops the group, else ``KEEP``.

    Raises:
        PluginError: a filter returned something else than a verdict. Exceptions of filters pass.
    """
    for hook, context in filters:
        try:
            verdict = _checked(hook.call(group, context), hook)
        except Exception as error:
            blame(error, hook, f"group {group.index}")
            raise
        if not verdict.keep:
            return verdict
    return KEEP


def _checked(verdict: object, hook: BoundHook) -> Verdict:
    if not isinstance(verdict, Verdict):
        raise PluginError(
            f"plugin {hook.plugin}, {hook.hook} returned {verdict!r:.80}; it must be a Verdict"
        )
    if verdict.keep or verdict.reason:
        return verdict
    return Verdict(keep=False, reason=hook.plugin)
