"""Commands under a keeper end with their owner and leave nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from slime_hookspecs import EngineError

from slime_core.engine.child import Child
from slime_core.engine.ports import lease

#: Starts a child that ignores SIGTERM and detaches, maps shared memory, and tells its pids.
TREE = """
import mmap, os, subprocess, sys, tempfile, time
child = subprocess.Popen(
    [sys.executable, "-c", "import signal, time; signal.signal(15, 1); time.sleep(100)"],
    start_new_session=True,
)
shared = open("/dev/shm/slime-test-" + str(os.getpid()), "w+b")
shared.truncate(4096)
kept = mmap.mmap(shared.fileno(), 4096)
left = tempfile.mkstemp()[1]
print(os.getpid(), child.pid, shared.name, left, flush=True)
time.sleep(100)
"""

#: Owns a child, forks a process that holds all its pipes, and sleeps.
OWNER = """
import os, sys, time
from pathlib import Path
from slime_core.engine.child import Child
child = Child("tree", [sys.executable, "-c", sys.argv[2]], Path(sys.argv[1]), dict(os.environ))
child.start()
os.write(1, f"{os.fork()}\\n".encode())  # one write, so that two lines never mix
time.sleep(100)
"""


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def tree(log: Path) -> tuple[list[int], list[Path]]:
    """Pids and files that ``TREE`` wrote to its log."""
    assert eventually(lambda: log.exists() and log.read_text().count("\n") == 1)
    server, child, shared, left = log.read_text().split()
    return [int(server), int(child)], [Path(shared), Path(left), Path(left).parent]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "child.log"


@pytest.fixture
def child(log: Path) -> Iterator[Child]:
    child = Child("tree", [sys.executable, "-c", TREE], log, os.environ)
    yield child
    child.stop()


def test_stop_kills_the_whole_tree_and_removes_what_it_left(child: Child, log: Path) -> None:
    child.start()
    pids, files = tree(log)
    assert child.alive()
    assert all(map(running, pids))
    assert all(file.exists() for file in files)
    child.stop()
    assert not child.alive()
    assert not any(map(running, [*pids, child.pid or 0]))
    assert not any(file.exists() for file in files)
    child.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_owner_that_is_killed_leaves_nothing(log: Path, number: int) -> None:
    command = [sys.executable, "-c", OWNER, str(log), TREE]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    forked = max(int(owner.stdout.readline()), int(owner.stdout.readline()))
    pids, files = tree(log)
    owner.send_signal(number)
    owner.wait()
    owner.stdout.close()
    assert running(forked)  # it holds the pipe open
    assert eventually(lambda: not any(map(running, pids)), seconds=20)
    assert eventually(lambda: not any(file.exists() for file in files))
    os.kill(forked, signal.SIGKILL)


def test_signals_to_a_whole_group_do_not_end_a_server_before_its_owner(
    child: Child, log: Path
) -> None:
    child.start()
    pids, _ = tree(log)
    assert child.pid
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(child.pid, number)
    time.sleep(0.3)
    assert child.alive()
    assert running(pids[0])


def test_a_keeper_that_is_killed_takes_the_command_with_it(child: Child, log: Path) -> None:
    child.start()
    pids, files = tree(log)
    assert child.pid
    os.kill(child.pid, signal.SIGKILL)
    assert eventually(lambda: not running(pids[0]))
    for orphan in pids[1:]:  # detached on purpose; real servers' children die with their parent
        os.kill(orphan, signal.SIGKILL)
    files[0].unlink()
    shutil.rmtree(files[2])


def test_a_command_that_ends_leaves_no_children_and_no_files(child: Child, log: Path) -> None:
    child.start()
    pids, files = tree(log)
    time.sleep(1.2)  # the keeper looks for shared memory after a second
    os.kill(pids[0], signal.SIGKILL)
    assert eventually(lambda: not child.alive())
    assert not any(map(running, pids))
    assert not any(file.exists() for file in files)
    assert child.ended() == "was killed by signal 9"


def test_a_command_that_was_stopped_can_be_started_again(child: Child, log: Path) -> None:
    assert child.ended() == "was not started"
    for _ in range(2):
        child.start()
        pids, _ = tree(log)
        assert child.ended() == ""
        child.stop()
        assert not any(map(running, pids))
        log.unlink()


def test_a_keeper_that_was_killed_leaves_no_folder(child: Child, log: Path) -> None:
    child.start()
    pids, files = tree(log)
    os.kill(child.pid or 0, signal.SIGKILL)
    assert eventually(lambda: child.ended() == "was killed by signal 9")
    child.stop()
    assert not files[2].exists()
    os.kill(pids[1], signal.SIGKILL)
    files[0].unlink()


def test_ending_early_is_told_with_the_end_of_the_log(log: Path) -> None:
    code = "import sys; print('line of output'); sys.exit('bad model folder')"
    child = Child("SGLang server on port 1", [sys.executable, "-c", code], log, os.environ)
    child.start()
    with pytest.raises(EngineError) as caught:
        child.wait_until(lambda: False, timeout_s=20)
    message = str(caught.value)
    assert message.startswith("SGLang server on port 1 ended with status 1 before it was ready")
    assert str(log) in message
    assert message.endswith("    line of output\n    bad model folder")
    child.stop()


def test_being_too_slow_is_told_with_the_option_to_change(child: Child) -> None:
    child.start()
    with pytest.raises(EngineError, match=r"not ready within 0\.3 s \(--engine-start-timeout-s\)"):
        child.wait_until(lambda: False, timeout_s=0.3)


def test_waiting_ends_when_it_is_ready(child: Child, log: Path) -> None:
    child.start()
    child.wait_until(log.read_text, timeout_s=20)  # type: ignore[arg-type]
    assert child.alive()


def test_a_claimed_port_is_not_given_twice() -> None:
    first = lease()
    with pytest.raises(EngineError, match=f"port {first.port} on 127.0.0.1 is in use"):
        lease(first.port)
    first.release()
    lease(first.port).release()


def test_a_port_that_someone_listens_on_is_refused() -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(EngineError, match="is in use"):
            lease(other.getsockname()[1])


def test_claims_of_many_processes_never_meet() -> None:
    leases = [lease() for _ in range(150)]
    assert len({each.port for each in leases}) == 150
    for each in leases:
        each.release()
