"""A few samples of a run's first and last step, read from its saved rollouts for the report."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, final

from slime_hookspecs.errors import SlimeError

from slime_core.rollout import files

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
    by_step = list(files.found(rollouts).items())
    ends = by_step[:1] + by_step[1:][-1:]
    return [t for step, file in ends for t in islice(_samples(step, file), each)]


def _samples(step: int, file: Path) -> Iterator[Transcript]:
    """One sample a prompt, as far as the file can be read."""
    seen: set[str] = set()
    for row in _rows(file):
        found = _transcript(step, row)
        if found.prompt not in seen:
            seen.add(found.prompt)
            yield found


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    with contextlib.suppress(OSError, ValueError, SlimeError):
        for line in files.lines(file):
            row = json.loads(line)
            if isinstance(row, dict) and row.get("fate", "trained") == "trained":
                yield row


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
