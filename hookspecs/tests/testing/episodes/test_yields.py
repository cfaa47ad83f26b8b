"""An episode that waits on the event loop's own thread is caught, and one that does not is not.

Nothing here is measured: what is called tells, so that a slow machine sees the same.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from textwrap import indent
from typing import Final

import pytest
from slime_hookspecs.testing import Subject
from slime_hookspecs.testing.blocking import SLEEP_S, Blocked, watched
from slime_hookspecs.testing.runner import Finding, perform

Open = Callable[[str], Subject]

HEAD: Final = """
import socket
import subprocess
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from time import sleep as nap

TRUE = [sys.executable, "-S", "-c", "pass"]
"""


def generate(body: str, more: str = "") -> str:
    """A plugin that does this before each turn of the model."""
    head = "@hookimpl\nasync def slime_generate(sample, engine, ctx):\n    begin(sample, engine)\n"
    tail = "\n    sample.stop = await engine.generate(sample.trace)\n    return sample\n"
    return f"{HEAD}\n{more}\n{head}{indent(body, '    ')}{tail}"


IN_A_TOOL: Final = "def tool():\n    urllib.request.urlopen('http://127.0.0.1:9/', timeout=30)"
#: What the episode does, and what is said of it.
BLOCKING: Final = {
    "a sleep": (generate("time.sleep(3600)"), "time.sleep(3600) at"),
    "a sleep by another name": (generate("nap(3600)"), "time.sleep(3600) at"),
    "many short sleeps": (
        generate("for _ in range(100):\n    time.sleep(0.001)"),
        "time.sleep(0.001) at",
    ),
    "a request that it survives": (
        generate("try:\n    tool()\nexcept Exception:\n    pass", IN_A_TOOL),
        "connecting to 127.0.0.1:9 at",
    ),
    "a name that it looks up": (
        generate(
            "try:\n    socket.create_connection(('no.such.host.invalid', 80))\n"
            "except OSError:\n    pass"
        ),
        "looking up 'no.such.host.invalid' at",
    ),
    "a program": (generate("subprocess.run(TRUE)"), "waiting for the process ["),
    "the output of a program": (generate("subprocess.check_output(TRUE)"), "waiting for the proc"),
    "a program that it calls": (generate("subprocess.call(TRUE)"), "waiting for the process ["),
    "a shell": (generate("import os\nos.system('true')"), "os.system() at"),
    "a task of its own": (
        generate("await asyncio.ensure_future(tool())", "async def tool():\n    time.sleep(3600)"),
        "time.sleep(3600) at",
    ),
    "in a callback": (
        generate(
            "asyncio.get_running_loop().call_soon(tool)\nawait asyncio.sleep(0.1)",
            "def tool():\n    time.sleep(3600)",
        ),
        "time.sleep(3600) at",
    ),
}

SERVER: Final = """
async def tool():
    async def answer(reader, writer):
        writer.write(b"yes")
        writer.close()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("localhost", port, family=socket.AF_INET)
        assert await reader.read() == b"yes"
        writer.close()
    finally:
        server.close()
"""
HONEST: Final = {
    "an awaited sleep": generate("await asyncio.sleep(30)"),
    "a sleep in a thread": generate("await asyncio.to_thread(time.sleep, 0.06)"),
    "a sleep in a pool": generate(
        "with ThreadPoolExecutor() as pool:\n"
        "    await asyncio.get_running_loop().run_in_executor(pool, time.sleep, 0.06)"
    ),
    "a request in a thread": generate(
        "try:\n    await asyncio.to_thread(tool)\nexcept OSError:\n    pass", IN_A_TOOL
    ),
    "a connection that it awaits": generate("await tool()", SERVER),
    "a program that it awaits": generate(
        "process = await asyncio.create_subprocess_exec(*TRUE)\nassert await process.wait() == 0"
    ),
    "the output of a program that it awaits": generate(
        "process = await asyncio.create_subprocess_exec(*TRUE, stdout=subprocess.PIPE)\n"
        "await process.communicate()"
    ),
    "a program that it kills": generate(
        "process = subprocess.Popen([sys.executable, '-S', '-c', 'input()'], stdin=-1)\n"
        "process.kill()\nprocess.communicate()"
    ),
    "a program that has ended": generate(
        "process = subprocess.Popen(TRUE)\n"
        "while process.poll() is None:\n    await asyncio.sleep(0)\n"
        "process.wait()"
    ),
    "a program, once in its life": generate(
        "if not known:\n    known.append(subprocess.check_output(TRUE))", "known = []"
    ),
    "sleeps of no time": generate("for _ in range(9):\n    time.sleep(0)"),
    "a datagram, which has no other side": generate(
        "with socket.socket(type=socket.SOCK_DGRAM) as one:\n    one.connect(('127.0.0.1', 9))"
    ),
}


@pytest.mark.parametrize("what", BLOCKING)
def test_an_episode_that_blocks_the_loop_is_caught(what: str, subject: Open) -> None:
    source, says = BLOCKING[what]
    found = perform(subject(source), "generate.yields")
    assert (found.status, found.text[: len(says)]) == ("failed", says), found
    assert "written_0.py:" in found.text
    assert found.text.endswith("await what takes long, or hand it to asyncio.to_thread")


@pytest.mark.parametrize("what", HONEST)
def test_an_episode_that_lets_the_loop_go_on_is_not(what: str, subject: Open) -> None:
    assert perform(subject(HONEST[what]), "generate.yields") == Finding("passed")


def test_an_episode_that_fails_is_left_to_another_check(subject: Open) -> None:
    found = perform(subject(generate("raise KeyError('x')")), "generate.yields")
    assert found == Finding("skipped", "it raises, which generate.answers reports")


def test_an_episode_that_never_ends_is_left_to_another_check(subject: Open) -> None:
    found = perform(subject(generate("await asyncio.Event().wait()")), "generate.yields")
    assert found.status == "skipped"
    assert found.text == "it was not over after 60 s, which generate.answers reports"


@contextmanager
def restored() -> Iterator[None]:
    """Whatever is replaced meanwhile is as it was at the end."""
    popen = subprocess.Popen
    before = (time.sleep, popen.wait, popen.communicate, popen.kill)
    yield
    assert (time.sleep, popen.wait, popen.communicate, popen.kill) == before


HERE: Final = [Path(__file__)]


def test_what_is_watched_is_as_before_when_the_watch_is_over() -> None:
    with restored(), pytest.raises(Blocked, match=r"time\.sleep\(9\) at"), watched(HERE):
        time.sleep(9)


def test_who_is_not_watched_may_wait() -> None:
    with watched([Path("/elsewhere")]) as watch:
        time.sleep(SLEEP_S + 0.01)
        subprocess.run([sys.executable, "-S", "-c", "pass"], check=True)
    assert watch.found == []


def test_what_an_import_does_is_not_the_episodes_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sleepy_library.py").write_text(f"import time\ntime.sleep({SLEEP_S + 0.01})\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with watched([*HERE, tmp_path]) as watch:
        __import__("sleepy_library")
    sys.modules.pop("sleepy_library")
    assert watch.found == []


def test_no_except_clause_of_a_plugin_hides_that_it_waits() -> None:
    with watched(HERE) as watch:
        for _ in range(2):
            with pytest.raises(Blocked), suppress(Exception):
                time.sleep(9)
    assert len(watch.found) == 2
