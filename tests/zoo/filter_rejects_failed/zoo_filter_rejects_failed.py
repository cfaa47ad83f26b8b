"""Rejects samples that failed, of which a filter has nothing to say."""

from __future__ import annotations

from slime_hookspecs import KEEP, Group, Verdict, hookimpl


@hookimpl
def slime_filter(group: Group) -> Verdict:
    """Leave out what went wrong."""
    failed = {sample.index: "failed" for sample in group.samples if sample.error is not None}
    return Verdict(keep=True, rejected=failed) if failed else KEEP
