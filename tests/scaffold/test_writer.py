"""A new folder is written whole or not at all, and nothing that is there is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from slime_hookspecs import ConfigError

from slime_core.scaffold import write

CONTENTS = {Path("a.txt"): "ä\n", Path("deep/er/b.txt"): ""}


def tree(folder: Path) -> dict[str, str]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in found}


def test_all_files_are_there_and_nothing_beside_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "new", CONTENTS)
    assert tree(tmp_path) == {"new/a.txt": "ä\n", "new/deep/er/b.txt": ""}
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_an_empty_folder_may_be_there(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    write(tmp_path / "new", CONTENTS)
    assert len(tree(tmp_path / "new")) == 2


def test_others_may_read_the_folder_as_the_user_lets_them(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "new", CONTENTS)
    finally:
        assert os.umask(before) == 0o027
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o750


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine.txt").write_text("mine")
    with pytest.raises(
        ConfigError, match=r"new is there already, and there are files in it\n.*DIR"
    ):
        write(tmp_path / "new", CONTENTS)
    assert tree(tmp_path) == {"new/mine.txt": "mine"}


def test_a_file_of_the_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("mine")
    with pytest.raises(ConfigError, match="new is there already, and it is no folder"):
        write(tmp_path / "new", CONTENTS)
    assert tree(tmp_path) == {"new": "mine"}


@pytest.mark.parametrize("target", ["empty", "nowhere"])
def test_a_link_of_the_name_is_left_alone(target: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "new").symlink_to(tmp_path / target)
    with pytest.raises(ConfigError, match="new is there already"):
        write(tmp_path / "new", CONTENTS)
    assert (tmp_path / "new").is_symlink()
    assert tree(tmp_path) == {}


def test_a_place_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--directory .*/none: there is no such folder"):
        write(tmp_path / "none" / "new", CONTENTS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mkdir", "write_text", "rename"])
def test_nothing_is_left_of_a_folder_that_could_not_be_finished(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = getattr(Path, name), []

    def full(path: Path, *more: object, **named: object) -> object:
        calls.append(path)
        if name == "rename" or len(calls) > 1:
            raise OSError(28, "No space left on device")
        return real(path, *more, **named)

    monkeypatch.setattr(Path, name, full)
    with pytest.raises(ConfigError, match=r"new: No space left on device"):
        write(tmp_path / "new", CONTENTS)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_when_the_user_stops_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(path: Path, *more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", stop)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "new", CONTENTS)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
