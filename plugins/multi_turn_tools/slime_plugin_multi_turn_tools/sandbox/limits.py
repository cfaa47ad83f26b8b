"""How much of everything a program in the sandbox may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one program, with all that it starts.

    Attributes:
        wall_s: Seconds until it is ended.
        cpu_s: Seconds of processor time of each process.
        memory_mb: MiB of address space of each process, and of memory of all together.
        processes: Most processes and threads.
        disk_mb: MiB of files.
        output_bytes: Bytes of each output stream that are kept; 16 times as many end the program.
    """

    wall_s: float = 10.0
    cpu_s: int = 5
    memory_mb: int = 512
    processes: int = 32
    disk_mb: int = 64
    output_bytes: int = 65_536
