"""What this plugin tells the conformance suite: data, answers, and an episode with both tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from slime_hookspecs import Conformance, Example, Prompt

FOLDER: Final = Path(__file__).parent

#: Label, a right response, a wrong one.
ANSWERS: Final = (
    ("2146", "The calculator says 2146.\nAnswer: 2146", "Answer: 2147"),
    ("2146", "Answer: 2,146.", "2146, I am sure."),
    ("7/12", "Answer: 7/12", "Answer: 7"),
    ("0.125", "Answer: 1/8", "Answer: 0.12"),
    ("604800", "Answer: **604800**", "Answer: 604800 or 604801"),
    ("Paris", "Answer: Paris", "Answer: paris or London"),
    ("-5", "Answer: 7\nNo.\nAnswer: -5", "Answer: 5"),
)


def conformance() -> Conformance:
    """Both tools, in whatever isolation there is: the programs are the suite's own."""
    return Conformance(
        capabilities=frozenset({"deterministic", "multi_turn", "needs_sandbox"}),
        options={
            "data": str(FOLDER / "examples.jsonl"),
            "eval_data": [str(FOLDER / "examples_held_out.jsonl")],
            "tools": ["calculator", "python"],
            "require_isolation": "rlimits",
        },
        gold=[_example(number, label, right) for number, (label, right, _) in enumerate(ANSWERS)],
        bad=[_example(number, label, wrong) for number, (label, _, wrong) in enumerate(ANSWERS)],
        reward_range=(0.0, 1.0),
        replies=(
            "Let me see. " + _call("calculator", expression="37*58"),
            _call("python", code="print(37*58)"),
            "Answer: 2146",
        ),
    )


def _call(name: str, **arguments: Any) -> str:
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


def _example(number: int, label: str, response: str) -> Example:
    messages = [{"role": "user", "content": f"Problem {number}"}]
    return Prompt(f"example/{number}", messages, label), response
