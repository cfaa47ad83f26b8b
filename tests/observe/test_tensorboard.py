"""The TensorBoard tracker writes what TensorBoard reads, and says what to install."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from slime_hookspecs import PluginError, RunInfo

from slime_core.builtin import tensorboard as plugin


@pytest.fixture
def info(tmp_path: Path) -> RunInfo:
    """Facts of a run."""
    return RunInfo("run", tmp_path, tmp_path / "model", 0, 1, 1, 1, 1)


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard itself reads back."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [(e.step, float(make_ndarray(e.tensor_proto))) for e in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
    }


def test_tensorboard_reads_every_metric_of_every_step(info: RunInfo) -> None:
    tracker = plugin.slime_tracker(plugin.Options(), info)
    tracker.log(0, {"reward/mean": 0.25, "train/loss": 1.0})
    tracker.log(1, {"reward/mean": 0.5})
    tracker.close()
    assert scalars(info.directory / "tensorboard") == {
        "reward/mean": [(0, 0.25), (1, 0.5)],
        "train/loss": [(0, 1.0)],
    }


def test_a_step_can_be_read_before_the_run_ends(info: RunInfo) -> None:
    tracker = plugin.slime_tracker(plugin.Options(), info)
    tracker.log(0, {"x": 1.0})
    assert scalars(info.directory / "tensorboard") == {"x": [(0, 1.0)]}
    tracker.close()


def test_the_folder_can_be_chosen(info: RunInfo, tmp_path: Path) -> None:
    options = plugin.Options(directory=tmp_path / "else")
    plugin.slime_tracker(options, info).close()
    assert list((tmp_path / "else").iterdir())


def test_a_missing_package_is_an_error_with_the_command_that_mends_it(
    info: RunInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    with pytest.raises(PluginError, match=r"pip install 'slime-rl\[tensorboard\]'"):
        plugin.slime_tracker(plugin.Options(), info)


def test_the_plugin_imports_the_contract_and_nothing_heavy() -> None:
    tree = ast.parse(Path(plugin.__file__).read_text())
    imports = {
        node.module if isinstance(node, ast.ImportFrom) else alias.name
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {name for name in imports if name and name.startswith(("slime", "t"))} == {
        "slime_hookspecs",
        "typing",
    }
