"""Calls one function in a process of its own: the agent itself, or the reward of an agent.

* ``agent MODULE:FUNCTION TASK REWARD`` calls it with the task, and keeps what it returns.
* ``reward MODULE:FUNCTION SAMPLE WORK RESULT`` calls it with a pickled sample and a folder.
* ``check MODULE:FUNCTION`` only imports it.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pickle
import sys
from pathlib import Path
from typing import Any


def main(words: list[str]) -> None:
    """Do what the words say."""
    kind, name, *rest = words
    if kind == "check":
        print(found(name, complain=True))
    elif kind == "agent":
        task, reward = map(Path, rest)
        value = called(found(name), json.loads(task.read_text(encoding="utf-8")))
        if value is not None:
            reward.write_text(as_json(value), encoding="utf-8")
    else:
        sample, work, result = map(Path, rest)
        value = called(found(name), pickle.loads(sample.read_bytes()), work)
        result.write_text(as_json(value), encoding="utf-8")


def found(name: str, *, complain: bool = False) -> Any:
    """The function of a name. With ``complain``, what is wrong is one line of standard error."""
    module, _, path = name.partition(":")
    try:
        function = importlib.import_module(module)
        for part in path.split("."):
            function = getattr(function, part)
        if not callable(function):
            raise TypeError(f"it is {function!r:.80}, which cannot be called")
    except Exception as error:
        if not complain:
            raise
        sys.exit(f"{type(error).__name__}: {error}")
    return function


def called(function: Any, *arguments: Any) -> Any:
    """What a function returns, which may be a coroutine function."""
    answer = function(*arguments)
    if not inspect.isawaitable(answer):
        return answer
    import asyncio  # It takes longer to import than many a function to run.

    return asyncio.run(awaited(answer))


async def awaited(answer: Any) -> Any:
    """What an awaitable gives."""
    return await answer


def as_json(value: Any) -> str:
    """A number, a table or a ``Reward`` as JSON."""
    if hasattr(value, "value") and hasattr(value, "metrics"):
        value = {"reward": value.value, "metrics": dict(value.metrics)}
    return json.dumps(value, default=float)


if __name__ == "__main__":
    main(sys.argv[1:])
