"""The suite's own promises: statuses, certificate, command, pytest option, author's mistakes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from slime_hookspecs import ConfigError, Conformance, PluginError
from slime_hookspecs.testing import Certificate, Outcome, Status, run
from slime_hookspecs.testing.cli import main


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any) -> str:
    """A plugin with a filter, and what the test's parameter says of it."""
    name = "own_filter"
    (tmp_path / f"{name}.py").write_text(
        dedent(f"""
        from slime_hookspecs import Conformance, KEEP, Verdict, hookimpl

        @hookimpl
        def slime_filter(group):
            return KEEP if len(group.scored) > 1 else Verdict(False, "Too few")

        @hookimpl
        def slime_conformance():
            return Conformance({request.param})
        """)
    )
    info = tmp_path / f"{name}-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n"
        "Requires-Dist: slime-hookspecs>=0.1,<0.2\n"
    )
    (info / "entry_points.txt").write_text(f"[slime.plugins]\n{name} = {name}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def with_(text: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("plugin", [text], indirect=True)


def status(certificate: Certificate, name: str) -> Outcome:
    return next(one for one in certificate.outcomes if one.name == name)


@with_("")
def test_a_failure_is_told_and_withholds_the_certificate(plugin: str) -> None:
    certificate = run(plugin, ["filter"])
    found = status(certificate, "filter.reasons")
    assert (found.status, "'Too few'" in found.message) == (Status.FAILED, True)
    assert not certificate.ok
    assert "1 FAILED, 3 passed, 0 skipped" in certificate.summary


@with_('expected_failures={"filter.reasons": "words are nicer"}')
def test_an_expected_failure_is_none(plugin: str) -> None:
    certificate = run(plugin, ["filter"])
    found = status(certificate, "filter.reasons")
    assert (found.status, found.reason) == (Status.EXPECTED_FAILURE, "words are nicer")
    assert certificate.ok


@with_('expected_failures={"filter.total": "not yet"}')
def test_a_failure_that_fails_to_happen_is_one(plugin: str) -> None:
    certificate = run(plugin, ["filter.total"])
    assert status(certificate, "filter.total").status is Status.UNEXPECTED_PASS
    assert not certificate.ok


@with_('exempt={"filter.reasons": "words are nicer"}')
def test_an_exemption_is_skipped_with_its_reason(plugin: str) -> None:
    found = status(run(plugin, ["filter"]), "filter.reasons")
    assert (found.status, found.reason) == (Status.SKIPPED, "exempt: words are nicer")


@with_('exempt={"filter.reason": "words are nicer"}')
def test_an_exemption_of_no_check_names_the_nearest(plugin: str) -> None:
    with pytest.raises(PluginError, match=r"'filter.reason'.*did you mean 'filter.reasons'"):
        run(plugin)
    assert main([plugin]) == 2


@with_("")
def test_that_no_check_ran_is_a_failure(plugin: str) -> None:
    certificate = run(plugin, ["eval_sets"])
    assert (certificate.ran, certificate.ok) == (0, False)
    assert "no check ran" in certificate.summary


@with_("")
def test_the_command_writes_the_certificate(plugin: str, tmp_path: Path) -> None:
    file = tmp_path / "certificate.json"
    assert main([plugin, "--select", "filter.total", "packaging", "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert found["plugin"] == plugin
    assert found["counts"]["run"] == found["counts"]["passed"] == 10
    assert found["digest"].startswith("sha256:")
    assert main([plugin, "--select", "filter"]) == 1


def test_an_unknown_plugin_or_check_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no_such_plugin"]) == 2
    assert "no plugin 'no_such_plugin' is installed" in capsys.readouterr().err


@with_("")
def test_an_unknown_check_names_the_nearest(plugin: str) -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'filter\.total'"):
        run(plugin, ["filter.totals"])


@with_("")
def test_pytest_makes_each_check_an_item(plugin: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v"]
    command += ["--rootdir", str(tmp_path), str(tmp_path), "--slime-plugin", plugin]
    if "slime-plugin" not in _pytest("--help"):
        command += ["-p", "slime_hookspecs.testing.pytest_plugin"]
    environment = {"PYTHONPATH": str(tmp_path), "PATH": ""}
    found = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert found.returncode == 1, found.stdout + found.stderr
    assert re.search(r"slime\[own_filter\]::filter\.total PASSED", found.stdout)
    assert re.search(r"slime\[own_filter\]::filter\.reasons FAILED", found.stdout)
    assert "own_filter 2.0 · slime conformance" in found.stdout


def test_the_pytest_plugin_imports_nothing_until_it_is_asked() -> None:
    code = "import slime_hookspecs.testing.pytest_plugin, sys; print([m for m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in ("slime_hookspecs.testing.runner", "slime_hookspecs.testing.kit", "msgspec"):
        assert name not in found.stdout


def test_what_an_author_cannot_mean_is_refused() -> None:
    with pytest.raises(PluginError, match="did you mean 'multi_turn'"):
        Conformance(capabilities=frozenset({"multiturn"}))
    with pytest.raises(PluginError, match="needs a reason"):
        Conformance(exempt={"filter.total": " "})
    with pytest.raises(PluginError, match=r"must be \(low, high\)"):
        Conformance(reward_range=(1.0, 0.0))


def _pytest(*arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
