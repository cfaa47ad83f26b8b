"""The sandbox's parts, each by itself: what is kept, seen, started, counted and deleted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slime_hookspecs import ConfigError
from slime_plugin_multi_turn_tools.sandbox import Isolation, Limits, commands, folders, view
from slime_plugin_multi_turn_tools.sandbox.inside import lower, namespaces, supervise, tree
from slime_plugin_multi_turn_tools.sandbox.inside.kept import Kept


def kept(most: int, *chunks: bytes) -> str:
    """What is kept of a stream that comes in chunks."""
    one = Kept(most)
    for chunk in chunks:
        one.add(chunk)
    return one.text()


@pytest.mark.parametrize(
    ("most", "data", "text"),
    [
        (10, b"", ""),
        (10, b"0123456789", "0123456789"),
        (10, b"0123456789a", "01234\n[... 1 bytes left out ...]\n6789a"),
        (4, b"0123456789", "01\n[... 6 bytes left out ...]\n89"),
        (0, b"0123", "\n[... 4 bytes left out ...]\n"),
        (10, "ä".encode() * 3, "äää"),
        (6, "ä".encode() * 6, "ä\ufffd\n[... 6 bytes left out ...]\n\ufffdä"),
        (10, b"\xff", "\ufffd"),
    ],
)
def test_the_beginning_and_the_end_of_a_stream_are_kept(most: int, data: bytes, text: str) -> None:
    assert kept(most, data) == text
    assert kept(most, *(bytes([one]) for one in data)) == text


@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(0, 60))
def test_chunks_make_no_difference(chunks: list[bytes], most: int) -> None:
    whole = b"".join(chunks)
    one = Kept(most)
    for chunk in chunks:
        one.add(chunk)
    assert one.total == len(whole)
    assert one.text() == kept(most, whole)
    if len(whole) <= most // 2 * 2:
        assert one.text() == whole.decode("utf-8", "replace")
    assert len(one._head) + len(one._tail) <= 3 * most + 50


def test_a_stream_without_end_takes_no_memory() -> None:
    one = Kept(1000)
    for _ in range(10_000):
        one.add(b"x" * 1000)
    assert one.total == 10_000_000
    assert len(one._head) + len(one._tail) <= 2500


def test_a_program_sees_its_interpreter_and_the_systems_libraries() -> None:
    seen = view.view_of(sys.executable)
    assert "/usr" in seen.readable
    for prefix in {sys.prefix, sys.base_prefix}:
        assert any(Path(prefix).is_relative_to(one) for one in seen.readable)
    for hidden in ("/", "/etc", "/home", "/root", "/tmp", "/var"):
        assert hidden not in seen.readable
    for path, target in seen.links:
        assert str(Path(path).readlink()) == target
        assert path not in seen.readable


def test_no_path_is_shown_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    view.view_of.cache_clear()
    found = ["/opt/py", "/opt/py/venv", "/usr/lib/python3", "/opt/pyx"]
    monkeypatch.setattr(view, "prefixes", lambda python: found)
    readable = view.view_of("python").readable
    view.view_of.cache_clear()
    assert [one for one in readable if one.startswith("/opt")] == ["/opt/py", "/opt/pyx"]
    assert "/usr/lib/python3" not in readable


def test_prefixes_are_asked_of_the_interpreter(tmp_path: Path) -> None:
    assert set(view.prefixes(sys.executable)) == {sys.prefix, sys.base_prefix}
    with pytest.raises(ConfigError, match=r"/bin/false: not a Python that runs here \(Command"):
        view.prefixes("/bin/false")
    with pytest.raises(ConfigError, match="none: not a Python that runs here"):
        view.prefixes(str(tmp_path / "none"))


def test_the_supervisor_is_started_alone_where_there_is_no_wall() -> None:
    python, *flags, code = commands.command(Isolation.RLIMITS, sys.executable, Limits())
    assert (python, flags) == (sys.executable, ["-I", "-S", "-B", "-c"])
    assert code.endswith("from inside.supervise import main; main()")


def test_the_namespaces_are_told_what_can_be_seen() -> None:
    *_, code, told = commands.command(Isolation.NAMESPACES, sys.executable, Limits(disk_mb=7))
    seen = view.view_of(sys.executable)
    assert json.loads(told) == {
        "readable": list(seen.readable),
        "links": dict(seen.links),
        "disk_mb": 7,
    }
    assert code.endswith("from inside.namespaces import main; main(sys.argv[1])")


@pytest.mark.parametrize("root", [True, False])
def test_bubblewrap_is_asked_for_every_wall(root: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    words = commands.command(Isolation.BUBBLEWRAP, sys.executable, Limits(disk_mb=7))
    end = words.index("--")
    options, program = words[:end], words[end + 1 :]
    for wall in ("ipc", "pid", "net", "uts"):
        assert f"--unshare-{wall}" in options
    assert ("--unshare-user" in options) is not root
    for promise in ("--die-with-parent", "--as-pid-1", "--clearenv"):
        assert promise in options
    assert options[options.index("--size") + 1] == str(7 << 20)
    assert options[options.index("--remount-ro") + 1] == "/"
    assert "--bind" not in options
    shown = [options[n + 1] for n, word in enumerate(options) if word == "--ro-bind"]
    assert shown == [*view.view_of(sys.executable).readable, str(commands.HERE / "inside")]
    assert program[0] == sys.executable
    assert commands.SHOWN in program[-1]


def test_folders_above_what_bubblewrap_shows_can_be_entered() -> None:
    assert commands._folders(["/a/b/c", "/a/d"]) == [
        *("--perms", "0755", "--dir", "/a"),
        *("--perms", "0755", "--dir", "/a/b"),
    ]


def test_constants_that_are_needed_on_both_sides_of_the_wall_agree() -> None:
    assert commands.DEVICES == namespaces.DEVICES
    assert lower.MIB == commands.MIB == 1 << 20
    assert namespaces.ROOT == supervise.SHOWN == "/tmp"


def deep(folder: Path, depth: int) -> None:
    """Make folders within folders, deeper than a path can be long."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("deeper", dir_fd=here)
        there = os.open("deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = there
    os.close(here)


def test_a_folder_is_deleted_with_all_that_can_be_in_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    folder = tmp_path / "folder"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "file").write_text("x")
    (folder / "a" / "to-folder").symlink_to(outside)
    (folder / "a" / "to-file").symlink_to(outside / "precious")
    (folder / "a" / "to-nothing").symlink_to("nothing")
    os.mkfifo(folder / "a" / "b" / "pipe")
    os.link(outside / "precious", folder / "hard")
    deep(folder, 600)
    (folder / "a" / "b").chmod(0)
    (folder / "a").chmod(0)
    before = len(list(Path("/proc/self/fd").iterdir()))
    folders.delete(str(folder))
    assert not folder.exists()
    assert (outside / "precious").read_text() == "x"
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_folder_that_may_not_be_entered_is_deleted_by_its_owner(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "closed" / "within").mkdir(parents=True)
    (folder / "closed").chmod(0)
    folder.chmod(0)
    folders.delete(str(folder))
    assert not folder.exists()


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process at home in the test's folder, in a session of its own."""
    command = [sys.executable, "-S", "-c", "import time; print(1, flush=True); time.sleep(60)"]
    process = subprocess.Popen(
        command, env={"HOME": str(tmp_path)}, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.stdout.close()
    process.kill()
    process.wait()


def test_processes_at_home_in_a_folder_are_found_and_ended(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    assert folders.at_home(str(tmp_path)) == [sleeper.pid]
    assert folders.at_home(str(tmp_path)[:-1]) == []
    folder = tmp_path / "folder"
    folder.mkdir()
    folders.leave_nothing(str(folder))
    assert sleeper.poll() is None
    folders.leave_nothing(str(tmp_path))
    assert sleeper.wait(5) == -signal.SIGKILL
    tmp_path.mkdir()  # pytest's own, and deleted by it


async def test_a_temporary_folder_is_private_and_gone_afterwards() -> None:
    async with folders.temporary_folder() as folder:
        assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700
        Path(folder, "file").write_text("x")
    assert not Path(folder).exists()
    with pytest.raises(RuntimeError):
        async with folders.temporary_folder() as folder:
            raise RuntimeError
    assert not Path(folder).exists()


FAMILY = """
import os, sys
sys.path.insert(0, sys.argv[1])
from inside import tree
from inside.lower import LIBC, PR_SET_CHILD_SUBREAPER
import time
LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
read, write = os.pipe()
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(write, b"x")
            held = b"x" * (20 << 20)
            os.write(write, b"x")
            time.sleep(60)
        os._exit(0)
while len(held := os.read(read, 1)) and (total := globals().get("total", 0) + 1) < 6:
    globals()["total"] = total
time.sleep(0.1)
found = tree.descendants()
print(len(found), tree.resident_bytes(found) >> 20)
tree.kill_all()
print(len(tree.descendants()), tree.reap())
"""


def test_all_descendants_are_found_weighed_and_ended() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", FAMILY, str(commands.HERE)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    first, second = done.stdout.splitlines()
    count, megabytes = map(int, first.split())
    # Three that sleep, and their parents, which are dead and not buried yet.
    assert count == 6
    assert 60 <= megabytes < 120
    assert second == "0 0"


def test_those_who_have_none_have_no_descendants() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from inside import tree; "
        "tree.kill_all(); print(tree.descendants(), tree.reap(), tree.resident_bytes([]))"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(commands.HERE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "[] 0 0\n"


def test_processes_that_ended_meanwhile_count_nothing() -> None:
    done = subprocess.Popen(["/bin/true"])
    done.wait()
    assert tree.resident_bytes([done.pid]) == 0
    assert tree._parent(str(done.pid)) is None
    tree._send([done.pid], signal.SIGKILL)


def test_tasks_of_a_user_are_counted() -> None:
    mine = lower.tasks_of(os.getuid())
    assert mine >= 1
    assert lower.tasks_of(4_000_000_000) == 0


def test_the_kernels_version_is_read() -> None:
    found = lower.kernel()
    assert len(found) == 2
    assert (3, 0) < found < (100, 0)


LIMITED = """
import json, resource, sys
sys.path.insert(0, sys.argv[1])
from inside.lower import limit_resources
limits = {"cpu_s": 3, "memory_mb": 900, "disk_mb": 2, "processes": 5}
limit_resources(limits, already_running=7)
names = ("AS", "FSIZE", "NPROC", "NOFILE", "CORE", "CPU")
print(json.dumps([resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in names]))
limit_resources({**limits, "memory_mb": 2000}, already_running=7)
print(resource.getrlimit(resource.RLIMIT_AS)[1] >> 20)
"""


def test_limits_are_hard_and_only_ever_lowered() -> None:
    command = [sys.executable, "-I", "-S", "-c", LIMITED, str(commands.HERE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    first, second = done.stdout.splitlines()
    assert json.loads(first) == [
        [900 << 20, 900 << 20],
        [2 << 20, 2 << 20],
        [12, 12],
        [256, 256],
        [0, 0],
        [3, 4],
    ]
    assert second == "900"


def supervised(order: object, *, after: bytes | None = None, close: bool = False) -> str:
    """What a supervisor without a wall says to an order, and to what follows it."""
    command = commands.command(Isolation.RLIMITS, PYTHON, Limits())
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write((json.dumps(order) + "\n").encode())
        process.stdin.flush()
        if after is not None or close:
            time.sleep(0.3)
            process.stdin.write(after or b"")
            process.stdin.flush() if not close else process.stdin.close()
        return process.stdout.read().decode()


PUBLIC = "/usr/bin/python3"
PYTHON = PUBLIC if Path(PUBLIC).exists() else sys.executable


@pytest.fixture
def order(tmp_path: Path) -> dict[str, object]:
    """An order for a program that sleeps, in a folder that everybody may reach."""
    folder = Path(folders.tempfile.mkdtemp())
    folder.chmod(0o755)
    limits = {name: getattr(Limits(), name) for name in Limits.__slots__}
    return {
        "python": PYTHON,
        "program": "import time; print('a', flush=True); time.sleep(60)",
        "folder": str(folder),
        "limits": limits,
    }


@pytest.mark.parametrize("close", [True, False])
def test_a_supervisor_ends_when_it_is_told_to_or_nobody_is_there(
    close: bool, order: dict[str, object]
) -> None:
    started = time.monotonic()
    told = json.loads(supervised(order, after=None if close else b"x", close=close))
    assert time.monotonic() - started < 5
    assert (told["ended"], told["stdout"]) == ("stopped", "a\n")
    shutil.rmtree(str(order["folder"]))


def test_a_supervisor_ends_by_itself_what_a_program_left(
    order: dict[str, object], hostile: Callable[..., str]
) -> None:
    told = json.loads(supervised({**order, "program": hostile("becomes_a_daemon")}))
    assert (told["ended"], told["stdout"]) == ("exit", "left it\n")
    assert folders.at_home(str(order["folder"])) == []
    shutil.rmtree(str(order["folder"]))


def test_what_cannot_be_started_is_told_as_the_programs_error(order: dict[str, object]) -> None:
    told = json.loads(supervised({**order, "python": "/nonexistent/python"}))
    assert (told["ended"], told["status"]) == ("exit", 126)
    assert told["stderr"].startswith("the sandbox could not start the program: FileNotFoundError")
    shutil.rmtree(str(order["folder"]))


def test_a_supervisor_without_an_order_ends() -> None:
    command = commands.command(Isolation.RLIMITS, PYTHON, Limits())
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    assert (done.returncode, done.stdout) == (1, b"")


@pytest.mark.skipif(not Path(PUBLIC).exists(), reason=f"there is no {PUBLIC} for nobody to run")
def test_nobody_can_look_into_a_supervisor_of_the_same_user(order: dict[str, object]) -> None:
    user = 65534 if os.geteuid() == 0 else None
    command = commands.command(Isolation.RLIMITS, PUBLIC, Limits())
    owners = {}
    for name, words in {"supervisor": command, "other": ["sleep", "60"]}.items():
        pipe = subprocess.PIPE
        with subprocess.Popen(words, stdin=pipe, stdout=pipe, user=user, cwd="/") as process:
            time.sleep(0.5)
            owners[name] = Path(f"/proc/{process.pid}/environ").stat().st_uid
            process.kill()
    # What may be looked into belongs to its user, and what may not to root.
    assert owners == {"supervisor": 0, "other": user if user else os.getuid()}
    shutil.rmtree(str(order["folder"]))
