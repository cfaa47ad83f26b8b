"""The timeline opens whenever it is looked at: while the run goes, after its death, resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slime_core.observe.timeline import FILE, Timeline


def events(folder: Path) -> list[dict[str, Any]]:
    """As a viewer reads it: the closing bracket may be missing, nothing else."""
    text = (folder / FILE).read_text()
    whole = text if text.endswith("]\n") else text + "]"
    found: list[dict[str, Any]] = json.loads(whole)
    for event in found:
        assert event["ph"] in "BEbeiMC"
        assert event["ph"] == "M" or isinstance(event["ts"], int)
        assert {"name", "pid", "tid"} <= event.keys()
    return found


def named(folder: Path, name: str) -> list[dict[str, Any]]:
    return [event for event in events(folder) if event["name"] == name]


def test_a_phase_has_a_begin_and_an_end(tmp_path: Path) -> None:
    timeline = Timeline.begin(tmp_path, "driver")
    with timeline.phase("train", step=3):
        pass
    timeline.close(last=True)
    begin, end = named(tmp_path, "train")
    assert (begin["ph"], end["ph"]) == ("B", "E")
    assert begin["args"] == {"step": 3}
    assert begin["ts"] <= end["ts"]
    assert json.loads((tmp_path / FILE).read_text())


def test_what_a_run_died_of_stands_there_without_an_end(tmp_path: Path) -> None:
    timeline = Timeline.begin(tmp_path, "driver")
    with timeline.phase("sync"), pytest.raises(ZeroDivisionError), timeline.phase("rollout"):
        raise ZeroDivisionError
    assert [event["ph"] for event in named(tmp_path, "rollout")] == ["B"]


def test_a_killed_process_leaves_a_file_that_opens(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal\n"
        "from slime_core.observe.timeline import Timeline\n"
        f"timeline = Timeline.begin(pathlib.Path({str(tmp_path)!r}), 'driver')\n"
        "for step in range(3):\n"
        "    with timeline.phase('train', step=step):\n"
        "        if step == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == -9
    assert [event["args"]["step"] for event in named(tmp_path, "train") if event["ph"] == "B"] == [
        0,
        1,
        2,
    ]


def test_spans_of_one_sample_share_a_track(tmp_path: Path) -> None:
    timeline = Timeline.begin(tmp_path, "driver")
    timeline.span("generate", "sample 7", 10.0, 12.5, tokens=4)
    timeline.span("reward", "sample 7", 12.5, 12.75, reward=1.0)
    timeline.close()
    spans = [event for event in events(tmp_path) if event["ph"] in "be"]
    assert {(event["cat"], event["id"]) for event in spans} == {("sample", "sample 7")}
    assert [event["ts"] for event in spans] == [10_000_000, 12_500_000, 12_500_000, 12_750_000]
    assert spans[0]["args"] == {"tokens": 4}


def test_processes_write_into_one_file_without_tearing_lines(tmp_path: Path) -> None:
    Timeline.begin(tmp_path, "driver")
    program = (
        "import pathlib, sys\n"
        "from slime_core.observe.timeline import Timeline\n"
        f"timeline = Timeline.join(pathlib.Path({str(tmp_path)!r}), sys.argv[1], 1)\n"
        "for i in range(1500):\n"
        "    timeline.span('generate', f'sample {i}', 1.0, 2.0, text='x' * 50)\n"
        "timeline.close()\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", program, name]) for name in ("one", "two")]
    assert [process.wait() for process in both] == [0, 0]
    assert len(named(tmp_path, "generate")) == 2 * 2 * 1500
    names = [event["args"]["name"] for event in named(tmp_path, "process_name")]
    assert sorted(names) == ["driver", "one", "two"]


@pytest.mark.parametrize("torn", ["", ',\n{"name":"tra', ",\n", ',\n{"name":"x"}'])
def test_a_resumed_run_goes_on_in_the_same_file(tmp_path: Path, torn: str) -> None:
    first = Timeline.begin(tmp_path, "driver")
    first.instant("weights 1")
    first.close(last=torn == "")
    with (tmp_path / FILE).open("a") as file:
        file.write(torn)
    if torn.endswith("}"):  # whole, but without what a viewer wants: it was not ours to judge
        torn = ""
    again = Timeline.begin(tmp_path, "driver")
    again.instant("weights 2")
    again.close(last=True)
    names = [event["name"] for event in json.loads((tmp_path / FILE).read_text())]
    assert [name for name in names if name.startswith("weights")] == ["weights 1", "weights 2"]


@pytest.mark.parametrize("content", ["", "[", "nothing of the kind"])
def test_a_file_of_something_else_is_begun_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    Timeline.begin(tmp_path, "driver").close(last=True)
    assert named(tmp_path, "process_name")


def test_it_can_be_off(tmp_path: Path) -> None:
    for timeline in (Timeline.begin(tmp_path, "d", on=False), Timeline.join(tmp_path, "r", 1)):
        with timeline.phase("train"):
            timeline.span("generate", "sample 1", 1.0, 2.0)
        assert not timeline.on
        timeline.close(last=True)
    assert list(tmp_path.iterdir()) == []


def test_a_process_does_not_write_where_the_run_wants_none(tmp_path: Path) -> None:
    Timeline.begin(tmp_path, "driver").close()
    before = (tmp_path / FILE).read_text()
    Timeline.join(tmp_path, "rollout worker", 1, on=False).close()
    assert (tmp_path / FILE).read_text() == before


def test_a_disk_that_is_full_costs_the_timeline_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    timeline = Timeline.begin(tmp_path, "driver")

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    for _ in range(3):
        with timeline.phase("train"):
            pass
    assert not timeline.on
    assert len(caplog.records) == 1
    assert "No space left" in caplog.text


def test_a_folder_that_cannot_be_written_costs_no_run(tmp_path: Path) -> None:
    assert not Timeline.begin(tmp_path / "gone", "driver").on


def test_values_that_json_does_not_have_are_left_out(tmp_path: Path) -> None:
    timeline = Timeline.begin(tmp_path, "driver")
    timeline.counter("reward", mean=float("nan"))
    timeline.counter("reward", mean=0.5)
    timeline.close()
    assert [event.get("args") for event in named(tmp_path, "reward")] == [{"mean": 0.5}]
