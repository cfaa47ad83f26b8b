"""What ``slime doctor`` looks at: one small function a check, each returning one finding."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from slime_core.cli.machine import available_memory, visible_gpus

KNOWN_GOOD: Final[dict[str, tuple[str, ...]]] = {
    "sglang": ("0.5.15.post1", "0.5.18"),
    "sglang-router": ("0.3.2",),
    "megatron-core": ("0.16.1",),
    "ray": ("2.60.0",),
    "transformers": ("5.12.1",),
}
"""Releases that slime was tested with, by distribution."""

GIB: Final = 1 << 30
OLDEST_PYTHON: Final = (3, 11)
MEMORY_NEEDED, MEMORY_WANTED = 4 * GIB, 16 * GIB
SHM_WANTED: Final = GIB
DISK_NEEDED, DISK_WANTED = GIB, 20 * GIB
FILES_NEEDED, FILES_WANTED = 1024, 8192

Status = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        name: What was looked at.
        status: How it stands.
        detail: What was found.
        cure: What to do about it; empty when all is well.
    """

    name: str
    status: Status
    detail: str
    cure: str = ""


def python(version: Sequence[int]) -> Finding:
    """Python is new enough."""
    shown = ".".join(str(part) for part in version[:3])
    if tuple(version[:2]) >= OLDEST_PYTHON:
        return Finding("Python", "ok", shown)
    return Finding("Python", "error", shown, "make a virtual environment with Python 3.11 or newer")


def installed(name: str, version: str | None) -> Finding:
    """A distribution is there, in a release that was tested."""
    good = KNOWN_GOOD[name]
    if version is None:
        return Finding(name, "error", "not installed", f"pip install {name}=={good[-1]}")
    if version.partition("+")[0] in good:
        return Finding(name, "ok", version)
    tested = " and ".join(good)
    cure = f"tested with {tested}; if it fails: pip install {name}=={good[-1]}"
    return Finding(name, "warning", version, cure)


def torch(load: Callable[[], Any]) -> Finding:
    """Torch imports; says for which device it was built."""
    try:
        module = load()
    except ModuleNotFoundError as error:
        return Finding("torch", "error", f"not installed: {error}", "pip install torch")
    except Exception as error:
        cure = "reinstall torch for this machine: pip install --force-reinstall torch"
        return Finding("torch", "error", f"does not import: {error}", cure)
    built = f"CUDA {module.version.cuda}" if module.version.cuda else "CPU"
    return Finding("torch", "ok", f"{module.__version__}, built for {built}")


def gpu(there: int, load: Callable[[], Any]) -> Finding:
    """Torch can use the GPUs of this machine, if it has any."""
    if there == 0:
        return Finding(
            "GPU", "warning", "none visible", "runs are slow on a CPU; fine for trying out"
        )
    try:
        module = load()
        usable = module.cuda.device_count() if module.cuda.is_available() else 0
    except Exception as error:
        return Finding(
            "GPU", "error", f"{there} there, but torch fails: {error}", "see torch above"
        )
    if usable == 0:
        cure = "install a torch built for CUDA, and check the driver with nvidia-smi"
        return Finding("GPU", "error", f"{there} there, but torch can use none", cure)
    if usable < there:
        cure = "check CUDA_VISIBLE_DEVICES and nvidia-smi"
        return Finding("GPU", "warning", f"{there} there, torch can use {usable}", cure)
    return Finding("GPU", "ok", f"{usable} x {module.cuda.get_device_name(0)}")


def plugins(find: Callable[[], Iterable[Any]]) -> Finding:
    """There are plugins, and no two claim the same name."""
    try:
        found = list(find())
    except Exception as error:
        return Finding("plugins", "error", f"cannot be listed: {error}", "reinstall what it names")
    names = [plugin.name for plugin in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        cure = "uninstall one of each, or pick with --plugin distribution:name"
        return Finding("plugins", "warning", f"claimed twice: {', '.join(twice)}", cure)
    if not names:
        return Finding("plugins", "error", "none, not even the built-in ones", "reinstall slime-rl")
    return Finding("plugins", "ok", ", ".join(names))


def loopback(address: str = "127.0.0.1") -> Finding:
    """A port can be opened on this machine, as servers and Ray do."""
    try:
        with socket.create_server((address, 0)) as server:
            port = server.getsockname()[1]
            socket.create_connection((address, port), timeout=5).close()
    except OSError as error:
        cure = "allow local connections: check the loopback interface, firewall or sandbox"
        return Finding("loopback port", "error", f"{address}: {error}", cure)
    return Finding("loopback port", "ok", "opened and reached")


def _room(name: str, free: int, needed: int, wanted: int, cure: str) -> Finding:
    shown = f"{free / GIB:.1f} GiB free"
    if free < needed:
        return Finding(name, "error", f"{shown}, at least {needed / GIB:g} are needed", cure)
    if free < wanted:
        return Finding(name, "warning", f"{shown}, {wanted / GIB:g} are comfortable", cure)
    return Finding(name, "ok", shown)


def memory(available: int | None) -> Finding:
    """There is memory for a model, its optimizer and a server."""
    if available is None:
        return Finding("memory", "warning", "this system does not say", "look for yourself")
    cure = "end other programs, or take a larger machine"
    return _room("memory", available, MEMORY_NEEDED, MEMORY_WANTED, cure)


def shared_memory(folder: Path = Path("/dev/shm")) -> Finding:
    """Ray's object store and torch have shared memory to work in."""
    if not folder.is_dir():
        cure = f"mount a tmpfs on {folder}; Ray works without, but slowly"
        return Finding("shared memory", "warning", f"no {folder}", cure)
    cure = "in a container: --shm-size=8g"
    return _room("shared memory", shutil.disk_usage(folder).free, 0, SHM_WANTED, cure)


def disk(folder: Path) -> Finding:
    """Run directories have room here: they hold checkpoints."""
    cure = "free some space, or put --run-dir on another disk"
    return _room("disk", shutil.disk_usage(folder).free, DISK_NEEDED, DISK_WANTED, cure)


def open_files(limit: int) -> Finding:
    """Enough files can be open at once, for Ray and many connections."""
    cure = "ulimit -n 65536"
    if limit < 0:  # RLIM_INFINITY
        return Finding("open files", "ok", "no limit")
    if limit < FILES_NEEDED:
        return Finding("open files", "error", f"at most {limit}", cure)
    if limit < FILES_WANTED:
        return Finding("open files", "warning", f"at most {limit}", cure)
    return Finding("open files", "ok", f"at most {limit}")


def _version(name: str) -> str | None:
    from slime_core.plugins.installed import version

    return version(name)


def _torch() -> Any:
    import torch

    return torch


def _find() -> Iterable[Any]:
    from slime_core.plugins import find

    return find()


def _file_limit() -> int:
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def all_findings() -> list[Finding]:
    """Every check on this machine, in the order of the report."""
    return [
        python(sys.version_info[:3]),
        torch(_torch),
        gpu(visible_gpus(), _torch),
        *(installed(name, _version(name)) for name in KNOWN_GOOD),
        plugins(_find),
        loopback(),
        memory(available_memory()),
        shared_memory(),
        disk(Path.cwd()),
        open_files(_file_limit()),
    ]
