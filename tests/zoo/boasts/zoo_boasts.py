"""Declares a capability that it has no hook for."""

from __future__ import annotations

from slime_hookspecs import Conformance, hookimpl


@hookimpl
def slime_conformance() -> Conformance:
    """More than there is."""
    return Conformance(capabilities=frozenset({"multi_turn"}))
