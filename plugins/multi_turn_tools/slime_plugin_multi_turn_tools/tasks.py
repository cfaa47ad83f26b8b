"""A task that two CPU cores can learn: products that take the calculator.

``python -m slime_plugin_multi_turn_tools.tasks --out demonstrations.jsonl`` writes conversations
for supervised fine-tuning, from which a tiny model learns the form of a call. Some of them guess
instead of calling, and guess wrong: what is better, reinforcement learning has to find out.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from slime_hookspecs import Message, Prompt

from slime_plugin_multi_turn_tools.tools.calculator import CALCULATOR

Problem: TypeAlias = tuple[int, int]

LEAST, MOST = 10, 99
HELD_OUT: Final = 200
SPLIT_SEED: Final = 1234
#: Part of the demonstrations that guess.
GUESSES: Final = 0.7


def problems() -> tuple[list[Problem], list[Problem]]:
    """All 8,100 pairs of two-digit numbers, split the same way always: train, 200 held out."""
    numbers = range(LEAST, MOST + 1)
    pairs = [(a, b) for a in numbers for b in numbers]
    random.Random(SPLIT_SEED).shuffle(pairs)
    return pairs[HELD_OUT:], pairs[:HELD_OUT]


def question(problem: Problem) -> str:
    """What the user asks, e.g. ``37*58=``."""
    return f"{expression(problem)}="


def expression(problem: Problem) -> str:
    """What the calculator is asked, e.g. ``37*58``."""
    return f"{problem[0]}*{problem[1]}"


def product(problem: Problem) -> int:
    """The right answer."""
    return problem[0] * problem[1]


def prompt(problem: Problem) -> Prompt:
    """The problem as a prompt, with its product as the label."""
    text = question(problem)
    messages: list[Message] = [{"role": "user", "content": text}]
    return Prompt(id=f"products/{text}", messages=messages, label=str(product(problem)))


def call_text(problem: Problem) -> str:
    """A call of the calculator as models of the Qwen family write it.

    SGLang reads it with ``--sglang-tool-call-parser qwen25``.
    """
    asked = {"name": "calculator", "arguments": {"expression": expression(problem)}}
    return f"<tool_call>\n{json.dumps(asked)}\n</tool_call>"


def call_message(problem: Problem, *, as_text: bool) -> Message:
    """The turn that calls: as text for templates that know no calls, else in OpenAI's form."""
    if as_text:
        return {"role": "assistant", "content": call_text(problem)}
    function = {"name": "calculator", "arguments": {"expression": expression(problem)}}
    call = {"id": "call00100", "type": "function", "function": function}
    return {"role": "assistant", "content": "", "tool_calls": [call]}


def demonstration(problem: Problem, *, as_text: bool = True) -> list[Message]:
    """A conversation that calls the calculator and repeats what it said."""
    result = str(product(problem))
    return [
        {"role": "user", "content": question(problem)},
        call_message(problem, as_text=as_text),
        {"role": "tool", "tool_call_id": "call00100", "name": "calculator", "content": result},
        {"role": "assistant", "content": f"Answer: {result}"},
    ]


def guess(problem: Problem, rng: random.Random) -> list[Message]:
    """A conversation that calls nothing and is wrong by up to a tenth."""
    right = product(problem)
    wrong = right + rng.choice([-1, 1]) * rng.randint(1, max(1, right // 10))
    return [
        {"role": "user", "content": question(problem)},
        {"role": "assistant", "content": f"Answer: {wrong}"},
    ]


def demonstrations(
    count: int, seed: int = 0, guesses: float = GUESSES, *, as_text: bool = True
) -> Iterator[list[Message]]:
    """Conversations about training problems, drawn with replacement.

    Args:
        count: How many.
        seed: Seed of the draw and of the guesses.
        guesses: Part of them that guesses.
        as_text: Write calls as text, for templates that know none.
    """
    rng, train = random.Random(seed), problems()[0]
    for _ in range(count):
        problem = rng.choice(train)
        guessing = rng.random() < guesses
        yield guess(problem, rng) if guessing else demonstration(problem, as_text=as_text)


def write_demonstrations(path: Path, rows: int, **choices: Any) -> Path:
    """Write conversations in the form that the plugin ``sft`` reads, one a line, with the tool.

    Args:
        path: The JSONL file.
        rows: Number of conversations.
        choices: Further arguments of ``demonstrations``.
    """
    with path.open("w", encoding="utf-8") as file:
        for messages in demonstrations(rows, **choices):
            row = {"messages": messages, "tools": [CALCULATOR.schema]}
            file.write(json.dumps(row) + "\n")
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Write demonstrations."""
    parser = argparse.ArgumentParser(
        prog="python -m slime_plugin_multi_turn_tools.tasks",
        description="Write conversations for supervised fine-tuning on the task 'products'.",
    )
    parser.add_argument("--out", type=Path, required=True, help="the JSONL file to write")
    parser.add_argument("--rows", type=int, default=20_000, help="number of conversations")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    parser.add_argument(
        "--guesses", type=float, default=GUESSES, help="part of them that calls nothing, wrongly"
    )
    parser.add_argument(
        "--calls",
        choices=("text", "messages"),
        default="text",
        help="calls as text, or as tool_calls for chat templates that know them",
    )
    given = parser.parse_args(arguments)
    write_demonstrations(
        given.out,
        given.rows,
        seed=given.seed,
        guesses=given.guesses,
        as_text=given.calls == "text",
    )


if __name__ == "__main__":
    main()
