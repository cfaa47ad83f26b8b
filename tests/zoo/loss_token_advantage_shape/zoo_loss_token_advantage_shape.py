"""Hands the advantages of samples on as those of tokens."""

from __future__ import annotations

from typing import Any

from slime_hookspecs import Batch, hookimpl


@hookimpl
def slime_token_advantage(batch: Batch) -> Any:
    """Not spread."""
    return batch["sample_advantages"]
