"""The accepted answers as a file of conversations, one JSON row each, that plugin ``sft`` reads.

Rows are appended in the order of steps. A resumed run redoes the steps after its checkpoint: what
the file has of them is cut off when they come again, so that nothing is in it twice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from slime_hookspecs import DataError, RunInfo, Sample

from slime_plugin_rejection_sampling.recording import NOTES, given

FILE: Final = "accepted.jsonl"

#: Bytes that are read at once from the end of the file, to find its last row.
BLOCK: Final = 1 << 16


def path_of(run: RunInfo) -> Path:
    """``<run>/plugins/rejection_sampling/accepted.jsonl``."""
    return run.directory / "plugins" / "rejection_sampling" / FILE


def row(sample: Sample, step: int) -> dict[str, Any] | None:
    """An accepted answer as a row, or ``None`` where its messages are not known.

    ``messages``, and ``tools`` where there are any, are what ``sft`` reads; the rest says where
    they come from.
    """
    notes = sample.metadata.get(NOTES)
    if notes is None:
        said = {"role": "assistant", "content": sample.response}
        messages, tools = [*given(sample.prompt.messages), said], sample.prompt.tools
    elif notes.get("messages") is None:
        return None
    else:
        messages, tools = notes["messages"], notes.get("tools")
    origin = {
        "step": step,
        "prompt_id": sample.prompt.id,
        "sample": sample.index,
        "reward": sample.reward,
    }
    return {"messages": messages, **({"tools": tools} if tools else {}), **origin}


def append(path: Path, step: int, rows: Sequence[dict[str, Any]]) -> None:
    """Add a step's rows, in the place of those that the file has of this and later steps.

    Raises:
        DataError: the file cannot be written, or holds something else than such rows.
    """
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            file.truncate(_end_before(file, step, path))
            file.write(text.encode())
    except OSError as error:
        raise DataError(f"{path}: accepted answers cannot be written: {error}") from error


def _end_before(file: BinaryIO, step: int, path: Path) -> int:
    """Where the rows of earlier steps end, in bytes."""
    size = file.seek(0, os.SEEK_END)
    last = _last_line(file, size)
    if not last or (last.endswith(b"\n") and _step(last, path) < step):
        return size
    file.seek(0)
    end = 0
    for line in file:
        # Without its line break a row is the rest of a write that was broken off.
        if not line.endswith(b"\n") or _step(line, path) >= step:
            break
        end += len(line)
    return end


def _last_line(file: BinaryIO, size: int) -> bytes:
    tail, start = b"", size
    while start and b"\n" not in tail[:-1]:
        start = max(0, start - BLOCK)
        file.seek(start)
        tail = file.read(size - start)
    return tail[tail[:-1].rfind(b"\n") + 1 :]


def _step(line: bytes, path: Path) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: holds {line[:60]!r}, which is no row of accepted answers; move the file away"
        ) from error
