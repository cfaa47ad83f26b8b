"""The reward without labels."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slime_hookspecs import ConfigError, Group, Prompt, Reward, Sample

from slime_core.builtin import majority_vote

PROMPT = Prompt("p", [{"role": "user", "content": "1+1="}])
votes = st.lists(st.sampled_from(["1", "2", "3", None]), max_size=12)


def score(ctx: Any, *responses: str) -> list[Reward]:
    samples = [Sample(i, 0, PROMPT, response=text) for i, text in enumerate(responses)]
    return majority_vote.slime_group_reward(Group(0, PROMPT, samples), ctx)


def test_the_majority_gets_1_and_everybody_else_0(make_context: Any) -> None:
    ctx = make_context(majority_vote.Options())
    found = score(ctx, r"\boxed{4}", r"\boxed{5}", "no idea", r"so \boxed{ 4 }.")
    told = {"agreement": 0.5, "answered": 1.0}
    assert found == [
        Reward(1.0, told),
        Reward(0.0, told),
        Reward(0.0, {"agreement": 0.5, "answered": 0.0}),
        Reward(1.0, told),
    ]


@pytest.mark.parametrize(
    ("pattern", "response", "expected"),
    [
        (None, r"\boxed{1} no, \boxed{2}", "2"),
        (None, r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (None, "\\boxed{ a\n  b }", "a b"),
        (None, r"\boxed{}", None),
        (None, r"\boxed{4", None),
        (None, "", None),
        (r"Answer: (\w+)|#### (\w+)", "Answer: 7 #### 8", "8"),
        (r"Answer: (\w+)|#### (\w+)", "#### 8 Answer: 7", "7"),
        (r"\d+", "12 or 34", "34"),
    ],
)
def test_the_answer_is_the_last_match(
    pattern: str | None, response: str, expected: str | None
) -> None:
    options = majority_vote.Options() if pattern is None else majority_vote.Options(pattern)
    assert majority_vote.answer(re.compile(options.pattern), response) == expected


@pytest.mark.parametrize("responses", [[], [""], ["no", "idea"]])
def test_without_answers_nobody_gets_anything(responses: list[str], make_context: Any) -> None:
    found = score(make_context(majority_vote.Options()), *responses)
    assert found == [Reward(0.0, {"agreement": 0.0, "answered": 0.0})] * len(responses)


@given(votes, st.randoms(use_true_random=False))
def test_the_winner_has_most_votes_and_no_order_changes_it(
    answers: list[str | None], rng: random.Random
) -> None:
    winner = majority_vote.majority("p", answers)
    given_answers = [one for one in answers if one is not None]
    assert (winner is None) == (not given_answers)
    if winner is not None:
        assert given_answers.count(winner) == max(map(given_answers.count, given_answers))
    shuffled = list(answers)
    rng.shuffle(shuffled)
    assert majority_vote.majority("p", shuffled) == winner


def test_ties_favour_neither_small_nor_short_answers() -> None:
    winners = [majority_vote.majority(f"p{i}", ["1", "22"]) for i in range(200)]
    assert 60 < winners.count("1") < 140


def test_a_tie_ends_alike_in_every_process() -> None:
    code = (
        "from slime_core.builtin.majority_vote import majority\n"
        "print([majority(f'p{i}', ['1', '2', '3']) for i in range(20)])"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_text_that_is_no_unicode_has_a_vote(make_context: Any) -> None:
    found = score(make_context(majority_vote.Options()), "\\boxed{\ud800}", "")
    assert [one.value for one in found] == [1.0, 0.0]


def test_a_pattern_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"majority_vote.pattern '\(': missing \)"):
        majority_vote.Options("(")
