"""However a plugin breaks, the host's commands work, and a run that wants it says what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LIMIT_S = "1"

BROKEN = {
    "raises": "raise RuntimeError('no luck')",
    "lacks": "import not_there_at_all",
    "exits": "import sys; sys.exit(0)",
    "hangs": "import time; time.sleep(60)",
    "crashes": "import os; os.kill(os.getpid(), 11)",
    "cuda": "import torch",
    "interrupts": "raise KeyboardInterrupt",
    "hookless": "x = 1",
}

#: A module that says of itself what the real one says once a process has used a GPU.
TORCH = "class cuda:\n    is_initialized = staticmethod(lambda: True)\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all broken plugins, and a sound one."""
    made = tmp_path_factory.mktemp("broken")
    (made / "torch.py").write_text(TORCH)
    sound = (
        "from slime_hookspecs import hookimpl\n@hookimpl\nasync def slime_reward(): return 1.0\n"
    )
    for name, source in {**BROKEN, "sound": sound}.items():
        info = made / f"{name}_task-1.0.dist-info"
        info.mkdir()
        (made / f"{name}_task.py").write_text(source)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}-task\nVersion: 1.0\n"
            "Requires-Dist: slime-hookspecs>=0.1,<0.2\n"
        )
        (info / "entry_points.txt").write_text(f"[slime.plugins]\n{name} = {name}_task\n")
        (info / "RECORD").write_text(f"{name}_task.py,,\n")
    return made


def slime(folder: Path, *line: str) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "slime_core.cli", *line],
        env={**os.environ, "PYTHONPATH": str(folder), "SLIME_IMPORT_TIMEOUT_S": LIMIT_S},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_list_shows_all_of_them_as_metadata_tells(folder: Path) -> None:
    done = slime(folder, "plugins", "list", "--json")
    rows = {one["name"]: one["status"] for one in json.loads(done.stdout)["plugins"]}
    assert (done.returncode, done.stderr) == (0, "")
    assert {name: rows.get(name) for name in BROKEN} == dict.fromkeys(BROKEN, "ok")


@pytest.mark.parametrize(
    ("name", "outcome", "said"),
    [
        ("raises", "raised", "RuntimeError: no luck"),
        ("lacks", "raised", "install what provides the module 'not_there_at_all'"),
        ("exits", "raised", "it called sys.exit(0)"),
        ("hangs", "timeout", "still importing after 2 s"),
        ("crashes", "killed", "SIGSEGV at import"),
        ("cuda", "raised", "initialises CUDA when it is imported"),
        ("interrupts", "raised", "KeyboardInterrupt"),
        ("hookless", "refused", "it implements no hook"),
    ],
)
def test_the_doctor_names_the_fault_and_fails(
    folder: Path, name: str, outcome: str, said: str
) -> None:
    done = slime(folder, "plugins", "doctor", name, "--json", "--timeout", "2")
    (found,) = json.loads(done.stdout)["plugins"]
    assert (done.returncode, found["ok"], found["probe"]["outcome"]) == (1, False, outcome)
    assert said in found["problems"][0]


def test_the_doctor_looks_at_all_and_clears_the_sound_one(folder: Path) -> None:
    names = (*BROKEN, "sound")
    done = slime(folder, "plugins", "doctor", *names, "--json", "--timeout", "3")
    rows = json.loads(done.stdout)["plugins"]
    assert [row["name"] for row in rows] == list(names)
    assert [row["name"] for row in rows if row["ok"]] == ["sound"]
    assert done.returncode == 1


@pytest.mark.parametrize("name", ["raises", "exits", "crashes", "cuda"])
def test_info_tells_what_metadata_knows_and_what_is_wrong(folder: Path, name: str) -> None:
    done = slime(folder, "plugins", "info", name)
    assert done.returncode == 1
    shown = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line[:1].strip())
    assert shown["distribution"] == f"{name}-task"
    assert shown["version"] == "1.0"
    assert shown["problems"]


@pytest.mark.parametrize(
    ("name", "what", "cure"),
    [
        ("raises", "RuntimeError: no luck", "pip install --force-reinstall raises-task"),
        ("lacks", "No module named 'not_there_at_all'", "the module 'not_there_at_all'"),
        ("exits", "it called sys.exit(0)", "pip install --force-reinstall exits-task"),
        ("hangs", "does not finish importing: 1 s", "slime plugins doctor hangs-task:hangs"),
        ("cuda", "initialises CUDA when it is imported", "pip install --upgrade cuda-task"),
    ],
)
def test_a_run_that_wants_one_stops_with_2_and_says_who_where_what_and_the_cure(
    folder: Path, name: str, what: str, cure: str
) -> None:
    done = slime(folder, "--plugin", name, "--model", "/nowhere", "--dry-run")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"slime: error: plugin {name} ({name}-task 1.0) ")
    assert f"entry point {name} = {name}_task (module {name}_task)" in done.stderr
    assert what in done.stderr
    assert cure in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_that_is_taken_down_by_one_is_told_by_whom(folder: Path) -> None:
    done = slime(folder, "--plugin", "crashes", "--model", "/nowhere", "--dry-run")
    assert done.returncode == -11  # nobody can answer for a process that is gone
    assert done.stderr.strip().split("\n") == [
        "slime: error: plugin crashes (crashes-task 1.0) ended the process while it was imported",
        "  entry point crashes = crashes_task (module crashes_task)",
        "  to look into it: slime plugins doctor crashes-task:crashes; "
        "to mend it: pip install --force-reinstall crashes-task",
    ]


