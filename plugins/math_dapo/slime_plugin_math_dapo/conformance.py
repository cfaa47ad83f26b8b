"""What this plugin tells the conformance suite: a small data file, right and wrong answers."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from slime_hookspecs import Conformance, Example, Prompt

FOLDER: Final = Path(__file__).parent

#: Label, a right response, a wrong one.
ANSWERS: Final = (
    ("42", "37 and 5 make forty-two.\nAnswer: 42", "Answer: 43"),
    ("\\frac{1}{4}", "Answer: 0.25", "Answer: 1/2"),
    ("\\sqrt{2}", "So x is $\\sqrt{2}$.\nAnswer: $\\sqrt{2}$", "Answer: 1.41"),
    ("(3, 4)", "Answer: (3,4)", "Answer: 4"),
    ("x^2 + 2x + 1", "Answer: (x+1)^2", "Answer: x^2 + 1"),
    # Naming an answer early, hedging, and quoting the format are no answers.
    ("42", "Answer: 7\nNo, that is wrong.\nAnswer: 42", "42, I am sure."),
    ("42", "answer : 42", "Answer: 41 or 42"),
    ("42", "**Answer: $42$", "Answer:"),
)


def conformance() -> Conformance:
    """Answers compared as mathematics, which is where surprises are."""
    return Conformance(
        capabilities=frozenset({"deterministic"}),
        options={
            "data": str(FOLDER / "examples.jsonl"),
            "eval_data": [str(FOLDER / "examples_held_out.jsonl")],
            "verifier": "math",
        },
        gold=[_example(number, label, right) for number, (label, right, _) in enumerate(ANSWERS)],
        bad=[_example(number, label, wrong) for number, (label, _, wrong) in enumerate(ANSWERS)],
        reward_range=(0.0, 1.0),
    )


def _example(number: int, label: str, response: str) -> Example:
    messages = [{"role": "user", "content": f"Problem {number}"}]
    return Prompt(f"example/{number}", messages, label), response
