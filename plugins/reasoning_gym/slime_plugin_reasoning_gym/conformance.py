"""What this plugin tells the conformance suite: data sets with levels, right and wrong answers."""

from __future__ import annotations

from typing import Any, Final

from slime_hookspecs import Conformance, Example, Prompt

#: Task, metadata that its scorer reads, right answer, a right response, a wrong one.
PROBLEMS: Final[tuple[tuple[str, dict[str, Any], str, str, str], ...]] = (
    ("leg_counting", {}, "42", "Ten cows and a snail: <answer>42</answer>", "<answer>41</answer>"),
    ("leg_counting", {}, "42", "<answer>7</answer> No. <answer> 42\n</answer>", "42, I am sure."),
    ("leg_counting", {}, "42", "<answer>42</answer> That is it.", "<answer>42"),
    ("leg_counting", {}, "42", "<answer><answer>42</answer>", "<answer></answer>"),
    # Quoting the instruction, or reversing the tags, is no answer.
    ("leg_counting", {}, "42", "</answer><answer>42</answer>", "between <answer> and </answer>"),
    ("leg_counting", {}, "42", "<answer>\t42 </answer>", "</answer>42<answer>"),
    # A program is no list, and no formula.
    ("n_queens", {"valid_answers": ["Q"]}, "Q", "<answer>Q</answer>", "<answer>exit()</answer>"),
    ("countdown", {"numbers": [2, 3], "target": 5}, "2 + 3", "<answer>3+2</answer>", "5"),
)


def conformance() -> Conformance:
    """Two data sets: one by name, and one from a table with parameters and a level."""
    return Conformance(
        capabilities=frozenset({"deterministic", "needs_sandbox"}),
        options={
            "tasks": ["leg_counting"],
            "datasets": {
                "sums": {
                    "task": "chain_sum",
                    "weight": 2.0,
                    "level": 1,
                    "config": {"allow_negation": True},
                }
            },
            "size": 40,
            "eval_size": 5,
            "curriculum": True,
        },
        gold=[_example(number, row, row[3]) for number, row in enumerate(PROBLEMS)],
        bad=[_example(number, row, row[4]) for number, row in enumerate(PROBLEMS)],
        reward_range=(0.0, 1.0),
    )


def _example(number: int, row: tuple[str, dict[str, Any], str, Any, Any], text: str) -> Example:
    task, metadata, answer, _, _ = row
    label = {
        "task": task,
        "answer": answer,
        "metadata": metadata,
        "config": "{}",
        "scope": "inclusive",
        "level": None,
    }
    return Prompt(f"example/{number}", [{"role": "user", "content": task}], label), text
