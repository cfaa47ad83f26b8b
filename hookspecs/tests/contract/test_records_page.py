"""The page of records says all that the types and their docstrings know."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import slime_hookspecs
from slime_hookspecs import HOOKS, Engine, Sample, StopReason, datasets, docs_records, docs_text
from slime_hookspecs.docs_examples import EXAMPLES
from slime_hookspecs.docs_records import CHAPTERS, CONTRACT, MADE_BY, SET_BY, records

PAGE = Path(__file__).parents[3] / "docs" / "records.md"
TEXT = records()
PARTS = re.split(r"^##+ (.*)\n", TEXT, flags=re.M)
SECTIONS = dict(zip(PARTS[1::2], PARTS[2::2], strict=True))
SHOWN = [name for chapter in CHAPTERS for name in chapter.names]

#: Public names that need no section: they are on the page of hooks, or in a chapter of their own.
ELSEWHERE = {
    *(name for part in ("enums", "errors") for name in CONTRACT[part] if name != "StopReason"),
    *("API_VERSION", "AnyContext", "CAPABILITIES", "ENTRY_POINT_GROUP", "HOOKS", "HookInfo"),
    *("NO_VERSION", "PROJECT", "SlimeSpecs", "hookimpl"),
}


def rows(section: str, column: int = 0) -> dict[str, list[str]]:
    """The rows of all tables of a section by the code in one of their cells."""
    lines = [line for line in SECTIONS[section].splitlines() if line.startswith("| `")]
    cells = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return {line[column].strip("`"): line for line in cells}


def test_the_page_is_what_the_types_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == TEXT, "docs/records.md is out of date: make docs"


def test_the_command_prints_it() -> None:
    command = [sys.executable, "-m", "slime_hookspecs.docs", "--records"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == TEXT


def test_every_public_name_has_a_section_or_is_told_of_elsewhere() -> None:
    assert set(slime_hookspecs.__all__) == (
        {name for name in SHOWN if hasattr(slime_hookspecs, name)} | ELSEWHERE
    )
    assert not ELSEWHERE & set(SHOWN)
    for name in CONTRACT["errors"]:
        assert f" {name} " in SECTIONS["Errors"].replace("SlimeError\n", " SlimeError ")


def test_what_a_reward_needs_comes_first_and_each_name_once() -> None:
    assert SHOWN[:2] == ["Sample", "Prompt"]
    assert len(set(SHOWN)) == len(SHOWN)
    titles = [part for chapter in CHAPTERS for part in (chapter.title, *chapter.names)]
    assert list(SECTIONS) == titles


@pytest.mark.parametrize("name", [n for n in SHOWN if n in CONTRACT["records"]])
def test_a_record_is_told_of_field_by_field(name: str) -> None:
    kind: Any = getattr(slime_hookspecs, name)
    told = rows(name)
    fields = dataclasses.fields(kind)
    assert list(told)[: len(fields)] == [field.name for field in fields]
    for field in fields:
        _, written, default, meaning, *_ = told[field.name]
        assert written.strip("`").replace("\\|", "|") == CONTRACT["records"][name]["fields"][
            field.name
        ].get("type")
        must = field.default is field.default_factory is dataclasses.MISSING
        assert bool(default.strip()) is not must, field.name
        assert len(meaning.split()) > 1, field.name
    assert ("Frozen." in SECTIONS[name]) is CONTRACT["records"][name]["frozen"]
    assert SECTIONS[name].strip().startswith(docs_text.first_sentence(kind))


@pytest.mark.parametrize("name", [n for n in SHOWN if n in CONTRACT["interfaces"]])
def test_an_interface_is_told_of_member_by_member(name: str) -> None:
    found = re.findall(r"^\| `(?:async |\w+\.)?(\w+)[(`]", SECTIONS[name], re.M)
    assert found == list(CONTRACT["interfaces"][name])
    for member in found:
        about = getattr(getattr(slime_hookspecs, name), member)
        assert docs_text.first_sentence(about) in SECTIONS[name], member


def test_a_method_is_written_as_it_is_called() -> None:
    told = rows("Engine")
    call = "async generate(trace: Trace, sampling: Sampling \\| None = None)"
    assert told[call][1] == "`StopReason`"
    for part in ("Returns `STOP`, ", "Raises `EngineError`: no server answered"):
        assert part in told[call][2]
    assert "Trace.from_list(rows: Iterable[dict[str, Any]])" in rows("Trace")


def test_a_sample_says_who_sets_each_field() -> None:
    assert list(SET_BY) == [field.name for field in dataclasses.fields(Sample)]
    for name, row in rows("Sample").items():
        assert row[4] == SET_BY[name]


def test_defaults_are_written_as_in_python() -> None:
    assert rows("Sample")["stop"][2] == "`StopReason.PENDING`"
    assert rows("Sample")["fields"][2] == "`{}`"
    assert rows("Sampling")["extra"][2] == "`{}`"
    assert rows("Segment")["weight_version"][2] == "`-1`"


def test_each_stop_reason_has_its_meaning() -> None:
    told = rows("StopReason")
    assert [(name, row[1]) for name, row in told.items()] == [
        (reason.name, f"`{reason.value}`") for reason in StopReason
    ]
    assert told["TURNS"][2] == "the turn budget of an episode ran out"


def test_each_key_of_a_batch_has_its_type_and_meaning() -> None:
    told = rows("Batch")
    assert set(told) == slime_hookspecs.batch.CORE_FIELDS
    assert told["loss_mask"][1:] == ["`float32 [tokens]`", "1 where the loss sees the token"]
    assert all(row[2].strip() for row in told.values())


def test_each_helper_for_data_is_told_of() -> None:
    functions = {n for n in datasets.__all__ if inspect.isfunction(getattr(datasets, n))}
    told = {call.partition("(")[0] for call in rows("slime_hookspecs.datasets")}
    assert told == functions
    assert set(datasets.__all__) - functions == {"PLACEHOLDER", "PromptSource", "Row"}


def test_the_kit_is_told_of_in_brief() -> None:
    from slime_hookspecs.testing import kit

    assert list(rows("Test kit")) == kit.__all__
    assert all(len(row[1].split()) > 2 for row in rows("Test kit").values())


def test_each_hook_shows_what_it_is_given_and_gives_back() -> None:
    for name, info in HOOKS.items():
        (line,) = [x for x in PARTS[0].splitlines() if x.startswith(f"| [`{name}`]")]
        given = line.split(" | ")[1]
        assert re.findall(r"(\w+): ", given) == list(info.parameters)
    assert "| float \\| [Reward](#reward) |" in PARTS[0]


def test_who_makes_a_thing_is_said_of_things_that_are_there() -> None:
    assert set(MADE_BY) <= set(SHOWN)
    assert "Made by filters." in SECTIONS["Verdict"]


def test_examples_stand_where_they_belong() -> None:
    assert set(EXAMPLES) <= set(SECTIONS)
    for name, text in EXAMPLES.items():
        assert f"```python\n{text.strip()}\n```" in SECTIONS[name]
        compile(text, name, "exec")


def test_a_docstring_is_read_in_its_parts() -> None:
    doc = docs_text.parsed(
        "What it is.\n\nMore of ``it``,\nin lines.\n\nArgs:\n    one: First, which goes\n"
        "        on: here.\n    two: Second.\n\nReturns:\n    A thing.\n\nRaises:\n"
        "    ValueError: it is\n        wrong."
    )
    assert doc == docs_text.Doc(
        "What it is. More of `it`, in lines.",
        {"one": "First, which goes on: here.", "two": "Second."},
        {"ValueError": "it is wrong."},
        "A thing.",
    )
    assert doc.whole == (
        "What it is. More of `it`, in lines. `one`: First, which goes on: here. "
        "`two`: Second. Returns A thing. Raises `ValueError`: it is wrong."
    )
    assert docs_text.parsed("") == docs_text.Doc("", {}, {}, "")


def test_what_is_in_a_cell_stays_in_it() -> None:
    assert docs_text.table(("a", "b"), [("`int | None`", "")]) == (
        "| a | b |\n| --- | --- |\n| `int \\| None` |  |"
    )


def test_a_property_that_is_cached_is_a_member_as_any_other() -> None:
    assert rows("Context")["rng"][1:] == [
        "`random.Random`",
        "A random generator seeded with `seed`.",
    ]


def test_what_a_step_is_where_groups_are_made_without_a_pause_is_said() -> None:
    told = rows("Context")["step"][3]
    assert "`--schedule async`" in told
    assert docs_text.doc_of(Engine.render).text in TEXT


def test_types_of_options_are_told_with_values() -> None:
    assert len(rows("Plugin options")) == len(docs_records.OPTION_TYPES) + 1
