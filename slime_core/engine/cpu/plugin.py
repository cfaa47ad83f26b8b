"""Repairs that SGLang's code needs on a CPU, as a plugin of SGLang's own (``sglang.srt.plugins``).

SGLang calls ``register`` in the server and in every scheduler process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slime_core.engine import cpu

WEIGHT_CHECKER = "sglang.srt.utils.weight_checker.WeightChecker"


def register() -> None:
    """Put the repairs in place; does nothing where there is an accelerator."""
    if not cpu.on_cpu():
        return
    cpu.install()
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    from slime_core.engine.cpu import seeded

    _neutralise_cuda()
    HookRegistry.register(f"{WEIGHT_CHECKER}._snapshot", snapshot, HookType.REPLACE)
    seeded.register(HookRegistry, HookType)


def snapshot(checker: Any) -> None:
    """Copy the weights. SGLang's ``.cpu()`` copies nothing here, so no comparison could fail."""
    checker._snapshot_tensors = {
        name: parameter.data.detach().clone() for name, parameter in checker._model_state()
    }


def _neutralise_cuda() -> None:
    """Checksums and comparisons synchronise CUDA and move chunks of weights to it."""
    import torch

    nothing: Callable[..., None] = lambda *args, **kwargs: None  # noqa: E731
    itself: Callable[..., Any] = lambda tensor, *args, **kwargs: tensor  # noqa: E731
    torch.cuda.synchronize = nothing
    torch.Tensor.cuda = itself
