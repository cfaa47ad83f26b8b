"""Each token gets the advantage of its sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slime_hookspecs import Batch, hookimpl

if TYPE_CHECKING:
    from torch import Tensor


@hookimpl
def slime_token_advantage(batch: Batch) -> Tensor:
    return batch["sample_advantages"][batch["sample_index"]]
