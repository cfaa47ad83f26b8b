"""Lets megatron-core's local modules run on a machine without CUDA.

Each loaded ``megatron.core`` module gets its own stand-in for the name ``torch``, in which the
device "cuda" means "cpu", streams and events do nothing, and CUDA's random state is the CPU's. The
installed package and the global ``torch`` stay as they are, but for two methods of
``torch.Tensor``: ``.cuda()`` returns the tensor, and ``.type()`` says "torch.cuda.FloatTensor" to
callers inside megatron.core, whose optimizers compare that string. With CUDA nothing of this
happens.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
import types
from collections.abc import Callable
from typing import Any, Final

import torch

from slime_core.trainer.without_te import fix_without_te

#: Modules that must be loaded before their ``torch`` can be replaced.
MODULES: Final = tuple(
    f"megatron.core.{name}"
    for name in (
        "tensor_parallel",
        "distributed.finalize_model_grads",
        "optimizer",
        "pipeline_parallel.schedules",
        "models.gpt.gpt_layer_specs",
        "transformer.moe.moe_layer",
        "transformer.multi_token_prediction",
        "dist_checkpointing.serialization",
        "dist_checkpointing.strategies.torch",
        "dist_checkpointing.strategies.filesystem_async",
        "dist_checkpointing.strategies.fully_parallel",
    )
)
FACTORIES: Final = [
    "zeros",
    "ones",
    "empty",
    "full",
    "tensor",
    "arange",
    "rand",
    "randn",
    "randint",
    "empty_like",
    "zeros_like",
    "ones_like",
    "full_like",
    "as_tensor",
]


class Stream:
    """Stands in for ``torch.cuda``'s ``Stream`` and ``Event``: CPU work is already in order."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream)

    __hash__ = object.__hash__

    def record_event(self, event: Any = None) -> Any:
        """The event, which has already happened."""
        return event or self

    def wait(self, *args: Any, **kwargs: Any) -> None:
        """Nothing to wait for."""

    wait_stream = wait_event = synchronize = record = wait


def install() -> bool:
    """Make megatron-core usable here; True where the CPU stand-ins are in place.

    Call it before a model is built. Calling it again is cheap and covers modules loaded since.
    """
    fix_without_te()
    if torch.cuda.is_available():
        return False
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")  # megatron's jit_fuser is torch.compile
    for name in MODULES:
        importlib.import_module(name)
    _patch_tensor()
    for name, module in list(sys.modules.items()):
        if name.startswith("megatron.core") and module is not None:
            _replace(module)
    return True


def _replace(module: types.ModuleType) -> None:
    names = vars(module)
    if names.get("torch") is torch:
        module.torch = _stand_in()  # type: ignore[attr-defined]
    for name, replacement in _FUNCTIONS.items():
        if name in names:
            setattr(module, name, replacement)


@functools.cache
def _stand_in() -> types.ModuleType:
    cpu = torch.device("cpu")
    rng: dict[str, Any] = {
        "get_rng_state": lambda device=None: torch.get_rng_state(),
        "set_rng_state": lambda state, device=None: torch.set_rng_state(state),
        "manual_seed": torch.manual_seed,
        "manual_seed_all": torch.manual_seed,
    }
    cuda = _copy(
        torch.cuda,
        Stream=Stream,
        Event=Stream,
        current_device=lambda: cpu,
        current_stream=lambda device=None: Stream(),
        default_stream=lambda device=None: Stream(),
        stream=lambda stream: contextlib.nullcontext(),
        synchronize=_nothing,
        empty_cache=_nothing,
        set_device=_nothing,
        random=_copy(torch.cuda.random, **rng),
        **rng,
    )
    return _copy(torch, cuda=cuda, **{name: _on_cpu(getattr(torch, name)) for name in FACTORIES})


def _copy(module: types.ModuleType, **changes: Any) -> types.ModuleType:
    new = types.ModuleType(module.__name__)
    new.__dict__.update(module.__dict__)
    new.__dict__.update(changes)
    return new


def _nothing(*args: Any, **kwargs: Any) -> None:
    return None


def _on_cpu(factory: Callable[..., Any]) -> Callable[..., Any]:
    def make(*args: Any, **kwargs: Any) -> Any:
        device = kwargs.get("device")
        if device is not None and not isinstance(device, int) and str(device).startswith("cuda"):
            kwargs["device"] = "cpu"
        kwargs.pop("pin_memory", None)
        return factory(*args, **kwargs)

    return make


@functools.cache
def _patch_tensor() -> None:
    type_of: Callable[..., Any] = torch.Tensor.type

    def type_(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        name = type_of(self, *args, **kwargs)
        if not args and not kwargs and self.device.type == "cpu":
            caller = sys._getframe(1).f_globals.get("__name__", "")
            if caller.startswith("megatron.core."):
                return name.replace("torch.", "torch.cuda.", 1)
        return name

    torch.Tensor.type = type_
    torch.Tensor.cuda = lambda self, *args, **kwargs: self


def _set_rng_state(state: Any, device: int = -1, graph_safe: bool = False) -> None:
    torch.set_rng_state(state)


def _to_cpu(tensor: Any, as_numpy: bool = False, record_stream: bool = False) -> Any:
    # Megatron's own leaves a CPU tensor alone, but gloo's all-to-all takes numbers as split sizes.
    return tensor.numpy() if as_numpy and hasattr(tensor, "numpy") else tensor


_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "_set_cuda_rng_state": _set_rng_state,
    "maybe_move_tensor_to_cpu": _to_cpu,
}
