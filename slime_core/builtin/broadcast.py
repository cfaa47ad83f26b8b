"""Every token of a sample gets the sample's advantage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slime_hookspecs import Batch, Conformance, hookimpl

if TYPE_CHECKING:
    from torch import Tensor
else:
    Tensor = Any


@hookimpl
def slime_token_advantage(batch: Batch) -> Tensor:
    """``sample_advantages`` ``[samples]`` spread over tokens, float32 ``[tokens]``."""
    return batch["sample_advantages"][batch["sample_index"]]


@hookimpl
def slime_conformance() -> Conformance:
    """What it promises."""
    return Conformance(capabilities=frozenset({"no_host_sync"}))
