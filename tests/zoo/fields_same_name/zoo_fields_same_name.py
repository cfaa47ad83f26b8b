"""Declares two batch fields of one name."""

from __future__ import annotations

from slime_hookspecs import BatchField, hookimpl


@hookimpl
def slime_batch_fields() -> list[BatchField]:
    """Once for each token and once for each sample."""
    return [BatchField("bonus", per="token"), BatchField("bonus", per="sample")]
