"""What ``slime plugins`` says of a healthy plugin, value for value, and of certificates."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slime_core.cli.main import main

Install = Callable[[str, str], None]

WELL = """
import json
from dataclasses import dataclass, field
from slime_hookspecs import hookimpl

@dataclass(frozen=True)
class Inner:
    depth: int = field(default=1, metadata={"help": "how deep"})

@dataclass(frozen=True)
class Options:
    scale: float = field(default=1.0, metadata={"help": "factor"})
    inner: Inner = field(default=Inner(), metadata={"help": "more"})
    levels: list[Inner] = field(default_factory=list)
    key: str = field(default="", metadata={"help": "token", "secret": True})

@hookimpl
async def slime_reward(sample, ctx):
    return 1.0

@hookimpl
def slime_options():
    return Options
"""

OPTIONS = {
    "title": "Options",
    "type": "object",
    "properties": {
        "scale": {"type": "number", "default": 1.0, "description": "factor"},
        "inner": {"$ref": "#/$defs/Inner", "default": {"depth": 1}, "description": "more"},
        "levels": {"type": "array", "items": {"$ref": "#/$defs/Inner"}, "default": []},
        "key": {"type": "string", "description": "token", "writeOnly": True},
    },
    "required": [],
    "additionalProperties": False,
    "$defs": {
        "Inner": {
            "title": "Inner",
            "type": "object",
            "properties": {"depth": {"type": "integer", "default": 1, "description": "how deep"}},
            "required": [],
            "additionalProperties": False,
        }
    },
}


def entry(site: Path, **changes: Any) -> dict[str, Any]:
    """What metadata says of the plugin ``well``."""
    return {
        "name": "well",
        "distribution": "well-task",
        "version": "1.0",
        "entry_point": "well_task",
        "location": str(site),
        "requires_api": ">=0.1,<0.2",
        "status": "ok",
        "detail": "",
        "blocked_by": "",
        "blocked_hooks": {},
        **changes,
    }


def facts(site: Path, **changes: Any) -> dict[str, Any]:
    """What the doctor says of it."""
    return {
        **entry(site),
        "probe": {
            "outcome": "ok",
            "error": "",
            "import_s": 0.0,
            "heavy": [],
            "cuda": False,
            "hooks": ["slime_options", "slime_reward"],
        },
        "options": OPTIONS,
        "conflicts": [],
        "conformance": None,
        "problems": [],
        "warnings": [],
        "ok": True,
        **changes,
    }


@pytest.fixture
def well(install_plugin: Install, tmp_path: Path) -> Path:
    """The folder in which a plugin without a fault is installed."""
    install_plugin("well", WELL)
    return tmp_path / "site"


def answer(capsys: pytest.CaptureFixture[str], *line: str) -> tuple[int, Any]:
    status = main(["plugins", *line, "--json"])
    return status, json.loads(capsys.readouterr().out)


def without_time(found: dict[str, Any]) -> dict[str, Any]:
    """The facts with the time of the import, which is looked at here, as 0."""
    assert 0 < found["probe"]["import_s"] < 30
    return {**found, "probe": {**found["probe"], "import_s": 0.0}}


def test_the_doctor_tells_all_about_a_healthy_plugin(well: Path, capsys: Any) -> None:
    status, tree = answer(capsys, "doctor", "well")
    (found,) = tree.pop("plugins")
    assert (status, tree) == (0, {"schema": "slime.plugins.doctor/1", "api": "0.1", "ok": True})
    assert without_time(found) == facts(well)


def test_info_adds_where_it_comes_from_and_what_it_needs(well: Path, capsys: Any) -> None:
    status, found = answer(capsys, "info", "well")
    assert re.fullmatch(r"record:[0-9a-f]{64}", found.pop("origin"))
    assert status == 0
    assert without_time(found) == {
        "schema": "slime.plugins.info/1",
        **facts(well),
        "summary": "",
        "requires": ["slime-hookspecs>=0.1,<0.2"],
    }


def test_the_schema_has_nested_options_with_their_help_and_no_secret(
    well: Path, capsys: Any
) -> None:
    assert answer(capsys, "schema", "well") == (
        0,
        {"schema": "slime.plugins.schema/1", "plugin": "well", "options": OPTIONS},
    )


def test_the_list_has_the_same_values_without_importing_it(well: Path, capsys: Any) -> None:
    status, tree = answer(capsys, "list")
    assert (status, tree["schema"]) == (0, "slime.plugins.list/1")
    assert [one for one in tree["plugins"] if one["name"] == "well"] == [entry(well)]


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        (
            ("--block", "well.reward"),
            {
                "detail": "without slime_reward: blocked by --block well.reward",
                "blocked_hooks": {"slime_reward": "--block well.reward"},
            },
        ),
        (
            ("--block", "well-task"),
            {
                "status": "blocked",
                "detail": "by --block well-task",
                "blocked_by": "--block well-task",
            },
        ),
        (
            ("--trust", "acme"),
            {
                "status": "blocked",
                "detail": "by --trust, which trusts acme only",
                "blocked_by": "--trust, which trusts acme only",
            },
        ),
        (("--block", "another", "--trust", "well-*"), {}),
    ],
)
def test_the_list_shows_what_is_blocked_and_by_whom(
    well: Path, capsys: Any, arguments: tuple[str, ...], changes: dict[str, Any]
) -> None:
    _, tree = answer(capsys, "list", *arguments)
    assert [one for one in tree["plugins"] if one["name"] == "well"] == [entry(well, **changes)]


def test_blocks_of_a_settings_file_and_of_the_environment_name_their_source(
    well: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "run.toml"
    file.write_text('block = ["well"]\n')
    _, tree = answer(capsys, "list", "--config", str(file))
    (found,) = (one for one in tree["plugins"] if one["name"] == "well")
    assert found["blocked_by"] == f"{file}: block well"
    monkeypatch.setenv("SLIME_PLUGINS_BLOCK", "well.reward")
    _, tree = answer(capsys, "list")
    (found,) = (one for one in tree["plugins"] if one["name"] == "well")
    assert found["blocked_hooks"] == {"slime_reward": "SLIME_PLUGINS_BLOCK well.reward"}


def test_a_blocked_plugin_is_not_imported_by_the_doctor(
    install_plugin: Install, capsys: Any, tmp_path: Path
) -> None:
    install_plugin("well", f"open({str(tmp_path / 'imported')!r}, 'w')")
    status, tree = answer(capsys, "doctor", "well", "--block", "well")
    assert (status, tree["plugins"][0]["probe"]) == (0, None)
    assert not (tmp_path / "imported").exists()


def test_a_person_reads_the_same_facts(well: Path, capsys: Any) -> None:
    assert main(["plugins", "doctor", "well"]) == 0
    out = re.sub(r"\d+\.\d\d s", "0.00 s", capsys.readouterr().out)
    assert out.splitlines() == [
        "ok         well (well-task 1.0)",
        "           written for  >=0.1,<0.2",
        "           import       0.00 s",
        "           hooks        options, reward",
        "           options      scale, inner, levels, key",
        "plugins: 1, broken: 0, warnings: 0",
    ]
    assert main(["plugins", "schema", "well"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "FLAG           ENVIRONMENT        DEFAULT       HELP",
        "--well.scale   SLIME_WELL_SCALE   1.0           factor",
        '--well.inner   SLIME_WELL_INNER   {"depth": 1}  more',
        "--well.levels  SLIME_WELL_LEVELS  []",
        "               SLIME_WELL_KEY                   token",
    ]
    assert main(["plugins", "info", "well"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["options", "--well.scale"] in lines
    assert ["SLIME_WELL_KEY"] in lines
    assert ["--well.key"] not in lines


# --- certificates


def certificate(**changes: Any) -> dict[str, Any]:
    """A certificate of the suite, as far as the host reads it."""
    return {
        "plugin": "well",
        "distribution": "well-task",
        "version": "1.0",
        "suite_version": "0.1.0",
        "ok": True,
        "summary": "well 1.0: 12 passed",
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "state", "status"),
    [
        ({}, "passed", 0),
        ({"ok": False, "summary": "well 1.0: 1 failed"}, "failed", 1),
        ({"version": "0.9"}, "outdated", 0),
        ({"version": "0.9", "ok": False}, "outdated", 0),
    ],
)
@pytest.mark.parametrize("shipped", [True, False])
def test_a_certificate_is_part_of_what_the_doctor_says(
    well: Path,
    capsys: Any,
    tmp_path: Path,
    shipped: bool,
    changes: dict[str, Any],
    state: str,
    status: int,
) -> None:
    tree = certificate(**changes)
    name = "slime-conformance.json"
    file = well / "well_task-1.0.dist-info" / name if shipped else tmp_path / name
    file.write_text(json.dumps(tree))
    found_status, found = answer(
        capsys, "doctor", "well", *(() if shipped else ("--certificate", str(file)))
    )
    (one,) = found["plugins"]
    assert found_status == status
    assert one["conformance"] == {
        "state": state,
        "summary": tree["summary"],
        "suite_version": "0.1.0",
        "source": name if shipped else str(file),
    }
    said = [f"its certificate says: {tree['summary']}"] if state == "failed" else []
    assert one["problems"] == said


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"plugin": "well"}', "not json"])
def test_a_shipped_file_that_is_no_certificate_counts_as_none(
    well: Path, capsys: Any, text: str
) -> None:
    (well / "well_task-1.0.dist-info" / "slime-conformance.json").write_text(text)
    status, found = answer(capsys, "doctor", "well")
    assert (status, found["plugins"][0]["conformance"]) == (0, None)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (None, "cannot be read: No such file or directory"),
        ("not json", "is no certificate: "),
        ("[]", "is no certificate: "),
        ('{"plugin": "well"}', "is no certificate: "),
        (
            json.dumps(certificate(plugin="other")),
            "it speaks of well-task:other, which is not looked at",
        ),
        (
            json.dumps(certificate(distribution="other")),
            "it speaks of other:well, which is not looked at",
        ),
    ],
)
def test_a_file_that_says_nothing_of_the_plugin_is_refused(
    well: Path, capsys: Any, tmp_path: Path, text: str | None, wrong: str
) -> None:
    file = tmp_path / "c.json"
    if text is not None:
        file.write_text(text)
    assert main(["plugins", "doctor", "well", "--certificate", str(file)]) == 2
    assert f"slime: error: --certificate {file}: {wrong}" in capsys.readouterr().err


# --- the suite itself


@pytest.mark.parametrize(
    ("source", "select", "status"),
    [
        (WELL, ("packaging", "declarations.options"), 0),
        (WELL, ("declarations.options_help",), 1),
        (WELL.replace("@hookimpl\nasync", "async"), ("declarations.marked",), 1),
        ("import sys; sys.exit(0)", ("packaging",), 1),
    ],
)
def test_the_conformance_suite_answers_with_0_or_1_and_writes_a_certificate(
    install_plugin: Install,
    capsys: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    source: str,
    select: tuple[str, ...],
    status: int,
) -> None:
    install_plugin("well", source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    file = tmp_path / "certificate.json"
    line = ["check", "well", "--json", str(file), "--select", *select]
    assert main(["plugins", *line]) == status
    capsys.readouterr()
    tree = json.loads(file.read_text())
    assert (tree["plugin"], tree["version"], tree["ok"]) == ("well", "1.0", status == 0)
    _, found = answer(capsys, "doctor", "well", "--certificate", str(file))
    assert found["plugins"][0]["conformance"]["state"] == ("failed" if status else "passed")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("no_such",), "no_such"),
        ((), "plugin"),
        (("well", "--select", "packging"), "did you mean 'packaging'"),
    ],
)
def test_a_wrong_question_to_the_suite_exits_with_2(
    well: Path, capsys: Any, line: tuple[str, ...], said: str
) -> None:
    try:
        status = main(["plugins", "check", *line])
    except SystemExit as stop:
        status = int(stop.code or 0)
    found = capsys.readouterr().err
    assert (status, "Traceback" in found) == (2, False)
    assert said in found
