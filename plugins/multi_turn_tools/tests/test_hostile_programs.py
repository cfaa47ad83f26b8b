"""Hostile programs: each ends in time, leaves no process and no file, and a clear result."""

from __future__ import annotations

import asyncio
import signal
import socket
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from slime_plugin_multi_turn_tools.sandbox import Ended, Isolation, Report, Sandbox

MakeSandbox = Callable[..., Sandbox]
Run = Callable[..., Awaitable[Report]]
WALLED = (Isolation.BUBBLEWRAP, Isolation.NAMESPACES)
#: Seconds beyond its wall time that a program may take, on a busy machine.
SLACK_S = 6.0


@pytest.fixture
def run(
    make_sandbox: MakeSandbox, hostile: Callable[..., str], left_over: Callable[[], list[str]]
) -> Run:
    """Runs a hostile program, and sees that it ended in time and left nothing."""

    async def attack(name: str, limits: dict[str, int] | None = None, **values: object) -> Report:
        sandbox = make_sandbox(**(limits or {}))
        folders = set(Path(tempfile.gettempdir()).glob("slime-sandbox-*"))
        started = time.monotonic()
        report = await sandbox.run(hostile(name, **values))
        assert time.monotonic() - started < sandbox.limits.wall_s + SLACK_S
        assert report.seconds < sandbox.limits.wall_s + SLACK_S
        assert left_over() == []
        assert set(Path(tempfile.gettempdir()).glob("slime-sandbox-*")) <= folders
        return report

    return attack


async def test_a_fork_bomb_is_put_out(run: Run) -> None:
    report = await run("fork_bomb")
    assert report.ended in (Ended.PROCESSES, Ended.CPU, Ended.WALL)


async def test_a_bomb_of_threads_meets_the_limit_of_processes(run: Run) -> None:
    report = await run("thread_bomb", {"memory_mb": 4096})
    assert report.succeeded
    threads, _, reason = report.stdout.partition(" ")
    assert 2 <= int(threads) <= 17
    assert reason == "can't start new thread\n"


async def test_one_process_that_takes_memory_gets_no_more(run: Run) -> None:
    report = await run("memory_bomb")
    assert (report.ended, report.status) == (Ended.EXIT, 1)
    assert report.stderr.endswith("MemoryError\n")


async def test_many_processes_together_have_no_more_memory_than_one(run: Run) -> None:
    assert (await run("memory_bomb_of_many")).ended is Ended.MEMORY


async def test_endless_output_is_cut_and_ended(run: Run) -> None:
    report = await run("endless_output")
    assert report.ended is Ended.OUTPUT
    assert 4096 <= len(report.stdout) < 4096 + 60
    assert "bytes left out" in report.stdout


async def test_an_endless_loop_is_ended_by_its_processor_time(run: Run) -> None:
    report = await run("endless_loop", {"wall_s": 30})
    assert (report.ended, report.status) == (Ended.CPU, -signal.SIGXCPU)
    assert report.seconds < 10


async def test_ignoring_all_signals_does_not_help(run: Run) -> None:
    report = await run("ignores_signals", {"wall_s": 30})
    assert (report.ended, report.status) == (Ended.CPU, -signal.SIGKILL)
    assert report.seconds < 15


async def test_sleep_is_ended_by_the_clock_and_what_was_written_before_is_kept(run: Run) -> None:
    report = await run("endless_sleep")
    assert (report.ended, report.stdout) == (Ended.WALL, "good night\n")
    assert 0.9 < report.seconds < 5


async def test_a_program_that_closes_its_output_is_waited_for_and_ended(run: Run) -> None:
    assert (await run("closes_its_output")).ended is Ended.WALL


