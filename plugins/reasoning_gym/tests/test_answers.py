"""Which answer a response gives, and which of them a scorer may be given."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slime_plugin_reasoning_gym import Options
from slime_plugin_reasoning_gym.answers import EXPRESSION, LITERAL, extract, harmless


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<answer>42</answer>", "42"),
        ("<think>7</think>\n<answer>\n 4 2 \n</answer> Done.", "4 2"),
        ("<answer>41</answer> No: <answer>42</answer>", "42"),
        ("<answer>a <answer>42</answer>", "42"),
        ("<answer>42</answer> <answer>43", "42"),
        ("<answer></answer>", ""),
        ("42", None),
        ("<answer>42", None),
        ("</answer>42<answer>", None),
        ("<Answer>42</Answer>", None),
        ("", None),
    ],
)
def test_the_answer_is_in_the_last_pair_of_tags(response: str, answer: str | None) -> None:
    assert extract(response, Options()) == answer


def test_the_package_extracts_the_same_where_tags_are_not_nested() -> None:
    from reasoning_gym.utils import extract_answer

    for text in ("<answer> 42 </answer>", "<answer>1</answer><answer>2</answer>x", "42"):
        assert extract(text, Options()) == extract_answer(text)


def test_other_tags_or_none_can_be_asked_for() -> None:
    assert extract("<final>42</final><answer>7</answer>", Options(answer_tag="final")) == "42"
    assert extract(" so 42\n", Options(answer="response")) == "so 42"
    assert extract(" \n", Options(answer="response")) is None


def test_extraction_of_a_megabyte_of_tags_takes_no_time() -> None:
    start = time.perf_counter()
    assert extract("<answer>" * 125_000, Options()) is None
    assert extract("</answer>" * 125_000, Options()) is None
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize("task", sorted(LITERAL))
@pytest.mark.parametrize(
    ("answer", "fine"),
    [
        ("1 2 3", True),
        ("[1, 2, 3]", True),
        ("[[0, 1], [1, 0]]", True),
        ("['A', 'B']", True),
        ("A B C", True),
        ("ABCDE", True),
        ("", True),
        ("_ Q _\nQ _ _", True),
        ("__import__('os').system('id')", False),
        ("[].__class__", False),
        ("exit()", False),
        ("[0] * 10**10", False),
        ("(lambda: 1)()", False),
        ("[x for x in ()]", False),
        ("[" * 5000, False),
        ("f'{exit()}'", False),
        ("{1: 2}", False),
        ("9**9**9", False),
    ],
)
def test_where_a_list_is_read_by_eval_there_must_be_no_code(
    task: str, answer: str, fine: bool
) -> None:
    assert harmless(answer, task, "the right one") is fine


@pytest.mark.parametrize(
    ("answer", "task", "fine"),
    [
        ("3 + 4 * (2 - 1)", "countdown", True),
        ("(5 + 1) / 2 * 8", "puzzle24", True),
        ("x**2/2 + C", "simple_integration", True),
        ("x*exp(x) - exp(x) + C", "intermediate_integration", True),
        ("3*x^2 + 2*x1*y - 7", "polynomial_multiplication", True),
        ("(x + 1)**12", "polynomial_multiplication", True),
        ("0.5*x**(3)", "simple_integration", True),
        ("-x**4/2 + 10*x**3 - 75*x**2 + C", "intermediate_integration", True),
        ("x**(-1) + x**-2 + x**(1/2) + x**0.5 + 2**x", "simple_integration", True),
        ("((x + 1)**2)**3", "polynomial_multiplication", True),
        ("(((9**99)**99)**99)**99", "simple_integration", False),
        ("x**2**3", "simple_integration", False),
        ("9**9", "countdown", False),
        ("9^9", "puzzle24", False),
        ("9**9**9", "simple_integration", False),
        ("x**(9**9)", "simple_integration", False),
        ("x**1000", "polynomial_multiplication", False),
        ("x** (1000)", "polynomial_multiplication", False),
        ("9^9^9^9", "polynomial_multiplication", False),
        ("__import__('os')", "countdown", False),
        ("exit()", "countdown", False),
        ("x.__class__", "simple_integration", False),
        ("x . diff()", "simple_integration", False),
        ("99999999!", "puzzle24", False),
        ("[1]*9", "countdown", False),
        ("lambda: 1", "countdown", False),
        ("'a'", "countdown", False),
        ("1 if 1 else 2", "countdown", False),
        ("__", "countdown", False),
        ("1+" * 600, "countdown", False),
        ("Integral(x)", "simple_integration", False),
    ],
)
def test_where_a_formula_is_evaluated_there_must_be_nothing_else(
    answer: str, task: str, fine: bool
) -> None:
    assert harmless(answer, task, "the right one") is fine


@pytest.mark.parametrize("task", [*sorted(LITERAL), *sorted(EXPRESSION), "leg_counting"])
def test_the_right_answer_is_never_refused(task: str) -> None:
    assert harmless("exit()", task, "exit()")


def test_other_tasks_take_any_text_of_reasonable_length() -> None:
    assert harmless("exit()", "leg_counting", "42")
    assert harmless("x" * 2000, "leg_counting", "42")
    assert not harmless("x" * 2009, "leg_counting", "42")
    assert harmless("x" * 2009, "leg_counting", "y" * 10)


@given(st.text(), st.sampled_from([*LITERAL, *EXPRESSION]), st.none() | st.text())
def test_no_answer_makes_the_check_fail(answer: str, task: str, right: Any) -> None:
    assert harmless(answer, task, right) in (True, False)


@given(st.text(alphabet="x0123456789+-*/^(). _'[]", max_size=24))
def test_what_passes_as_a_formula_calls_no_attribute_and_makes_no_text(answer: str) -> None:
    if harmless(answer, "simple_integration", None):
        assert not set(answer) & set("'[]_")
