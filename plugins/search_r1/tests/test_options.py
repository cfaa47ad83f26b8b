"""Options: what is refused, and what the README says of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import ConfigError
from slime_plugin_search_r1 import Options, slime_defaults, slime_options
from slime_plugin_search_r1.questions import TEMPLATE

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"template": "Q:"}, r"search_r1\.template is 'Q:', without \{question\}"),
        ({"url": "http://a:1", "corpus": "c"}, "url and search_r1.corpus are both set"),
        ({"url": "127.0.0.1:8000"}, r"url is '127.0.0.1:8000'; it must be like http://127"),
        ({"url": "localhost"}, "it must be like"),
        ({"url": "ftp://a"}, "it must be like"),
        ({"url": "http://"}, "it must be like"),
        ({"url": "http://a:99999"}, "it must be like"),
        ({"url": "http://a:b"}, "it must be like"),
        ({"url": "http://[::1"}, "it must be like"),
        ({"top_k": 0}, r"search_r1\.top_k is 0; it must be 1 to 100"),
        ({"top_k": 101}, r"search_r1\.top_k is 101; it must be 1 to 100"),
        ({"max_replies": -1}, "max_replies is -1; it must be 0 or more"),
        ({"turn_tokens": -1}, "turn_tokens is -1; it must be 0 or more"),
        ({"information_tokens": 0}, "information_tokens is 0; it must be 1 or more"),
        ({"format_reward": -0.1}, "format_reward is -0.1; it must be 0 to 1"),
        ({"format_reward": 1.1}, "format_reward is 1.1; it must be 0 to 1"),
        ({"timeout_s": 0.0}, "timeout_s is 0.0; it must be 0.001 or more"),
        ({"timeout_s": -1.0}, "timeout_s is -1.0; it must be 0.001 or more"),
        ({"retries": -1}, "retries is -1; it must be 0 or more"),
        ({"connections": 0}, "connections is 0; it must be 1 or more"),
        ({"max_bad_lines": -1}, "max_bad_lines is -1; it must be 0 or more"),
    ],
)
def test_what_no_task_can_serve_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Options(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"url": "http://127.0.0.1:8000"},
        {"url": "https://search.example.org/v1/retrieve"},
        {"url": "http://[::1]:8000/"},
        {"format_reward": 1.0, "top_k": 100, "max_replies": 0, "retries": 0},
    ],
)
def test_the_ends_of_what_is_allowed_are_allowed(options: dict[str, Any]) -> None:
    assert dataclasses.asdict(Options(**options)) == {
        **dataclasses.asdict(Options()),
        **options,
    }


def test_every_option_has_a_default_and_a_help() -> None:
    assert slime_options() is Options
    for field in dataclasses.fields(Options):
        assert field.metadata["help"].strip()
    assert Options() == Options()


def test_the_table_of_options_in_the_readme_is_that_of_the_class() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    found = [line for line in lines if line.startswith("| `--search-r1.")]
    assert found == [
        f"| `--search-r1.{field.name.replace('_', '-')}` "
        f"| `{json.dumps(getattr(Options(), field.name))}` | {field.metadata['help']} |"
        for field in dataclasses.fields(Options)
    ]


def test_the_readme_shows_what_the_model_is_told() -> None:
    assert TEMPLATE.strip() in " ".join(README.read_text(encoding="utf-8").split())


def test_the_task_asks_for_several_answers_to_a_question() -> None:
    assert slime_defaults() == {"rollout": {"samples_per_prompt": 8}}
