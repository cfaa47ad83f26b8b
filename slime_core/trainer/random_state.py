"""The states of all random generators of a process, as one tensor."""

from __future__ import annotations

import pickle
import random
from typing import Any

import numpy as np
import torch
from megatron.core.tensor_parallel.random import get_cuda_rng_tracker
from torch import Tensor


def pack_random_state() -> Tensor:
    """Python's, numpy's, torch's, the GPU's and Megatron's states, uint8 ``[bytes]``."""
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        "megatron": get_cuda_rng_tracker().get_states(),
    }
    return torch.frombuffer(bytearray(pickle.dumps(state)), dtype=torch.uint8)


def restore_random_state(packed: Tensor) -> None:
    """Put all generators back to what ``pack_random_state`` found."""
    state = pickle.loads(packed.numpy().tobytes())
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    get_cuda_rng_tracker().set_states(state["megatron"])
