"""The sandbox with programs of good will: what they get, how many run, and what is reported."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from slime_hookspecs import ConfigError
from slime_plugin_multi_turn_tools.sandbox import (
    Ended,
    Isolation,
    Limits,
    Report,
    Sandbox,
    probe,
    strongest,
    works,
)

MakeSandbox = Callable[..., Sandbox]
WALLED = (Isolation.BUBBLEWRAP, Isolation.NAMESPACES)
ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"
PACKAGE = Path(__file__).parents[1]
PUBLIC = "/usr/bin/python3"
HOOKSPECS = Path(sys.modules["slime_hookspecs"].__file__ or "").parents[1]


async def test_a_program_is_run_and_reported(make_sandbox: MakeSandbox, level: Isolation) -> None:
    report = await make_sandbox().run("import sys\nprint('out')\nprint('err', file=sys.stderr)")
    assert report == Report(Ended.EXIT, 0, "out\n", "err\n", report.seconds, level)
    assert report.succeeded
    assert 0 < report.seconds < 5


@pytest.mark.parametrize(
    ("program", "ended", "status"),
    [
        ("raise SystemExit(3)", Ended.EXIT, 3),
        ("import os; os._exit(255)", Ended.EXIT, 255),
        ("import os; os.kill(os.getpid(), 15)", Ended.SIGNAL, -signal.SIGTERM),
        ("import os; os.kill(os.getpid(), 9)", Ended.SIGNAL, -signal.SIGKILL),
        ("import os; os.abort()", Ended.SIGNAL, -signal.SIGABRT),
        ("", Ended.EXIT, 0),
        ("pass\n" * 20_000, Ended.EXIT, 0),
    ],
)
async def test_the_end_is_told_as_it_was(
    program: str, ended: Ended, status: int, make_sandbox: MakeSandbox
) -> None:
    report = await make_sandbox().run(program)
    assert (report.ended, report.status) == (ended, status)
    assert report.succeeded == (status == 0)


async def test_text_of_all_languages_goes_in_and_out(make_sandbox: MakeSandbox) -> None:
    assert (
        await make_sandbox().run("print('π ≈ 3,14 \U0001f9ee')")
    ).stdout == "π ≈ 3,14 \U0001f9ee\n"
    broken = await make_sandbox().run("print('\ud800')")
    assert (broken.ended, broken.status) == (Ended.EXIT, 1)


async def test_a_program_knows_nothing_of_our_environment(
    make_sandbox: MakeSandbox, level: Isolation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "psst")
    report = await make_sandbox().run(ENVIRONMENT)
    found = json.loads(report.stdout)
    assert set(found) <= {
        *("HOME", "TMPDIR", "PATH", "LANG", "LC_CTYPE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    }
    assert found["HOME"] == found["TMPDIR"] == "/tmp"


async def test_a_program_reads_nothing_from_us(make_sandbox: MakeSandbox) -> None:
    report = await make_sandbox().run("import sys; print(repr(sys.stdin.read()))")
    assert report.stdout == "''\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
async def test_roots_programs_are_nobodys(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    program = "import os\nos.close(os.open('mark', os.O_CREAT))\nos.system('sleep 0.7')"
    task = asyncio.create_task(make_sandbox().run(program))
    await asyncio.sleep(0.4)
    users = {_user(pid) for pid in _all_below(os.getpid()) if b"program.py" in _command(pid)}
    assert (await task).succeeded
    assert users == {65534}


def _user(pid: int) -> int:
    """The real user of a process, as the host knows it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Uid:")).split()[1])


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _all_below(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [below for one in text.split() for below in (int(one), *_all_below(int(one)))]


async def test_behind_a_wall_there_are_few_processes_and_few_folders(
    make_sandbox: MakeSandbox, level: Isolation
) -> None:
    program = (
        "import os\n"
        "print(sum(name.isdigit() for name in os.listdir('/proc')))\n"
        "print(sorted({*os.listdir('/')} - {'usr', 'bin', 'sbin', 'lib', 'lib32', 'lib64'}))\n"
        "print(sorted(os.listdir('/tmp')), sorted(os.listdir('/dev')))"
    )
    processes, *seen = (await make_sandbox().run(program)).stdout.splitlines()
    if level not in WALLED:
        assert int(processes) > 2
        return
    top, inner = seen
    assert processes == "2"
    assert not {"home", "var", "sys", "boot", "mnt", "srv", "opt"} & set(eval(top)) - _prefixes()
    assert inner == "['program.py'] ['full', 'null', 'random', 'shm', 'urandom', 'zero']"


def _prefixes() -> set[str]:
    """Folders at the top that the interpreter itself is in."""
    return {Path(one).parts[1] for one in (sys.prefix, sys.base_prefix)}


async def test_packages_of_the_interpreter_can_be_imported(make_sandbox: MakeSandbox) -> None:
    program = "import json, decimal, fractions, random, itertools\nprint(json.dumps([1]))"
    assert (await make_sandbox().run(program)).stdout == "[1]\n"


async def test_a_program_may_start_others(make_sandbox: MakeSandbox) -> None:
    program = (
        "import subprocess, sys\n"
        "done = subprocess.run([sys.executable, '-c', 'print(6*7)'], capture_output=True)\n"
        "print(done.stdout.decode())"
    )
    assert (await make_sandbox(memory_mb=256).run(program)).stdout == "42\n\n"


async def test_no_more_run_at_once_than_allowed(make_sandbox: MakeSandbox) -> None:
    made = make_sandbox(wall_s=20)
    sandbox = Sandbox(made.isolation, made.limits, concurrency=2, python=made.python)
    program = "import time\nprint(time.time())\ntime.sleep(0.3)\nprint(time.time())"
    reports = await asyncio.gather(*(sandbox.run(program) for _ in range(5)))
    spans = [tuple(map(float, one.stdout.split())) for one in reports]
    most = max(sum(a <= start < b for a, b in spans) for start, _ in spans)
    assert most == 2


async def test_waiting_for_its_turn_takes_nothing_of_a_programs_time(
    make_sandbox: MakeSandbox,
) -> None:
    made = make_sandbox(wall_s=1.0)
    sandbox = Sandbox(made.isolation, made.limits, concurrency=1, python=made.python)
    program = "import time\ntime.sleep(0.45)"
    assert all(
        one.succeeded for one in await asyncio.gather(*(sandbox.run(program) for _ in range(3)))
    )


def test_one_sandbox_serves_several_event_loops(make_sandbox: MakeSandbox) -> None:
    made = make_sandbox()
    sandbox = Sandbox(made.isolation, made.limits, concurrency=1, python=made.python)

    async def many() -> list[str]:
        reports = await asyncio.gather(*(sandbox.run(f"print({n})") for n in range(3)))
        return [one.stdout for one in reports]

    for _ in range(2):
        assert asyncio.run(many()) == ["0\n", "1\n", "2\n"]


async def test_cancelling_one_leaves_the_others_alone(make_sandbox: MakeSandbox) -> None:
    made = make_sandbox(wall_s=20)
    sandbox = Sandbox(made.isolation, made.limits, concurrency=4, python=made.python)
    lasting = asyncio.create_task(sandbox.run("import time\ntime.sleep(1)\nprint('done')"))
    cancelled = [asyncio.create_task(sandbox.run("import time\ntime.sleep(60)")) for _ in range(3)]
    await asyncio.sleep(0.4)
    for task in cancelled:
        task.cancel()
    found = await asyncio.gather(*cancelled, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in found)
    assert (await lasting).stdout == "done\n"
    assert (await sandbox.run("print(1)")).stdout == "1\n"


@pytest.mark.parametrize("after", [0, 0.01, 0.03, 0.08])
async def test_cancelled_at_any_moment_it_leaves_nothing(
    after: float, make_sandbox: MakeSandbox, left_over: Callable[[], list[str]]
) -> None:
    task = asyncio.create_task(make_sandbox(wall_s=60).run("import time\ntime.sleep(60)"))
    await asyncio.sleep(after)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left_over() == []


async def test_a_supervisor_that_dies_is_a_report_and_takes_the_program_with_it(
    make_sandbox: MakeSandbox, left_over: Callable[[], list[str]], level: Isolation
) -> None:
    task = asyncio.create_task(make_sandbox(wall_s=60).run("import time\ntime.sleep(60)"))
    await asyncio.sleep(0.5)
    (first, *_) = _children()
    os.kill(first, signal.SIGKILL)
    report = await task
    assert (report.ended, report.status, report.succeeded) == (Ended.LOST, -1, False)
    for _ in range(50):
        if not left_over():
            break
        await asyncio.sleep(0.05)
    assert left_over() == []


DIES = """
import asyncio, sys
from slime_plugin_multi_turn_tools.sandbox import Isolation, Limits, Sandbox
sandbox = Sandbox(Isolation(sys.argv[1]), Limits(wall_s=60), python=sys.argv[2])
program = "import os, time; os.fork(); time.sleep(60)"
asyncio.run(sandbox.run(program))
"""


async def test_programs_end_with_the_process_that_wanted_them(
    make_sandbox: MakeSandbox, level: Isolation, left_over: Callable[[], list[str]]
) -> None:
    python, before = make_sandbox().python, set(Path(tempfile.gettempdir()).glob("slime-sandbox-*"))
    with subprocess.Popen([sys.executable, "-c", DIES, str(level), python]) as process:
        for _ in range(100):
            if sum("program.py" in one for one in left_over()) == 2:
                break
            await asyncio.sleep(0.1)
        else:
            pytest.fail(f"the program did not start: {left_over()}")
        process.kill()
    for _ in range(100):
        if not left_over():
            break
        await asyncio.sleep(0.1)
    assert left_over() == []
    left = set(Path(tempfile.gettempdir()).glob("slime-sandbox-*")) - before
    # A folder that is not in memory stays where nobody is left to delete it.
    assert bool(left) == (level is Isolation.RLIMITS)
    for folder in left:
        shutil.rmtree(folder)


def _children() -> list[int]:
    text = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
    return [int(pid) for pid in text.split()]


def test_the_strongest_level_that_works_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def only(*levels: Isolation) -> None:
        monkeypatch.setattr(probe, "works", lambda level, python: level in levels)

    for require in Isolation:
        only(*Isolation)
        assert strongest(require) is Isolation.BUBBLEWRAP
    only(Isolation.NAMESPACES, Isolation.RLIMITS)
    assert strongest(Isolation.RLIMITS) is strongest(Isolation.NAMESPACES) is Isolation.NAMESPACES
    only(Isolation.RLIMITS)
    assert strongest(Isolation.RLIMITS) is Isolation.RLIMITS


@pytest.mark.parametrize(
    ("require", "told"),
    [
        (
            Isolation.BUBBLEWRAP,
            "multi_turn_tools.require_isolation is bubblewrap, and programs of PY cannot be run "
            "here with bubblewrap; install bubblewrap 0.8 or newer (bwrap), or permit user "
            "namespaces; where programs may see this machine's files and network, take "
            "--multi-turn-tools.require-isolation rlimits",
        ),
        (
            Isolation.NAMESPACES,
            "multi_turn_tools.require_isolation is namespaces, and programs of PY cannot be run "
            "here with bubblewrap or namespaces; install bubblewrap 0.8 or newer (bwrap), or "
            "permit user namespaces; where programs may see this machine's files and network, "
            "take --multi-turn-tools.require-isolation rlimits",
        ),
        (
            Isolation.RLIMITS,
            "multi_turn_tools.require_isolation is rlimits, and programs of PY cannot be run here "
            "with bubblewrap or namespaces or rlimits; install bubblewrap 0.8 or newer (bwrap), "
            "or permit user namespaces",
        ),
    ],
)
def test_where_none_is_strong_enough_the_error_says_what_helps(
    require: Isolation, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weaker = [level for level in Isolation if not level.is_as_strong_as(require)]
    monkeypatch.setattr(probe, "works", lambda level, python: level in weaker)
    with pytest.raises(ConfigError) as caught:
        strongest(require, "PY")
    assert str(caught.value) == told


def test_levels_are_ordered_by_strength() -> None:
    assert list(Isolation) == ["bubblewrap", "namespaces", "rlimits"]
    for place, level in enumerate(Isolation):
        for other_place, other in enumerate(Isolation):
            assert level.is_as_strong_as(other) == (place <= other_place)


def test_an_interpreter_that_is_none_works_nowhere(tmp_path: Path) -> None:
    assert not works(Isolation.RLIMITS, "/bin/false")
    with pytest.raises(ConfigError, match=r"no-python: not a Python that runs here"):
        works(Isolation.NAMESPACES, str(tmp_path / "no-python"))


@pytest.mark.parametrize(
    ("said", "version"),
    [("bubblewrap 0.8.0\n", (0, 8)), ("bubblewrap 0.11\n", (0, 11)), ("?", ()), ("", ())],
)
def test_the_version_of_bubblewrap_is_read(said: str, version: tuple[int, ...]) -> None:
    assert probe.version(said) == version
    assert (version >= probe.OLDEST) == (version in ((0, 8), (0, 11)))


def test_an_old_bubblewrap_counts_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bwrap"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not probe.has_bubblewrap()
    for version, new_enough in (("0.7.0", False), ("0.8.0", True)):
        fake.write_text(f"#!/bin/sh\necho bubblewrap {version}\n")
        fake.chmod(0o755)
        assert probe.has_bubblewrap() is new_enough


UNPRIVILEGED = """
import asyncio, json, sys
from slime_plugin_multi_turn_tools.sandbox import Isolation, Limits, Sandbox, works
python, *programs = sys.argv[1:]
found = {}
for level in Isolation:
    if not works(level, python):
        continue
    limits = Limits(wall_s=1.5, cpu_s=1, memory_mb=160, processes=16, disk_mb=4)
    sandbox = Sandbox(level, limits, python=python)
    reports = [asyncio.run(sandbox.run(one)) for one in programs]
    found[level] = [[one.ended, one.stdout] for one in reports]
print(json.dumps(found))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="without root all other tests are this one")
def test_without_root_the_walls_are_the_same(hostile: Callable[..., str]) -> None:
    """Runs as nobody, with an interpreter that everybody may run."""
    mark = f"slime-zoo-{uuid.uuid4().hex}"
    programs = [
        hostile("fork_bomb"),
        hostile("wants_its_rights_back"),
        hostile("writes_files", THEIRS="/home", OTHERS="/opt", MARK=mark),
        hostile("reads_files", SECRET="/etc/hostname"),
    ]
    site = Path(sys.modules["pluggy"].__file__ or "").parents[1]
    done = subprocess.run(
        [PUBLIC, "-c", UNPRIVILEGED, PUBLIC, *programs],
        env={"PYTHONPATH": f"{PACKAGE}:{HOOKSPECS}:{site}", "PATH": os.environ["PATH"]},
        user=65534,
        group=65534,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    Path("/var/tmp", mark).unlink(missing_ok=True)
    assert "rlimits" in found
    for level, (bomb, rights, writes, reads) in found.items():
        assert bomb[0] in ("wall", "cpu", "processes")
        assert {line.split()[0] for line in rights[1].splitlines()} == {"failed"}
        wrote = [line.split()[1] for line in writes[1].splitlines() if line.startswith("wrote")]
        assert wrote == (["/var/tmp", "/tmp"] if level == "rlimits" else ["/tmp"])
        read = [line.split()[1] for line in reads[1].splitlines() if line.startswith("read")]
        assert ("/etc/passwd" in read) == (level == "rlimits")


def succeeds(*command: str) -> bool:
    """Whether a command is there and works."""
    found = shutil.which(command[0])
    return found is not None and subprocess.run(command, capture_output=True).returncode == 0


def test_no_level_that_this_machine_permits_goes_untested(levels: list[Isolation]) -> None:
    everyone = ("--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--mount-proc")
    permitted = {
        Isolation.NAMESPACES: succeeds("unshare", *everyone, "true"),
        Isolation.BUBBLEWRAP: probe.has_bubblewrap()
        and succeeds("bwrap", "--ro-bind", "/", "/", "--unshare-all", "--proc", "/proc", "true"),
        Isolation.RLIMITS: Path(PUBLIC).exists() or os.geteuid() != 0,
    }
    assert [level for level in Isolation if permitted[level]] == levels


async def test_programs_start_quickly(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox()
    await sandbox.run("")
    started = time.monotonic()
    for _ in range(5):
        await sandbox.run("")
    assert (time.monotonic() - started) / 5 < 1.0


def test_limits_are_those_that_the_readme_names() -> None:
    assert Limits() == Limits(10.0, 5, 512, 32, 64, 65_536)
