"""What the tests share: their agents as commands, tasks, and a look at what is left."""

from __future__ import annotations

import asyncio
import os
import shlex
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from slime_hookspecs import Prompt, Sample
from slime_hookspecs.testing.kit import ScriptedEngine

AGENTS = Path(__file__).parent / "agents"
#: How the interpreter of an agent is started: quickly.
PYTHON = "{python} -S -B"
#: Seconds that something may take which takes no time, on a machine that has much to do.
PATIENCE_S = 60.0


def script(name: str, *words: object) -> str:
    """The command of one of the tests' agents."""
    tail = " ".join(shlex.quote(str(word)) for word in words)
    return f"{PYTHON} {shlex.quote(str(AGENTS / name))}.py {tail}"


def make_task(text: str = "2+2=", label: Any = "4", **fields: Any) -> Prompt:
    """A task."""
    return Prompt("task/1", [{"role": "user", "content": text}], label, **fields)


def account(sample: Sample) -> dict[str, Any]:
    """What is kept of an agent."""
    found: dict[str, Any] = sample.metadata["agent_blackbox"]
    return found


def told(sample: Sample) -> list[tuple[str, str]]:
    """Kinds and texts of a trace's segments, with the marks of turns."""
    show = ScriptedEngine().tokenizer.show
    return [(segment.kind, show(segment.tokens)) for segment in sample.trace.segments]


def marked(text: str) -> list[int]:
    """Processes, dead ones too, in whose command line or environment a text is."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                told = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
            except OSError:
                continue  # It ended meanwhile.
            if text.encode() in told:
                found.append(int(folder.name))
    return found


async def until(reached: Callable[[], Any]) -> Any:
    """Wait for something to be so, and say what."""
    give_up = time.monotonic() + PATIENCE_S
    while not (found := reached()):
        assert time.monotonic() < give_up, "it was never so"
        await asyncio.sleep(0.02)
    return found


def files_in(folder: Path) -> list[str]:
    """Names of what is in a folder that need not exist."""
    names: Iterable[Path] = folder.iterdir() if folder.exists() else ()
    return sorted(one.name for one in names)
