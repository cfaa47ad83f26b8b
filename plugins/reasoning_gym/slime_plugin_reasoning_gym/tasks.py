"""Conversations to imitate, in the form that ``sft`` reads: a model must know the tags to be paid.

Each is a problem with an answer in its tags. Some answers are wrong, of another problem of the same
data set, so that reinforcement learning has something to win.

``python -m slime_plugin_reasoning_gym.tasks conversations.jsonl --tasks leg_counting``
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from slime_plugin_reasoning_gym import opened
from slime_plugin_reasoning_gym.options import Options
from slime_plugin_reasoning_gym.source import ProblemSource

#: How often the teacher is right.
RIGHT: Final = 0.5
#: Conversations that are made at once; wrong answers come from among them.
CHUNK: Final = 64


def conversations(
    options: Options, count: int, *, right: float = RIGHT, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """Rows with messages. Their problems are from seeds of their own, and none is held out.

    Args:
        options: Which data sets, and how to ask.
        count: How many rows; problems without a known answer give none.
        right: How often the teacher is right.
        seed: Of problems and mistakes.

    Raises:
        ConfigError: the options name what the package does not have.
    """
    source = opened.private_source(options, f"teacher/{seed}")
    rng = random.Random(f"{seed}/teacher")
    for _ in range(0, count, CHUNK):
        yield from _chunk(source, options, min(CHUNK, count), right, rng)
        count -= CHUNK


def write(path: Path, options: Options, count: int, **more: Any) -> Path:
    """Write conversations as JSON Lines, for ``--sft.data``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for row in conversations(options, count, **more):
            file.write(json.dumps(row) + "\n")
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Write conversations from the command line."""
    parser = argparse.ArgumentParser(prog="python -m slime_plugin_reasoning_gym.tasks")
    parser.add_argument("file", type=Path, help="where to write")
    parser.add_argument("--tasks", nargs="+", required=True, help="tasks, categories, or all")
    parser.add_argument("--count", type=int, default=2000, help="how many conversations")
    parser.add_argument("--right", type=float, default=RIGHT, help="how often the answer is right")
    parser.add_argument("--seed", type=int, default=0, help="seed of all of it")
    found = parser.parse_args(arguments)
    options = Options(tasks=found.tasks)
    print(write(found.file, options, found.count, right=found.right, seed=found.seed))


def _chunk(
    source: ProblemSource, options: Options, count: int, right: float, rng: random.Random
) -> Iterator[dict[str, Any]]:
    taken = [one for one in source.take(count) if one.label["answer"] is not None]
    answers: dict[str, list[str]] = {}
    for one in taken:
        answers.setdefault(one.metadata["dataset"], []).append(one.label["answer"])
    for one in taken:
        others = answers[one.metadata["dataset"]]
        said = one.label["answer"] if rng.random() < right else rng.choice(others)
        text = said
        if options.answer == "tag":
            text = f"<{options.answer_tag}>{said}</{options.answer_tag}>"
        yield {"messages": [*one.messages, {"role": "assistant", "content": text}]}


if __name__ == "__main__":
    main()
