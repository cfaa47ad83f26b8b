"""The calculator: right about arithmetic, closed to everything else, bounded in all it does."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slime_plugin_multi_turn_tools.tools.calculator import CALCULATOR, evaluate, spell
from slime_plugin_multi_turn_tools.tools.tool import ToolError


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("37*58", 2146),
        (" 1 + 2 ", 3),
        ("12*(3+4)", 84),
        ("2+3*4", 14),
        ("2**10", 1024),
        ("-2**2", -4),
        ("(-2)**2", 4),
        ("--5", 5),
        ("+5", 5),
        ("7//2", 3),
        ("-7//2", -4),
        ("7%3", 1),
        ("7/2", 3.5),
        ("6/2", 3.0),
        ("1e3", 1000.0),
        (".5+.5", 1.0),
        ("0x10", 16),
        ("1_000", 1000),
        ("3×4", 12),
        ("3·4", 12),
        ("12÷4", 3.0),
        ("5−3", 2),
        ("5–3", 2),
        ("abs(-3)", 3),
        ("ceil(1.2)", 2),
        ("floor(-1.2)", -2),
        ("round(2.567, 2)", 2.57),
        ("round(2.5)", 2),
        ("sqrt(16)", 4.0),
        ("gcd(12, 18)", 6),
        ("gcd(12, 18, 4)", 2),
        ("max(1, 2, 3)", 3),
        ("min(4, 2)", 2),
        ("log(e)", 1.0),
        ("log(8, 2)", 3.0),
        ("exp(0)", 1.0),
        ("pi", math.pi),
        ("2*pi*e", 2 * math.pi * math.e),
        ("2**0.5", 2**0.5),
        ("2**-1", 0.5),
        ("1**100000", 1),
        ("(-1)**100001", -1),
        ("0**0", 1),
    ],
)
def test_arithmetic_has_its_value(expression: str, value: float) -> None:
    assert evaluate(expression) == value
    assert type(evaluate(expression)) is type(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (-5, "-5"),
        (5.0, "5"),
        (-0.0, "0"),
        (3.5, "3.5"),
        (0.1 + 0.2, "0.3"),
        (1 / 3, "0.333333333333"),
        (1e15, "1e+15"),
        (1e14, "100000000000000"),
        (1.5e-9, "1.5e-09"),
        (2**70, "1180591620717411303424"),
    ],
)
def test_values_are_spelt_as_people_write_them(value: float, text: str) -> None:
    assert spell(value) == text


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("", "'' is not arithmetic, like 12*(3+4)"),
        ("2+", "'2+' is not arithmetic, like 12*(3+4)"),
        ("two plus two", "'two plus two' is not arithmetic, like 12*(3+4)"),
        ("x=1", "'x=1' is not arithmetic, like 12*(3+4)"),
        ("1\0", "'1\\x00' is not arithmetic, like 12*(3+4)"),
        ("007", "'007' is not arithmetic, like 12*(3+4)"),
        ("1/0", "division by zero"),
        ("1//0", "division by zero"),
        ("1%0", "division by zero"),
        ("0**-1", "division by zero"),
        ("sqrt(-1)", "'sqrt(-1)' has no value here: math domain error"),
        ("log(0)", "'log(0)' has no value here: math domain error"),
        ("gcd(1.5, 2)", "'gcd(1.5, 2)' has no value here: 'float' object cannot be interpreted "),
        ("1e308*10", "the result is not a finite real number"),
        ("1e999", "the result is not a finite real number"),
        ("(-8)**0.5", "the result is not a finite real number"),
        ("exp(1000)", "'exp(1000)' has no value here: math range error"),
        ("2.0**5000", "'2.0**5000' has no value here: "),
        ("2^3", "use + - * / // % and ** (for powers)"),
        ("1|2", "use + - * / // % and ** (for powers)"),
        ("1<<2", "use + - * / // % and ** (for powers)"),
        ("sin(1)", "there is no function 'sin': numbers, "),
        ("abs()", "abs takes 1 numbers, not 0"),
        ("gcd(1)", "gcd takes 2 to 8 numbers, not 1"),
        ("log(1, 2, 3)", "log takes 1 to 2 numbers, not 3"),
        ("round(1, 10**6)", "round takes a number of digits below 500"),
    ],
)
def test_what_has_no_value_is_told_in_a_line(expression: str, told: str) -> None:
    with pytest.raises(ToolError) as caught:
        evaluate(expression)
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')",
        "open('/etc/passwd')",
        "(1).__class__",
        "abs.__self__",
        "[1, 2][0]",
        "'a'*10",
        "b'a'",
        "True",
        "None",
        "...",
        "1j",
        "1 if 1 else 2",
        "1 and 2",
        "1 < 2",
        "lambda: 1",
        "(x := 1)",
        "f'{1}'",
        "[x for x in (1,)]",
        "abs(*[1])",
        "abs(x=1)",
        "max(1, 2, **{})",
        "pow(2, 3)",
        "x",
        "not 1",
        "~1",
        "await x",
        "yield",
        "(1, 2)",
        "{1}",
        "1; 2",
    ],
)
def test_nothing_but_arithmetic_is_evaluated(expression: str) -> None:
    with pytest.raises(ToolError, match=r"is not arithmetic|there is no function"):
        evaluate(expression)


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("9" * 501, "the expression has 501 characters, 500 are allowed"),
        ("9**9**9", "the power is too large"),
        ("10**10000", "the power is too large"),
        ("2**4097", "the power is too large"),
        ("3**4000", "a number on the way has more than 1200 digits"),
        ("(2**4000)*(2**4000)", "a number on the way has more than 1200 digits"),
        ("(2**4000)**2", "the power is too large"),
        ("+".join(["2**4095"] * 3), "a number on the way has more than 1200 digits"),
        ("-" * 400 + "1", "the expression nests more than 60 deep"),
        ("(" * 240 + "1" + ")" * 240, "is not arithmetic"),
        ("1+" * 200 + "1", "the expression nests more than 60 deep"),
        ("abs(" * 80 + "1" + ")" * 80, "the expression nests more than 60 deep"),
    ],
)
def test_too_much_is_refused_before_it_costs_anything(expression: str, told: str) -> None:
    started = time.perf_counter()
    with pytest.raises(ToolError) as caught:
        evaluate(expression)
    assert time.perf_counter() - started < 0.5
    assert told in str(caught.value)
    assert len(str(caught.value)) < 300


def test_strange_texts_are_refused_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    for text in ("1if 2else 3", "0in x", "1or 2", "0xfor x in y", "'\\d'"):
        with pytest.raises(ToolError):
            evaluate(text)
    assert not recwarn.list


def test_the_largest_numbers_can_still_be_spelt() -> None:
    assert len(spell(evaluate("2**4095"))) == 1233


numbers = st.integers(0, 10**6).map(str) | st.floats(0, 1e6).map(lambda x: f"{x:.3f}")
expressions = st.recursive(
    numbers,
    lambda inner: (
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({''.join(t)})")
        | inner.map(lambda one: f"-{one}")
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(expressions)
def test_it_agrees_with_python(expression: str) -> None:
    try:
        expected = eval(expression)
    except ZeroDivisionError:
        with pytest.raises(ToolError):
            evaluate(expression)
    else:
        assert evaluate(expression) == expected


@settings(deadline=None)
@given(st.text(max_size=40) | st.text("0123456789+-*/%.()e ,sqrtabminx", max_size=40))
def test_any_text_has_a_value_or_an_error(expression: str) -> None:
    try:
        value = evaluate(expression)
    except ToolError:
        return
    assert math.isfinite(value)
    assert spell(value)


async def test_the_tool_answers_with_the_value_as_text() -> None:
    assert await CALCULATOR.run({"expression": "37*58"}) == "2146"


def test_the_schema_is_what_a_chat_template_shows() -> None:
    assert CALCULATOR.schema == {
        "type": "function",
        "function": {
            "name": "calculator",
            "description": "Evaluates an arithmetic expression and returns its value.",
            "parameters": {
                "type": "object",
                "properties": {
                    "expression": {
                        "type": "string",
                        "description": "The expression, e.g. 12*(3+4). Powers are **.",
                    }
                },
                "required": ["expression"],
            },
        },
    }
