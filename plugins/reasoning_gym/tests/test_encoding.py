"""Values through JSON and back."""

from __future__ import annotations

import datetime
import enum
import json
from collections import OrderedDict
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slime_plugin_reasoning_gym.encoding import decode, encode


def there_and_back(value: Any) -> Any:
    return decode(json.loads(json.dumps(encode(value))))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        {"a": [1, 2.5, "x", None]},
        (1, (2, [3])),
        {1: "a", 2: ("b",)},
        {(1, 2): {3}},
        {"!tuple": [1]},
        {"!dict": 1, "b": 2},
        {"!set": {"!set": ()}},
        frozenset({(1, 2), (3, 4)}),
        Fraction(1, 3),
        Decimal("0.10"),
        1 + 2j,
        datetime.date(2026, 2, 28),
        datetime.datetime(2026, 2, 28, 12, 30),
    ],
)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    found = there_and_back(value)
    assert (found, type(found)) == (value, type(value))


class Colour(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float64(0.5), 0.5),
        (np.int32(7), 7),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (Colour.RED, "red"),
        (OrderedDict(a=1), {"a": 1}),
        (Exception("no form"), "no form"),
    ],
)
def test_what_has_no_form_of_its_own_becomes_the_plain_value(value: Any, plain: Any) -> None:
    found = there_and_back(value)
    assert (found, type(found)) == (plain, type(plain))


def test_a_set_is_written_in_one_order() -> None:
    assert encode({"b", "a"}) == encode({"a", "b"}) == {"!set": ["a", "b"]}


keys = st.text() | st.integers() | st.sampled_from(["!tuple", "!dict", "!set", "!fraction"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.fractions(),
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=12,
)


@given(values)
def test_no_value_is_mistaken_for_another(value: Any) -> None:
    assert there_and_back(value) == value
