"""What a turn of the model does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slime_plugin_agent_gym import Options
from slime_plugin_agent_gym.actions import Mistake, read_action

NO_TAG = Mistake("There is no action. Write it between <action> and </action>.")
EMPTY = Mistake("The action is empty. Write one.")
NO_NUMBER = Mistake("The action is not a whole number. Write a whole number.")
NO_JSON = Mistake("The action is not JSON. Write JSON.")


@pytest.mark.parametrize(
    ("turn", "options", "action"),
    [
        (" go north\n", {}, "go north"),
        ("<action>a</action>", {}, "<action>a</action>"),
        ("", {}, EMPTY),
        (" \n", {}, EMPTY),
        ("I <action> a\n</action>.", {"action": "tag"}, "a"),
        ("<action>a</action><action>b</action>", {"action": "tag"}, "b"),
        ("<action>a", {"action": "tag"}, NO_TAG),
        ("</action>a<action>", {"action": "tag"}, NO_TAG),
        ("a", {"action": "tag"}, NO_TAG),
        ("<action> </action>", {"action": "tag"}, EMPTY),
        ("<do>a</do>", {"action": "tag", "action_tag": "do"}, "a"),
        (" 3 ", {"action_type": "int"}, 3),
        ("-3", {"action_type": "int"}, -3),
        ("3.0", {"action_type": "int"}, NO_NUMBER),
        ("three", {"action_type": "int"}, NO_NUMBER),
        ("9" * 5000, {"action_type": "int"}, NO_NUMBER),
        ('{"x": [1, 2]}', {"action_type": "json"}, {"x": [1, 2]}),
        ("{x}", {"action_type": "json"}, NO_JSON),
        ("[" * 100_000, {"action_type": "json"}, NO_JSON),
        ("<action>3</action>", {"action": "tag", "action_type": "int"}, 3),
    ],
)
def test_a_turn_is_an_action_or_a_mistake(turn: str, options: Any, action: Any) -> None:
    assert read_action(turn, Options(**options)) == action


@given(
    st.text(),
    st.sampled_from(["response", "tag"]),
    st.sampled_from(["text", "int", "json"]),
)
def test_no_turn_makes_it_fail(turn: str, action: Any, kind: Any) -> None:
    read_action(turn, Options(action=action, action_type=kind))
