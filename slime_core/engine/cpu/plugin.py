"""Repairs that SGLang's code needs on a CPU, as a plugin of SGLang's own (``sglang.srt.plugins``).

SGLang calls ``register`` in the server and in every scheduler process.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from typing import Any

from slime_core.engine import cpu

#: Collects Python's garbage (0.2 s) where a GPU would give memory back, after each weight update.
EMPTY_CACHE = "sglang.srt.platforms.cpu.CpuDeviceMixin.empty_cache"
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
    if _exists(EMPTY_CACHE):  # not in 0.5.15
        HookRegistry.register(EMPTY_CACHE, lambda *_: None, HookType.REPLACE)
    seeded.register(HookRegistry, HookType)


def snapshot(checker: Any) -> None:
    """Copy the weights. SGLang's ``.cpu()`` copies nothing here, so no comparison could fail."""
    checker._snapshot_tensors = {
        name: parameter.data.detach().clone() for name, parameter in checker._model_state()
    }


def _exists(path: str) -> bool:
    module, _, attribute = path.rpartition(".")
    try:
        return hasattr(pkgutil.resolve_name(module), attribute)
    except (ImportError, AttributeError):
        return False


def _neutralise_cuda() -> None:
    """Checksums and comparisons synchronise CUDA and move chunks of weights to it."""
    import torch

    nothing: Callable[..., None] = lambda *args, **kwargs: None  # noqa: E731
    itself: Callable[..., Any] = lambda tensor, *args, **kwargs: tensor  # noqa: E731
    torch.cuda.synchronize = nothing
    torch.Tensor.cuda = itself
