"""Stand-ins for packages that SGLang imports on every machine and calls only on a GPU.

They are the last resort of the import system: a package that is installed is found before them.
"""

from __future__ import annotations

import enum
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

#: Top-level packages that a stock SGLang on a CPU can do without.
STOOD_IN = ("triton", "torchvision", "sgl_kernel")

_INTERPOLATIONS = (
    "NEAREST",
    "NEAREST_EXACT",
    "BILINEAR",
    "BICUBIC",
    "BOX",
    "HAMMING",
    "LANCZOS",
)


def install() -> None:
    """Put the finder last on ``sys.meta_path``, once."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.append(Finder())
        _let_transformers_look_again()


class StandIn(types.ModuleType):
    """A module whose every attribute is there: classes where capitalised, else more of the same.

    Called, it is a decorator that changes nothing.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []
        self.__package__ = name
        self.__file__ = __file__
        self.__version__ = "3.0.0"  # SGLang compares triton's version

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        full = f"{self.__name__}.{name}"
        value = sys.modules.get(full) or _attribute(self.__name__, name)
        setattr(self, name, value)
        return value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and callable(args[0]) and not kwargs:
            return args[0]
        return _unchanged

    def __bool__(self) -> bool:
        return False

    def __iter__(self) -> Iterator[Any]:
        return iter(())


class AnyClass:
    """Base of stand-in classes: takes any arguments, in itself and in its subclasses' headers."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass


class Finder:
    """Answers imports of absent packages, but not the question whether they are installed.

    ``importlib.util.find_spec`` still says no, so PyTorch and transformers do not rely on them.
    torchvision is the exception: SGLang asks for it that way.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A spec for the stand-in, or ``None``."""
        package = name.partition(".")[0]
        if package not in STOOD_IN or (package != "torchvision" and _is_question()):
            return None
        return importlib.machinery.ModuleSpec(name, _Loader(), is_package=True)


class _Loader(importlib.abc.Loader):
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> StandIn:
        module = StandIn(spec.name)
        for name, value in _REAL.get(spec.name, {}).items():
            setattr(module, name, value)
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to run."""


def _let_transformers_look_again() -> None:
    """Where transformers was imported first, it has remembered that torchvision is absent."""
    for name, value in vars(sys.modules.get("transformers.utils.import_utils", sys)).items():
        if "torchvision" in name and hasattr(value, "cache_clear"):
            value.cache_clear()
    for module in list(sys.modules.values()):
        missing: dict[str, list[str]] = getattr(module, "__dict__", {}).get(
            "_object_missing_backend", {}
        )
        for name in [name for name, packages in missing.items() if packages == ["torchvision"]]:
            del missing[name]


def _attribute(module: str, name: str) -> Any:
    if name[:1].isupper():
        return type(name, (AnyClass,), {"__module__": module})
    return StandIn(f"{module}.{name}")


def _is_question() -> bool:
    """Whether the import system was asked by ``importlib.util.find_spec``, not by an import."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith("<frozen importlib._bootstrap"):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_name == "find_spec"


def _unchanged(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def _ceiling_division(a: int, b: int) -> int:
    return -(a // -b)


def _next_power_of_2(n: int) -> int:
    return 1 << (n - 1).bit_length() if n > 0 else 1


#: The few attributes that SGLang does use on a CPU.
_REAL: dict[str, dict[str, Any]] = {
    "triton": {"cdiv": _ceiling_division, "next_power_of_2": _next_power_of_2},
    "torchvision.transforms": {
        "InterpolationMode": enum.Enum(
            "InterpolationMode", {n: n.lower().replace("_", "-") for n in _INTERPOLATIONS}
        )
    },
}
