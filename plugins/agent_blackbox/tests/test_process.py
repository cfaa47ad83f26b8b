"""The supervisor: whatever a command does, nothing of it is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from blackbox_support import marked, until
from slime_hookspecs.testing.kit.clock import children
from slime_plugin_agent_blackbox import process
from slime_plugin_agent_blackbox.process import MARK, Command, Report, kill_marked, run

IGNORES = "import signal; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]\n"
SLEEPS = "import time; print('up', flush=True); time.sleep(600)\n"
#: Forks until it is a daemon: a session of its own, and no parent.
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    for fd in (0, 1, 2):
        os.close(fd)
    time.sleep(600)
"""


def command(
    *argv: str, timeout_s: float = 60.0, grace_s: float = 0.0, tail_chars: int = 1000, **env: str
) -> Command:
    """A command with a mark of its own."""
    variables = {"PATH": os.environ["PATH"], MARK: secrets.token_hex(8), **env}
    return Command(argv, variables, Path("/"), timeout_s, grace_s, tail_chars)


def python(code: str, **limits: Any) -> Command:
    """A program in Python."""
    return command(sys.executable, "-I", "-S", "-c", code, **limits)


def names(folder: str) -> set[str]:
    """What is in a folder."""
    return {one.name for one in Path(folder).iterdir()}


def done(given: Command) -> Report:
    """The report of a command, of which nothing may be left."""
    descriptors = names("/proc/self/fd")
    report = asyncio.run(run(given))
    assert marked(given.env[MARK]) == []
    assert children() == set()
    assert names("/proc/self/fd") == descriptors
    return report


def test_a_command_that_ends_is_reported() -> None:
    report = done(command("sh", "-c", "echo out; echo err >&2; exit 3"))
    assert (report.ended, report.status) == ("exit", 3)
    assert (report.stdout, report.stderr) == ("out\n", "err\n")
    assert report.written_bytes == 8


def test_words_go_to_the_command_as_they_are() -> None:
    words = ["a b", "$HOME", "; echo no", "`id`", "\n", "'", "日本", ""]
    report = done(python("import sys, json; print(json.dumps(sys.argv[1:]))"))
    assert report.stdout == "[]\n"
    given = command(sys.executable, "-c", "import sys; print(sys.argv[1:])", *words)
    assert done(given).stdout == f"{words}\n"


def test_it_has_the_environment_that_was_given_and_nothing_else() -> None:
    report = done(command("env", PATH="/usr/bin:/bin", ONE="1"))
    names = {line.partition("=")[0] for line in report.stdout.splitlines()}
    assert names == {"PATH", "ONE", MARK}


def test_it_inherits_no_descriptor_and_reads_nothing() -> None:
    with Path(__file__).open() as held:
        os.set_inheritable(held.fileno(), True)
        code = "import os, sys; print(len(os.listdir('/proc/self/fd')), repr(sys.stdin.read()))"
        # The three standard ones, and that of the folder that is listed.
        assert done(python(code)).stdout == "4 ''\n"


def test_it_is_the_leader_of_a_session_of_its_own() -> None:
    assert done(python("import os; print(os.getsid(0) == os.getpid())")).stdout == "True\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["/no/such/file"], "FileNotFoundError"),
        (["no_such_command_at_all"], "FileNotFoundError"),
        (["/dev/null"], "PermissionError"),
        (["true", "x" * 200_000], "Argument list too long"),
        (["true", "a\0b"], "null byte"),
    ],
)
def test_a_command_that_cannot_be_started_is_told_apart_from_one_that_fails(
    argv: list[str], message: str
) -> None:
    report = done(command(*argv))
    assert report.ended == "unstarted"
    assert message in report.error


def test_a_folder_that_is_gone_is_told_too() -> None:
    given = command("true")
    report = done(Command(given.argv, given.env, Path("/no/such"), 5.0))
    assert report.ended == "unstarted"
    assert "/no/such" in report.error


def test_a_signal_is_reported() -> None:
    report = done(command("sh", "-c", "kill -KILL $$"))
    assert (report.ended, report.status) == ("signal", -signal.SIGKILL)


def test_at_its_timeout_it_may_tidy_up() -> None:
    tidies = "trap 'echo tidied; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    report = done(command("sh", "-c", tidies, timeout_s=2.0, grace_s=30.0))
    assert report.ended == "timeout"
    assert report.stdout == "up\ntidied\n"


@pytest.mark.parametrize("grace_s", [0.0, 0.3])
def test_one_that_ignores_signals_is_killed(grace_s: float) -> None:
    assert done(python(IGNORES + SLEEPS, timeout_s=1.0, grace_s=grace_s)).ended == "timeout"


def test_daemons_end_with_it() -> None:
    report = done(python(DAEMON))
    assert (report.ended, report.status) == ("exit", 0)


def test_daemons_end_at_its_timeout() -> None:
    assert done(python(DAEMON + SLEEPS, timeout_s=1.0)).ended == "timeout"


def test_one_that_forks_and_forks_ends() -> None:
    code = (
        "import os, time\n"
        "for _ in range(5):\n    os.fork()\n"
        "print('x', flush=True)\ntime.sleep(600)"
    )
    assert done(python(code, timeout_s=2.0)).ended == "timeout"


