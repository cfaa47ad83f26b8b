"""Agents and rewards as Python functions."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from pathlib import Path
from typing import Any

from slime_hookspecs import DataError, Reward, Sample

NOT_CALLABLE = 7


def ask(messages: list[Any]) -> str:
    body = json.dumps({"messages": messages}).encode()
    key = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    with urllib.request.urlopen(urllib.request.Request(url, body, key)) as answer:
        return str(json.loads(answer.read())["choices"][0]["message"]["content"])


def agent(task: dict[str, Any]) -> dict[str, Any]:
    text = ask(task["messages"])
    Path("notes.txt").write_text(text)
    return {"reward": len(text), "metrics": {"letters": len(text)}}


async def async_agent(task: dict[str, Any]) -> float:
    return float(len(ask(task["messages"])))


def silent_agent(task: dict[str, Any]) -> int:
    return 1


def raising_agent(task: dict[str, Any]) -> None:
    ask(task["messages"])
    raise KeyError("its own mistake")


def by_notes(sample: Sample, work: Path) -> Reward:
    """What the agent left counts; of samples of no agent, what they say."""
    notes = work / "notes.txt"
    text = notes.read_text() if notes.exists() else sample.response
    same = float(text == sample.response)
    return Reward(float(text == sample.prompt.label), {"same": same})


async def by_response(sample: Sample, work: Path) -> float:
    return float(len(sample.response))


def raising(sample: Sample, work: Path) -> float:
    raise DataError(f"prompt {sample.prompt.id}: its label is wrong")


def hanging(sample: Sample, work: Path) -> float:
    time.sleep(600)
    return 0.0


def not_a_number(sample: Sample, work: Path) -> str:
    return "much"
