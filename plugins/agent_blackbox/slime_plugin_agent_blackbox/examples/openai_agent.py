"""An agent that knows the ``openai`` package and nothing of slime: where the model is, and its key,
that package finds in the environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai

TOKENS = 6


def agent(task: dict[str, Any]) -> None:
    """Ask for the sum; ask once more where the answer has no digit; leave it in a file."""
    client = openai.OpenAI()
    messages: list[Any] = [*task["messages"]]
    for _ in range(2):
        answer = client.chat.completions.create(
            model="default", messages=messages, max_tokens=TOKENS
        )
        text = answer.choices[0].message.content or ""
        if any(one.isdigit() for one in text):
            break
        messages += [answer.choices[0].message, {"role": "user", "content": "Write the number."}]
    Path("answer.txt").write_text(text, encoding="utf-8")
