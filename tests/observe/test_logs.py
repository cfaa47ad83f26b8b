"""The driver's log: the file gets everything, the terminal what a person must see."""

from __future__ import annotations

import contextlib
import logging
import warnings
from pathlib import Path

import pytest

from slime_core.observe.logs import driver_logging, take_over


def test_the_file_gets_everything_and_the_terminal_our_warnings_and_all_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with driver_logging(tmp_path / "logs") as file:
        logging.getLogger("slime.rollout").info("ours, quiet")
        logging.getLogger("slime.rollout").warning("ours, of weight")
        logging.getLogger("ray.worker").warning("theirs, noise")
        logging.getLogger("sglang").error("theirs, broken")
        logging.getLogger("slimey").warning("not ours")
    assert capsys.readouterr().err.splitlines() == [
        "warning: ours, of weight",
        "error: theirs, broken",
    ]
    log = file.read_text()
    assert file == tmp_path / "logs" / "driver.log"
    assert all(t in log for t in ("quiet", "of weight", "noise", "broken", "not ours"))


def test_python_warnings_go_to_the_file_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with driver_logging(tmp_path) as file, warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old function", DeprecationWarning, stacklevel=1)
    assert "old function" in file.read_text()
    assert "old function" not in capsys.readouterr().err


def test_a_traceback_is_in_the_file_and_not_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with driver_logging(tmp_path) as file:
        try:
            raise ValueError("deep")
        except ValueError:
            logging.getLogger("slime").exception("failed")
    assert "Traceback" in file.read_text()
    assert capsys.readouterr().err == "error: failed\n"


def test_a_handler_that_a_library_brings_is_taken_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library = logging.getLogger("transformers")
    with driver_logging(tmp_path) as file:
        library.addHandler(logging.StreamHandler())
        library.propagate = False
        take_over()
        logging.getLogger("transformers.models").warning("please read this")
    assert "please read this" in file.read_text()
    assert capsys.readouterr().err == ""


def test_everything_is_put_back(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    with contextlib.suppress(KeyError), driver_logging(tmp_path):
        assert root.handlers != before[0]
        raise KeyError
    assert (list(root.handlers), root.level) == before


def test_a_second_run_in_the_same_folder_adds_to_the_log(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with driver_logging(tmp_path) as file:
            logging.getLogger("slime").info(text)
    assert [line.rpartition(" ")[2] for line in file.read_text().splitlines()] == [
        "first",
        "second",
    ]
