"""Writes defaults with dotted keys instead of nested tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slime_hookspecs import hookimpl


@hookimpl
def slime_defaults() -> Mapping[str, Any]:
    """Settings that no table has."""
    return {"rollout.samples_per_prompt": 8}
