"""Gives a setting a value that TOML has no word for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slime_hookspecs import hookimpl


@hookimpl
def slime_defaults() -> Mapping[str, Any]:
    """No limit."""
    return {"rollout": {"max_response_tokens": None}}
