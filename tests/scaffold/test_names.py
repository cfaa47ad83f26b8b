"""What a plugin may be called, and what is said to a name that it may not have."""

from __future__ import annotations

import dataclasses
import keyword
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slime_hookspecs import HOOKS, ConfigError

from slime_core.config.schema import Config
from slime_core.plugins.installed import Plugin
from slime_core.scaffold import check_name, folder_name, nearest_right

TAKEN = Plugin("sums", "other-sums", "1.0", "other_sums", (), "/site")
TAKEN_FOLDER = Plugin("addition", "slime-plugin-two-words", "2.0", "addition", (), "/site")


def refusal(name: str, *installed: Plugin) -> str:
    with pytest.raises(ConfigError) as refused:
        check_name(name, installed)
    return str(refused.value)


@pytest.mark.parametrize("name", ["sums", "two_words", "x", "gsm8k", "a1_b2", "a" * 30])
def test_lower_case_words_are_right(name: str) -> None:
    check_name(name, [TAKEN_FOLDER] if name != "two_words" else [])
    assert nearest_right(name) == name


HOOK = "hooks begin with slime_, and the package is called slime_plugin_... by itself"
WORDS = "it must be lower-case words of letters and digits with one _ between"


@pytest.mark.parametrize(
    ("name", "why", "near"),
    [
        ("My-Task", WORDS, "my_task"),
        ("MyTask", WORDS, "my_task"),
        ("my task", WORDS, "my_task"),
        ("my__task", WORDS, "my_task"),
        ("_task", WORDS, "task"),
        ("task_", WORDS, "task"),
        ("2048", WORDS, "my_task"),
        ("2048_game", WORDS, "game"),
        ("größe", WORDS, "groe"),
        ("数学", WORDS, "my_task"),
        ("", WORDS, "my_task"),
        ("../etc", WORDS, "etc"),
        ("slime-plugin-sums", WORDS, "sums"),
        ("class", "it is a word of Python", "class_task"),
        ("import", "it is a word of Python", "import_task"),
        ("slime_reward", HOOK, "reward_task"),
        ("slime_sums", HOOK, "sums"),
        ("slime_plugin_sums", HOOK, "sums"),
        ("reward", "that is what slime calls a hook", "reward_task"),
        ("rollout", "that is what slime calls a setting of runs", "rollout_task"),
        ("core", "that is what slime calls a part of itself", "core_task"),
        ("a" * 31, "it has 31 letters; 30 are allowed", "a" * 22),
    ],
)
def test_another_name_is_refused_with_one_that_is_right(name: str, why: str, near: str) -> None:
    assert refusal(name) == (
        f"{name!r} cannot be a plugin's name: {why}\n  a name near it that is right: {near}"
    )
    check_name(near)


@pytest.mark.parametrize("name", [info.role for info in HOOKS.values()])
def test_no_plugin_is_called_as_a_hook_is(name: str) -> None:
    assert "that is what" in refusal(name)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Config)])
def test_no_plugin_is_called_as_a_setting_of_runs_is(field: str) -> None:
    assert "cannot be a plugin's name" in refusal(field)


def test_an_installed_plugin_keeps_its_name() -> None:
    assert refusal("sums", TAKEN) == (
        "'sums' cannot be a plugin's name: sums (other-sums 1.0) is installed here\n"
        "  a name near it that is right: sums_task"
    )


def test_an_installed_distribution_keeps_its_name() -> None:
    assert "addition (slime-plugin-two-words 2.0) is installed here" in refusal(
        "two_words", TAKEN_FOLDER
    )


def test_a_name_that_is_proposed_is_not_taken_either() -> None:
    others = [dataclasses.replace(TAKEN, name=name) for name in ("sums", "sums_task")]
    assert nearest_right("sums", others) == "my_sums"


@given(st.text(max_size=60))
def test_whatever_is_asked_for_what_is_proposed_is_right(name: str) -> None:
    near = nearest_right(name, [TAKEN])
    check_name(near, [TAKEN])
    assert re.fullmatch("[a-z][a-z0-9_]*", near)
    assert not keyword.iskeyword(near)


def test_the_folder_is_called_as_the_distribution_is() -> None:
    assert folder_name("two_words") == "slime-plugin-two-words"
