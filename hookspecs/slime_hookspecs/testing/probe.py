"""Imports the plugin in a process that did nothing else, and tells what that did to the process."""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from slime_hookspecs.testing.subject import Subject

#: Modules that a plugin may use, but not before one of its hooks is called.
HEAVY: Final = ("torch", "ray", "sglang", "transformers", "megatron", "tensorflow", "jax", "vllm")


@final
@dataclass(frozen=True, slots=True)
class Probe:
    """Facts about an import.

    Attributes:
        seconds: Wall time that it took.
        raised: What it raised, or nothing.
        heavy: Modules of ``HEAVY`` that were imported.
        cuda: Signs of a CUDA context.
        threads: Names of threads that it left running.
        raised_again: What a second import raised, after the plugin's modules were forgotten.
    """

    seconds: float
    raised: str
    heavy: tuple[str, ...]
    cuda: tuple[str, ...]
    threads: tuple[str, ...]
    raised_again: str


def probe(subject: Subject, _: Any) -> dict[str, Any]:
    """The facts, as JSON values."""
    start = time.perf_counter()
    raised = _import(subject)
    seconds = time.perf_counter() - start
    heavy = tuple(name for name in HEAVY if name in sys.modules)
    cuda = tuple(_cuda_signs())
    threads = tuple(one.name for one in threading.enumerate()[1:])
    again = "" if raised else _import_again(subject)
    return asdict(Probe(seconds, raised, heavy, cuda, threads, again))


def _import(subject: Subject) -> str:
    try:
        target: Any = importlib.import_module(subject.target.module)
        for part in filter(None, subject.target.attribute.split(".")):
            target = getattr(target, part)
    except SystemExit as error:
        return f"it called sys.exit({error.code!r})"
    except BaseException as error:
        return subject.told(error)
    return ""


def _import_again(subject: Subject) -> str:
    package = subject.target.module.partition(".")[0]
    for name in [one for one in sys.modules if one == package or one.startswith(f"{package}.")]:
        del sys.modules[name]
    return _import(subject)


def _cuda_signs() -> list[str]:
    signs = []
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is not None and cuda.is_initialized():
        signs.append("torch.cuda is initialised")
    maps = Path("/proc/self/maps")
    if maps.exists() and "libcuda.so" in maps.read_text(errors="replace"):
        signs.append("libcuda is loaded")
    descriptors = Path("/proc/self/fd")
    for link in descriptors.iterdir() if descriptors.exists() else ():
        try:
            if os.readlink(link).startswith("/dev/nvidia"):  # noqa: PTH115
                signs.append("a GPU device is open")
                break
        except OSError:
            continue
    return signs
