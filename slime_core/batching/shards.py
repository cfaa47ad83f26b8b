"""What one data-parallel rank trains on in a step: micro-batches of samples, as numpy columns.

Columns are contiguous arrays, so that Ray's object store hands them to the trainer without a copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
import numpy.typing as npt

Column: TypeAlias = npt.NDArray[Any]

#: dtype of each column that the core fills: per token ``[tokens]``, per sample ``[samples]``.
TOKEN_COLUMNS: dict[str, type[np.generic]] = {
    "tokens": np.int64,
    "loss_mask": np.float32,
    "loss_weights": np.float32,
    "rollout_logprobs": np.float32,
    "weight_versions": np.int64,
}
SAMPLE_COLUMNS: dict[str, type[np.generic]] = {
    "lengths": np.int64,
    "sample_advantages": np.float32,
    "sample_indices": np.int64,
}


@final
@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Samples packed end to end.

    Attributes:
        columns: Arrays by name: ``TOKEN_COLUMNS``, ``SAMPLE_COLUMNS``, plugins' batch fields.
    """

    columns: dict[str, Column]


@final
@dataclass(frozen=True, slots=True)
class Shard:
    """One data-parallel rank's part of a step.

    Attributes:
        updates: For each optimizer update, its micro-batches. Every rank has as many micro-batches
            in an update as every other; a rank with too few samples gets copies with zero weight.
    """

    updates: list[list[MicroBatch]]
