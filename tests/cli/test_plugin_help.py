"""The options of a plugin, as ``slime --plugin NAME --help`` shows them."""

from __future__ import annotations

from collections.abc import Callable

from slime_core.cli.plugin_help import plugin_help

SOURCE = """
from dataclasses import dataclass, field
from typing import Literal
from slime_hookspecs import hookimpl

@dataclass(frozen=True)
class Options:
    level: Literal["easy", "hard"] = field(default="easy", metadata={"help": "how hard"})
    max_turns: int = field(default=3, metadata={"help": "most turns"})
    names: list[str] = field(default_factory=lambda: ["a"], metadata={"help": "who"})
    folder: str = field(default="", metadata={"help": "where " + "far " * 30})
    token: str = field(default="hunter2", metadata={"help": "a token", "secret": True})
    bare: float = 0.5

@hookimpl
def slime_options():
    return Options
"""


def shown(install: Callable[[str, str], None], name: str, source: str) -> list[str]:
    install(name, source)
    return plugin_help([name]).splitlines()


def test_each_option_has_flag_type_help_and_default(
    install_plugin: Callable[[str, str], None],
) -> None:
    lines = shown(install_plugin, "quiz_one", SOURCE)
    assert lines[:4] == [
        "options of plugin quiz_one (quiz-one-task 1.0):",
        "  --quiz-one.level easy|hard      how hard (default: easy)",
        "  --quiz-one.max-turns INT        most turns (default: 3)",
        "  --quiz-one.names LIST[STR]      who (default: ['a'])",
    ]
    assert lines[-1] == "  --quiz-one.bare FLOAT            (default: 0.5)"


def test_long_help_stays_within_the_width(install_plugin: Callable[[str, str], None]) -> None:
    lines = shown(install_plugin, "quiz_two", SOURCE)
    assert max(map(len, lines)) <= 100
    assert sum("far" in line for line in lines) > 1


def test_the_default_of_a_secret_is_not_shown(
    install_plugin: Callable[[str, str], None],
) -> None:
    assert "hunter2" not in "\n".join(shown(install_plugin, "quiz_three", SOURCE))


def test_a_plugin_without_options_says_so(install_plugin: Callable[[str, str], None]) -> None:
    source = (
        "from slime_hookspecs import hookimpl\n@hookimpl\ndef slime_batch_fields():\n  return []"
    )
    assert shown(install_plugin, "quiz_four", source) == [
        "options of plugin quiz_four (quiz-four-task 1.0):",
        "  no options",
    ]
