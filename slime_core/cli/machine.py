"""What this machine has, asked without importing anything heavy."""

from __future__ import annotations

import os
import re
from pathlib import Path


def _device_files(folder: Path) -> int:
    return sum(1 for file in folder.glob("nvidia*") if re.fullmatch(r"nvidia\d+", file.name))


def visible_gpus(folder: Path = Path("/dev")) -> int:
    """NVIDIA GPUs that a process started from here may use: device files, less those hidden by
    ``CUDA_VISIBLE_DEVICES``."""
    there = _device_files(folder)
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return there
    names = [part.strip() for part in wanted.split(",") if part.strip() not in ("", "-1")]
    return min(there, len(names))


def available_memory(file: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes of memory that are free or can be made free; ``None`` where the system does not say."""
    try:
        text = file.read_text()
    except OSError:
        return None
    found = re.search(r"MemAvailable:\s+(\d+) kB", text)
    return int(found[1]) * 1024 if found else None
