"""What counts as a write, and what does not."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from slime_hookspecs.testing.writes import writes


def in_thread(folder: Path) -> None:
    thread = threading.Thread(target=(folder / "a").write_text, args=("x",))
    thread.start()
    thread.join()


def relative(folder: Path) -> None:
    before = Path.cwd()
    os.chdir(folder)
    try:
        Path("a").write_text("x")
    finally:
        os.chdir(before)


def descriptor(folder: Path) -> None:
    os.close(os.open(folder / "a", os.O_CREAT | os.O_WRONLY))


def rename(folder: Path) -> None:
    (folder / "there").replace(folder / "a")


WRITES: dict[str, tuple[Callable[[Path], object], set[str]]] = {
    "text": (lambda folder: (folder / "a").write_text("x"), {"a"}),
    "append": (lambda folder: (folder / "a").open("a").close(), {"a"}),
    "update": (lambda folder: (folder / "there").open("r+").close(), {"there"}),
    "descriptor": (descriptor, {"a"}),
    "folder": (lambda folder: (folder / "a").mkdir(), {"a"}),
    "rename": (rename, {"there", "a"}),
    "remove": (lambda folder: (folder / "there").unlink(), {"there"}),
    "link": (lambda folder: (folder / "a").symlink_to(folder / "there"), {"a"}),
    "database": (lambda folder: sqlite3.connect(folder / "a").close(), {"a"}),
    "thread": (in_thread, {"a"}),
    "relative": (relative, {"a"}),
    "bytes": (lambda folder: open(bytes(folder / "a"), "wb").close(), {"a"}),  # noqa: PTH123
    "read": (lambda folder: (folder / "there").read_text(), set()),
    "list": (lambda folder: list(folder.iterdir()), set()),
    "device": (lambda folder: Path(os.devnull).write_text("x"), set()),
    "nameless": (lambda folder: tempfile.TemporaryFile(dir=folder).close(), set()),
    "pipe": (lambda folder: [os.close(end) for end in os.pipe()], set()),
}


@pytest.mark.parametrize("what", WRITES)
def test_writes_are_seen_and_reads_are_not(what: str, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("x")
    act, expected = WRITES[what]
    with writes() as found:
        act(tmp_path)
    assert set(found) == {tmp_path.resolve() / name for name in expected}


def test_what_comes_before_and_after_is_not_seen(tmp_path: Path) -> None:
    (tmp_path / "before").write_text("x")
    with writes() as found:
        pass
    (tmp_path / "after").write_text("x")
    assert dict(found) == {}


def test_each_of_two_that_listen_hears_its_own_time(tmp_path: Path) -> None:
    with writes() as outer:
        (tmp_path / "a").write_text("x")
        with writes() as inner:
            (tmp_path / "b").write_text("x")
    assert [path.name for path in outer] == ["a", "b"]
    assert [path.name for path in inner] == ["b"]
