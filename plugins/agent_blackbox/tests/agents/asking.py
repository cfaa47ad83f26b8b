"""What the agents of the tests have in common: one call of the model, by the standard library."""

from __future__ import annotations

import http.client
import json
import os
from pathlib import Path
from typing import Any


def call(messages: list[Any], **fields: Any) -> tuple[int, Any]:
    """Status and JSON of one chat completion."""
    _, _, host, path = os.environ["OPENAI_BASE_URL"].split("/", 3)
    line = http.client.HTTPConnection(host)
    body = json.dumps({"model": os.environ["OPENAI_MODEL"], "messages": messages, **fields})
    headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    line.request("POST", f"/{path}/chat/completions", body, headers)
    response = line.getresponse()
    return response.status, json.loads(response.read())


def ask(messages: list[Any], **fields: Any) -> Any:
    """The model's message."""
    status, answer = call(messages, **fields)
    if status != 200:
        raise SystemExit(
            f"status {status}: {answer['error']['code']}: {answer['error']['message']}"
        )
    return answer["choices"][0]["message"]


def user(text: str) -> dict[str, Any]:
    """A message of the user."""
    return {"role": "user", "content": text}


def reward(value: Any) -> None:
    """Write a reward, as JSON."""
    Path(os.environ["SLIME_REWARD_FILE"]).write_text(json.dumps(value))


TASK = json.loads(Path(os.environ["SLIME_TASK_FILE"]).read_text(encoding="utf-8"))
