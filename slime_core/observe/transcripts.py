"""A few samples of a run's first and last step, read from its saved rollouts for the report."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, final

_STEP: Final = re.compile(r"(\d+)")
_LONGEST: Final = 1200


@final
@dataclass(frozen=True, slots=True)
class Transcript:
    """What was asked, what the model wrote, and what it got; ``reward`` is None if masked."""

    step: int
    prompt: str
    response: str
    label: str
    reward: float | None
    stop: str


def transcripts(rollouts: Path, each: int = 4) -> list[Transcript]:
    """Samples of different prompts, from the first and the last step that were saved.

    Files that cannot be read are left out: a report must not fail for them.
    """
    by_step = sorted(_files(rollouts))
    ends = by_step[:1] + by_step[1:][-1:]
    return [t for step, file in ends for t in islice(_samples(step, file), each)]


def _files(rollouts: Path) -> Iterator[tuple[int, Path]]:
    for path in rollouts.glob("step_*.jsonl") if rollouts.is_dir() else ():
        match = _STEP.search(path.name)
        if match:
            yield int(match[1]), path


def _samples(step: int, file: Path) -> Iterator[Transcript]:
    """One sample a prompt, as far as the file can be read."""
    seen: set[str] = set()
    for row in _rows(file):
        found = _transcript(step, row)
        if found.prompt not in seen:
            seen.add(found.prompt)
            yield found


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    try:
        with file.open("rb") as lines:
            for line in lines:
                row = json.loads(line)
                if isinstance(row, dict):
                    yield row
    except (OSError, ValueError):
        return


def _transcript(step: int, row: dict[str, Any]) -> Transcript:
    prompt = row.get("prompt")
    asked = prompt if isinstance(prompt, dict) else {"messages": prompt}
    reward = row.get("reward")
    return Transcript(
        step=step,
        prompt=_text(asked.get("messages")),
        response=_text(row.get("response")),
        label=_text(asked.get("label")),
        reward=float(reward) if isinstance(reward, int | float) else None,
        stop=_text(row.get("stop")),
    )


def _text(value: Any) -> str:
    if isinstance(value, list):
        text = "\n".join(map(_text, value))
    elif isinstance(value, dict) and "content" in value:
        role = value.get("role", "user")
        content = _text(value["content"])
        text = content if role == "user" else f"[{role}] {content}"
    elif value is None or isinstance(value, str):
        text = value or ""
    else:
        text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
