"""Each kind of plugin is well-formed, and works as a wheel beside the contract alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from scaffold_support import NAMES, ROOT, Made, run, succeed

from slime_core.scaffold import KINDS, files, write
from slime_core.scaffold.kinds import TEMPLATES
from slime_core.scaffold.names import MAX_LENGTH

BIN = Path(sys.executable).parent

#: Fewest checks of the conformance suite that run on each kind, without torch.
CHECKS = {"math": 60, "multi-turn": 75, "agent": 75, "search": 75, "loss": 22}

MASK = "generate.mask_on_sampled_only"

#: What an environment must not have for a plugin's tests to show that it needs none of it.
NOT_THERE = ("torch", "ray", "sglang", "transformers", "slime_core", "numpy")


@pytest.mark.parametrize("name", ["x", "my_task", "n" * MAX_LENGTH])
@pytest.mark.parametrize("kind", KINDS)
def test_the_code_passes_its_own_style_check_whatever_the_name(
    kind: str, name: str, tmp_path: Path
) -> None:
    write(tmp_path / "new", files(name, kind))
    ruff = BIN / "ruff"
    succeed([ruff, "check", "--no-cache", "."], tmp_path / "new")
    succeed([ruff, "format", "--no-cache", "--check", "--diff", "."], tmp_path / "new")


def test_the_code_passes_its_own_type_check(made: Made, clean: Path) -> None:
    where = ["--python-executable", clean / "python", "--cache-dir", clean.parent / "mypy"]
    out = succeed([BIN / "mypy", *where, made.package, "tests"], made.folder)
    assert "Success: no issues found" in out


def test_the_wheel_holds_the_package_whole_and_nothing_else(made: Made, wheels: list[Path]) -> None:
    (wheel,) = [one for one in wheels if one.name.startswith(f"{made.package}-")]
    held = {Path(name) for name in zipfile.ZipFile(wheel).namelist() if ".dist-info" not in name}
    assert held == {path for path in files(made.name, made.kind) if path.parts[0] == made.package}


def test_the_environment_of_the_proof_has_nothing_of_slime_but_the_contract(clean: Path) -> None:
    code = f"import importlib.util as u; print([n for n in {NOT_THERE} if u.find_spec(n)])"
    assert succeed([clean / "python", "-c", code], clean) == "[]\n"


def test_its_own_tests_pass_where_it_is_installed(made: Made, clean: Path) -> None:
    out = succeed([clean / "pytest", "-rs"], made.folder)
    assert _last(out, "passed") >= 10
    assert "warning" not in out
    # Nothing is skipped but what needs torch, and that says so.
    reasons = re.findall(r"^SKIPPED \[\d+\] \S+: (.*)$", out, re.MULTILINE)
    needs_torch = {"a loss needs torch: pip install torch"} if made.kind == "loss" else set()
    assert set(reasons) == needs_torch


def test_it_conforms_where_it_is_installed(made: Made, clean: Path, tmp_path: Path) -> None:
    file = tmp_path / "conformance.json"
    succeed([clean / "slime-conformance", made.name, "--json", file], made.folder)
    certificate = json.loads(file.read_text())
    counts = certificate["counts"]
    assert (certificate["ok"], counts["failed"], counts["expected_failure"]) == (True, 0, 0)
    assert counts["run"] >= CHECKS[made.kind]
    assert {"packaging", "declarations"} < {one["tier"] for one in _ran(certificate)}


def test_one_pytest_command_runs_its_tests_and_the_suite(
    clean: Path, all_made: dict[str, Made]
) -> None:
    folder = all_made["math"].folder
    out = succeed([clean / "pytest", "--slime-plugin", NAMES["math"]], folder)
    assert re.search(r"^sums 0\.1\.0 · slime conformance \S+: \d+ passed, \d+ skipped$", out, re.M)
    assert _last(out, "passed") >= 30 + CHECKS["math"]


def _last(out: str, word: str) -> int:
    """The number before a word, where it was written last: in pytest's own summary."""
    found = re.findall(rf"(\d+) {word}", out)
    return int(found[-1]) if found else 0


def _ran(certificate: dict[str, list[dict[str, str]]]) -> list[dict[str, str]]:
    return [one for one in certificate["outcomes"] if one["status"] == "passed"]


