"""What this plugin tells the conformance suite: facts of its own, last turns, whole episodes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from slime_hookspecs import Conformance, Example, Prompt

FOLDER: Final = Path(__file__).parent
#: Facts about a country that is not on any map, so that no model knows them.
FACTS: Final = FOLDER / "facts.jsonl"
QUESTIONS: Final = FOLDER / "questions.jsonl"
HELD_OUT: Final = FOLDER / "questions_held_out.jsonl"

#: Right answers, a right last turn, a wrong one.
TURNS: Final = (
    (["heron"], "<think>It is a bird.</think><answer>Heron</answer>", "<answer>hero</answer>"),
    (["Oskarholm"], "<answer> oskarholm. </answer>", "<answer>Oskarholm or Graven</answer>"),
    (["The Hague", "Den Haag"], "<answer>den haag</answer>", "The Hague, I am sure."),
    (["The The"], "<answer>the The!</answer>", "<answer>the</answer>"),
    # Answering early, giving none, and repeating the instruction are no answers.
    (["79"], "<answer>1</answer> No: <answer>79</answer>", "<answer>79</answer> <answer>1"),
    (["Au"], "<answer>Au</answer>", "<answer></answer>"),
    (["Au"], "<answer>Au</answer>", "<answer> and </answer>"),
    (["Au"], "<answer>Au</answer>", "<answer>Au"),
    # What was found is no answer, nor is a query.
    (["Au"], "<answer>«Au»</answer>", "<information>Au</information>"),
    (["1862"], "<answer>(1862)</answer>", "<search>1862</search>"),
)

#: A search, one without a query, a turn without either, one that finds nothing, the answer.
REPLIES: Final = (
    "<think>I do not know this country.</think><search>longest river of Varnland</search>",
    "<think>Hm.</think><search> ? </search>",
    "It is long, I guess.",
    "<search>zzyzx</search>",
    "<think>So it is that.</think><answer>312 kilometres</answer>",
)


def conformance() -> Conformance:
    """Replies that search in the facts that come with the package."""
    return Conformance(
        capabilities=frozenset({"deterministic", "multi_turn", "needs_network"}),
        options={
            "data": [str(QUESTIONS)],
            "eval_data": [str(HELD_OUT)],
            "corpus": str(FACTS),
        },
        gold=[_example(number, row[0], row[1]) for number, row in enumerate(TURNS)],
        bad=[_example(number, row[0], row[2]) for number, row in enumerate(TURNS)],
        reward_range=(0.0, 1.0),
        replies=REPLIES,
    )


def _example(number: int, answers: list[str], response: str) -> Example:
    messages = [{"role": "user", "content": f"Question {number}"}]
    return Prompt(f"example/{number}", messages, answers), response