async def test_other_peoples_files_are_read_only_where_no_wall_is_promised(
    run: Run, level: Isolation, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("psst")
    report = await run("reads_files", SECRET=str(secret))
    lines = report.stdout.splitlines()
    assert len(lines) == 4
    if level in WALLED:
        assert [line.split()[0] for line in lines] == ["failed"] * 4
    else:
        # What every user of the machine may read, the program may.
        assert lines[0].startswith("failed /etc/shadow")
        assert lines[1].startswith("read /etc/passwd")
        assert lines[2].startswith("failed /proc/1/environ")


async def test_nothing_is_written_outside_of_its_folder_where_a_wall_is_promised(
    run: Run, level: Isolation, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    mark = f"slime-zoo-{uuid.uuid4().hex}"
    values = {"THEIRS": str(Path.home()), "OTHERS": str(tmp_path), "MARK": mark}
    report = await run("writes_files", **values)
    wrote = [line.split()[1] for line in report.stdout.splitlines() if line.startswith("wrote")]
    places = ("/", "/usr", "/etc", "/var/tmp", str(Path.home()), str(tmp_path))
    left = [place for place in places if Path(place, mark).exists()]
    if level in WALLED:
        assert wrote == ["/tmp"]
        assert left == []
        return
    Path("/var/tmp", mark).unlink(missing_ok=True)
    assert wrote[-1] == "/tmp"  # So its own folder is called in its output.
    # As nobody it writes where everybody may.
    assert left == ["/var/tmp"]


async def test_there_is_no_network_where_a_wall_is_promised(run: Run, level: Isolation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        port = tcp.getsockname()[1]
        unix.bind(f"\0slime-zoo-{port}")
        unix.listen()
        report = await run("uses_the_network", PORT=port)
    said = [line.split()[:2] for line in report.stdout.splitlines()]
    if level in WALLED:
        assert said == [["failed", "tcp"], ["failed", "udp"], ["failed", "unix"]]
    else:
        assert said[0] == ["sent", "tcp"]
        assert said[2] == ["sent", "unix"]


async def test_killing_its_parent_frees_no_program(run: Run, level: Isolation) -> None:
    report = await run("kills_its_parent")
    if level in WALLED:
        assert report.ended is Ended.WALL
    else:
        assert report.ended in (Ended.WALL, Ended.LOST)


async def test_a_daemon_ends_with_the_program_that_left_it(run: Run) -> None:
    report = await run("becomes_a_daemon")
    assert (report.succeeded, report.stdout) == (True, "left it\n")
    assert report.seconds < 1.0


async def test_zombies_are_buried(run: Run) -> None:
    report = await run("leaves_zombies")
    assert (report.succeeded, report.stdout) == (True, "ten dead\n")


async def test_deep_recursion_ends_in_an_error(run: Run) -> None:
    report = await run("recurses", {"memory_mb": 256})
    assert not report.succeeded
    assert report.ended in (Ended.EXIT, Ended.SIGNAL, Ended.CPU, Ended.WALL)


async def test_a_crash_of_the_interpreter_is_told_by_its_signal(run: Run) -> None:
    report = await run("crashes", {"memory_mb": 512, "cpu_s": 5, "wall_s": 15})
    assert (report.ended, report.status) == (Ended.SIGNAL, -signal.SIGSEGV)


async def test_of_a_huge_exception_the_beginning_and_the_end_are_kept(run: Run) -> None:
    report = await run("raises_a_novel")
    assert len(report.stderr) < 4096 + 60
    assert report.stderr.startswith("Traceback")
    assert "bytes left out" in report.stderr
    assert report.ended in (Ended.OUTPUT, Ended.EXIT)


async def test_the_disk_is_bounded_where_it_is_in_memory(run: Run, level: Isolation) -> None:
    report = await run("fills_the_disk", {"disk_mb": 4})
    if level in WALLED:
        assert report.stdout == "stopped at 3 MiB: ENOSPC\n"
    else:
        # Each file is bounded, and their number is not.
        assert report.stdout == "" or "ENOSPC" in report.stdout


async def test_each_file_is_bounded(run: Run) -> None:
    report = await run("writes_one_long_file", {"disk_mb": 4})
    assert report.stdout in ("stopped at 4 MiB: EFBIG\n", "stopped at 3 MiB: ENOSPC\n")


async def test_rights_that_were_given_up_do_not_come_back(run: Run) -> None:
    report = await run("wants_its_rights_back")
    lines = report.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["failed"] * len(lines)
    assert len(lines) == 9


async def test_folders_of_any_depth_are_gone_afterwards(run: Run) -> None:
    report = await run("leaves_a_deep_tree", {"wall_s": 5})
    assert report.stdout == "done\n"


async def test_bytes_that_are_no_text_become_replacement_characters(run: Run) -> None:
    report = await run("writes_no_text")
    assert report.stdout.replace("\ufffd", "") == "\0ok"


async def test_cancelling_kills(
    make_sandbox: MakeSandbox, hostile: Callable[..., str], left_over: Callable[[], list[str]]
) -> None:
    program = hostile("becomes_a_daemon") + "\ntime.sleep(3600)"
    task = asyncio.create_task(make_sandbox(wall_s=60).run(program))
    await asyncio.sleep(0.5)
    assert left_over() != []
    task.cancel()
    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - started < 5
    assert left_over() == []
