"""What the checks of rewards say of a value that is none: which response gave it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from slime_hookspecs.testing import Subject
from slime_hookspecs.testing.runner import perform

Open = Callable[[str], Subject]

SOURCE: Final = """
SUM = Prompt("sum", [{"role": "user", "content": "2+2="}], label="4")

def judge(sample):
    text = sample.response
    return float("nan") if %s else 1.0

@hookimpl
def slime_reward(sample):
    return judge(sample)

@hookimpl
def slime_group_reward(group):
    return [judge(one) for one in group.samples]

@hookimpl
def slime_conformance():
    return conformance(gold=[(SUM, "4")], bad=[(SUM, "5")])
"""
WHICH: Final = {
    "text == '4'": "its gold response '4'",
    "text == '5'": "its bad response '5'",
    "not text": "an empty response",
    "text.startswith('xxx')": f"the response {'x' * 200!r:.80}",
}


@pytest.mark.parametrize("tier", ["reward", "group_reward"])
@pytest.mark.parametrize("condition", WHICH)
def test_a_reward_that_is_no_number_is_told_with_its_response(
    condition: str, tier: str, subject: Open
) -> None:
    found = perform(subject(SOURCE % condition), f"{tier}.finite")
    assert found.text == (
        f"on prompt 'sum' and {WHICH[condition]}: its value is nan; it must be a finite number"
    )


@pytest.mark.parametrize("tier", ["reward", "group_reward"])
def test_a_strange_response_alone_that_gets_no_number_is_a_failure(
    tier: str, subject: Open
) -> None:
    found = perform(subject(SOURCE % "len(text) > 9999"), f"{tier}.pathological")
    assert found.status == "failed"
    assert found.text == "1 MB of one letter: its value is nan; it must be a finite number"


@pytest.mark.parametrize("tier", ["reward", "group_reward"])
def test_where_every_response_gets_no_number_one_check_says_so(tier: str, subject: Open) -> None:
    found = perform(subject(SOURCE % "True"), f"{tier}.pathological")
    assert found.text == f"its rewards are not finite, which {tier}.finite reports"


@pytest.mark.parametrize("check", ["generate.continues_after_abort", "resume.interrupted_episode"])
def test_answers_that_end_at_once_cannot_be_cut_off(check: str, subject: Open) -> None:
    opened = subject("""
@hookimpl
async def slime_generate(sample, engine):
    begin(sample, engine)
    sample.stop = await engine.generate(sample.trace)
    return sample

@hookimpl
def slime_conformance():
    return conformance(replies=[""])
""")
    assert perform(opened, check).text == "none of its answers is long enough to be cut off"