def test_a_run_with_it_can_be_planned(
    made: Made, beside_slime: dict[str, str], tiny_model_dir: Path
) -> None:
    readme = (made.folder / "README.md").read_text()
    (command,) = re.findall(r"^slime (--plugin .*)$", readme, re.MULTILINE)
    arguments = command.replace("./model", str(tiny_model_dir)).split()
    done = run([BIN / "slime", *arguments, "--dry-run"], made.folder, beside_slime)
    assert (done.returncode, done.stderr) == (
        0,
        "slime: the checks passed; nothing was started\n",
    )
    roles = {"loss": ["loss", "advantage"], "math": ["data_source"]}.get(
        made.kind, ["data_source", "generate"]
    )
    for role in roles:
        assert re.search(rf"{role}.*\b{made.name}\b", done.stdout), done.stdout


def test_the_help_of_slime_shows_each_option(made: Made, beside_slime: dict[str, str]) -> None:
    done = run([BIN / "slime", "--help", "--plugin", made.name], made.folder, beside_slime)
    assert (done.returncode, done.stderr) == (0, "")
    source = (made.folder / made.package / "options.py").read_text()
    options = re.findall(r"^    (\w+): .* = _opt\(", source, re.MULTILINE)
    assert len(options) >= 2
    for option in options:
        flag = f"--{made.name}.{option}".replace("_", "-")
        assert re.search(rf"^  {flag} .*\S", done.stdout, re.MULTILINE), flag


def test_the_doctor_of_slime_finds_nothing(made: Made, beside_slime: dict[str, str]) -> None:
    done = run([BIN / "slime", "plugins", "doctor", made.name, "--json"], made.folder, beside_slime)
    assert done.returncode == 0, done.stdout
    (found,) = json.loads(done.stdout)["plugins"]
    assert found["distribution"] == made.distribution
    assert set(found["requires_api"].split(",")) == {">=0.1", "<0.2"}
    assert (found["problems"], found["conflicts"], found["probe"]["heavy"]) == ([], [], [])
    assert {"slime_options", "slime_conformance"} < set(found["probe"]["hooks"])


def test_the_loss_holds_where_torch_is(
    all_made: dict[str, Made], beside_slime: dict[str, str], tmp_path: Path
) -> None:
    made, file = all_made["loss"], tmp_path / "conformance.json"
    tests = run([BIN / "pytest"], made.folder, beside_slime)
    assert (tests.returncode, _last(tests.stdout, "skipped")) == (0, 0), tests.stdout
    suite = [BIN / "slime-conformance", made.name, "--json", file]
    done = run(suite, made.folder, beside_slime)
    assert done.returncode == 0, done.stdout
    tiers = [one["tier"] for one in _ran(json.loads(file.read_text()))]
    assert tiers.count("loss") >= 6
    assert tiers.count("advantage") >= 4


#: In each kind a line that is right, what a hasty author might make of it, and who notices.
MISTAKES = [
    ("math", "answers.py", "1.0 if correct else wrong", "1.0", "reward.bad"),
    (
        "multi-turn",
        "episode.py",
        "_observed(added)",
        "_sampled(added, [-0.5] * len(added), 1)",
        MASK,
    ),
    ("agent", "__init__.py", "EngineError(str(error)) from error", "", "generate.engine_down"),
    ("search", "episode.py", "if not len(trace):", "if True:", "generate.prompt_once"),
    ("loss", "advantage.py", "if count < 2 or", "if", "advantage.one_per_scored_sample"),
]


@pytest.mark.parametrize(("kind", "module", "right", "hasty", "check"), MISTAKES)
def test_the_proof_notices_a_plugin_that_is_spoilt(
    kind: str,
    module: str,
    right: str,
    hasty: str,
    check: str,
    all_made: dict[str, Made],
    clean: Path,
    tmp_path: Path,
) -> None:
    made = all_made[kind]
    found = succeed(
        [clean / "python", "-c", f"import {made.package} as p; print(p.__file__)"], clean
    )
    shutil.copytree(Path(found.strip()).parent, tmp_path / made.package)
    file = tmp_path / made.package / module
    assert file.read_text().count(right) == 1
    file.write_text(file.read_text().replace(right, hasty))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = run([clean / "slime-conformance", made.name, "--select", check], tmp_path, environment)
    assert done.returncode == 1, done.stdout
    assert re.search(rf"^{re.escape(check)} +FAILED", done.stdout, re.MULTILINE)


def test_the_templates_are_in_the_wheel_of_slime(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    succeed([*pip, "--wheel-dir", tmp_path, ROOT], tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        path.relative_to(ROOT).as_posix() for path in TEMPLATES.rglob("*.*") if path.is_file()
    }
    assert len(expected) > 50
    assert expected <= held
