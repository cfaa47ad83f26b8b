"""Declares a batch field that the core fills."""

from __future__ import annotations

from slime_hookspecs import BatchField, hookimpl


@hookimpl
def slime_batch_fields() -> list[BatchField]:
    """A field of the core's name."""
    return [BatchField("advantages", per="token")]