def test_zombies_that_it_leaves_are_waited_for() -> None:
    code = "import os, time\nfor _ in range(20):\n    os.fork() or os._exit(0)\ntime.sleep(0.2)"
    assert done(python(code)).ended == "exit"


def test_a_hundred_megabytes_of_output_are_read_and_the_last_of_it_kept() -> None:
    code = "import sys\nfor _ in range(100):\n    sys.stdout.write('x' * (1 << 20))\nprint('end')"
    report = done(python(code, tail_chars=10))
    assert report.stdout == "xxxxxxend\n"
    assert report.written_bytes == 100 * 2**20 + 4


def test_output_that_is_no_text_is_shown_as_far_as_it_is() -> None:
    code = "import os; os.write(1, b'a\\xff\\x00b\\xe6\\x97'); os.write(2, '\U0001f600'.encode())"
    report = done(python(code, tail_chars=5))
    assert report.stdout == "a\ufffd\ufffdb\ufffd"
    assert report.stderr == "\U0001f600"


def test_output_that_nobody_wants_is_not_kept() -> None:
    report = done(command("echo", "much", tail_chars=0))
    assert (report.stdout, report.written_bytes) == ("", 5)


def test_one_that_closes_its_output_is_waited_for() -> None:
    report = done(python("import os, time; os.close(1); os.close(2); time.sleep(0.3); os._exit(4)"))
    assert (report.ended, report.status) == ("exit", 4)


def test_a_child_that_holds_the_output_open_does_not_keep_it_running() -> None:
    assert done(command("sh", "-c", "sleep 600 & echo out")).stdout == "out\n"


async def test_it_can_be_told_to_end() -> None:
    given, over = python(DAEMON + IGNORES + SLEEPS), asyncio.get_running_loop().create_future()
    work = asyncio.ensure_future(run(given, over))
    await until(lambda: len(marked(given.env[MARK])) >= 2)
    over.set_result(None)
    report = await work
    assert report.ended == "stopped"
    assert marked(given.env[MARK]) == []


async def test_one_that_is_told_before_it_begins_ends_too() -> None:
    given, over = python(SLEEPS), asyncio.get_running_loop().create_future()
    over.set_result(None)
    assert (await run(given, over)).ended in ("stopped", "lost")
    assert marked(given.env[MARK]) == []


@pytest.mark.parametrize("steps", [*range(12), 50, 200])
async def test_cancelled_anywhere_nothing_is_left(steps: int) -> None:
    given = python(DAEMON + IGNORES + SLEEPS)
    work = asyncio.ensure_future(run(given))
    for _ in range(steps):
        await asyncio.sleep(0 if steps < 50 else 0.002)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert marked(given.env[MARK]) == []
    assert children() == set()


def test_one_that_kills_its_supervisor_is_ended_nevertheless() -> None:
    report = done(
        python("import os, signal, time\n" + DAEMON + "os.kill(os.getppid(), 9)\n" + SLEEPS)
    )
    assert report.ended == "lost"


def test_one_that_stops_its_supervisor_is_ended_nevertheless(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "GRACE_S", 1.0)
    monkeypatch.setattr(process, "END_S", 1.0)
    code = "import os, signal, time\nos.kill(os.getppid(), signal.SIGSTOP)\n" + SLEEPS
    assert done(python(code, timeout_s=1.0)).ended == "lost"


def test_one_whose_slime_is_killed_ends_by_itself(tmp_path: Path) -> None:
    mark = secrets.token_hex(8)
    code = (
        "import asyncio, os, pathlib, signal\n"
        "from slime_plugin_agent_blackbox.process import Command, run\n"
        f"command = Command(['sleep', '600'], {{'PATH': os.environ['PATH'], '{MARK}': '{mark}'}},"
        f" pathlib.Path('/'), 600.0)\n"
        "async def main():\n"
        "    work = asyncio.ensure_future(run(command))\n"
        "    await asyncio.sleep(2)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )

    async def killed() -> None:
        slime = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
        assert await slime.wait() == -signal.SIGKILL
        await until(lambda: not marked(f"{MARK}={mark}"))

    asyncio.run(killed())


def test_only_processes_with_the_mark_are_killed() -> None:
    async def main() -> None:
        mark, other = secrets.token_hex(8), secrets.token_hex(8)
        ours, theirs = [
            await asyncio.create_subprocess_exec("sleep", "600", env={MARK: one, "PATH": "/bin"})
            for one in (mark, other)
        ]
        try:
            await until(lambda: ours.pid in marked(mark))
            kill_marked(mark)
            assert await ours.wait() == -signal.SIGKILL
            assert theirs.returncode is None
        finally:
            with contextlib.suppress(ProcessLookupError):
                theirs.kill()
            await theirs.wait()

    asyncio.run(main())


async def test_many_run_side_by_side() -> None:
    given = [command("sh", "-c", f"sleep 0.1; echo {n}") for n in range(20)]
    reports = await asyncio.gather(*map(run, given))
    assert [one.stdout for one in reports] == [f"{n}\n" for n in range(20)]
    assert children() == set()