@pytest.mark.parametrize("command", [("--help",), ("--version",), ("plugins", "list")])
def test_a_broken_plugin_that_nobody_asked_for_changes_nothing(
    folder: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    done, clean = slime(folder, *command), slime(tmp_path, *command)
    assert (done.returncode, done.stderr) == (clean.returncode, clean.stderr) == (0, "")


# --- locked runs


@pytest.fixture
def locked(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with one plugin, and the lock that the command wrote of it."""
    folder, lock = tmp_path / "site", tmp_path / "plugins.lock"
    info = folder / "task_task-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "task_task.py").write_text("raise RuntimeError('imported')\n")
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: task-task\nVersion: 1.0\n"
        "Requires-Dist: slime-hookspecs>=0.1,<0.2\n"
    )
    (info / "entry_points.txt").write_text("[slime.plugins]\ntask = task_task\n")
    (info / "RECORD").write_text("task_task.py,,\n")
    assert slime(folder, "plugins", "lock", "--output", str(lock)).returncode == 0
    return folder, lock


def edit(folder: Path) -> None:
    (folder / "task_task.py").write_text("raise RuntimeError('edited')\n")


def upgrade(folder: Path) -> None:
    info = folder / "task_task-1.0.dist-info"
    (info / "METADATA").write_text((info / "METADATA").read_text().replace("1.0", "1.1"))


def reinstall(folder: Path) -> None:
    (folder / "task_task-1.0.dist-info" / "RECORD").write_text("task_task.py,,\nother.py,,\n")


def rename(folder: Path) -> None:
    (folder / "other_task.py").write_text("")
    (folder / "task_task-1.0.dist-info" / "entry_points.txt").write_text(
        "[slime.plugins]\ntask = other_task\n"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (edit, "plugin task (task-task 1.0): code "),
        (upgrade, "plugin task (task-task 1.1): version 1.1, the lock holds 1.0"),
        (reinstall, "plugin task (task-task 1.0): origin record:"),
        (rename, "plugin task (task-task 1.0): value other_task, the lock holds task_task"),
    ],
)
def test_a_locked_run_refuses_what_changed_before_it_imports_it(
    locked: tuple[Path, Path], change: Any, said: str
) -> None:
    folder, lock = locked
    change(folder)
    line = ("--plugin", "task", "--model", "/nowhere", "--locked", str(lock), "--dry-run")
    done = slime(folder, *line)
    first, second, *_, last = done.stderr.splitlines()
    assert done.returncode == 2
    assert first == (f"slime: error: --locked {lock}: what is installed is not what the lock holds")
    assert second.strip().startswith(said)
    assert last.strip() == (
        f"install what it holds, or accept this: slime plugins lock task --output {lock}"
    )
    assert "RuntimeError" not in done.stderr


def test_a_locked_run_imports_what_the_lock_holds(locked: tuple[Path, Path]) -> None:
    folder, lock = locked
    done = slime(folder, "--plugin", "task", "--model", "m", "--locked", str(lock), "--dry-run")
    assert "RuntimeError: imported" in done.stderr


def test_a_plugin_that_is_not_in_the_lock_is_refused(
    locked: tuple[Path, Path], folder: Path
) -> None:
    _, lock = locked
    line = ("--plugin", "sound", "--model", "m", "--locked", str(lock), "--dry-run")
    done = slime(folder, *line)
    assert done.returncode == 2
    assert "plugin sound (sound-task 1.0): is not in the lock" in done.stderr


def test_a_lock_that_is_not_there_is_refused_with_the_command_that_writes_it(
    folder: Path, tmp_path: Path
) -> None:
    lock = tmp_path / "none.lock"
    done = slime(folder, "--plugin", "sound", "--model", "m", "--locked", str(lock), "--dry-run")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"slime: error: --locked {lock}: cannot be read: No such file or directory",
        f"  to write one: slime plugins lock sound --output {lock}",
    ]


def test_a_lock_is_the_same_each_time_and_leaves_out_what_is_blocked(
    locked: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, lock = locked
    again, less = tmp_path / "again.lock", tmp_path / "less.lock"
    slime(folder, "plugins", "lock", "--output", str(again))
    slime(folder, "plugins", "lock", "--output", str(less), "--block", "task")
    assert again.read_text() == lock.read_text()
    everything = [one["name"] for one in json.loads(lock.read_text())["plugins"]]
    assert "task" in everything
    assert [one["name"] for one in json.loads(less.read_text())["plugins"]] == [
        name for name in everything if name != "task"
    ]


def test_a_lock_that_cannot_be_written_is_a_mistake_of_the_user(folder: Path) -> None:
    done = slime(folder, "plugins", "lock", "--output", "/proc/none/x.lock")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "--output /proc/none/x.lock: No such file or directory" in done.stderr
