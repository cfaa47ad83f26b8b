"""Observers hear how a run ended, whatever way that was."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slime_core.config.schema import Config, ObserveConfig
from slime_core.observe.journal import open_journal
from slime_core.observe.rundir import RunDir


@pytest.mark.parametrize(
    ("ending", "status"),
    [(None, "success"), (KeyboardInterrupt, "interrupted"), (ValueError, "error")],
)
def test_observers_hear_how_the_run_ended(
    tmp_path: Path, ending: type[BaseException] | None, status: str
) -> None:
    heard: list[Any] = []
    call = lambda event, *_: heard.append(event)  # noqa: E731
    hook = SimpleNamespace(plugin="p", options=None, is_async=False, call=call)
    bound = SimpleNamespace(all=lambda name: (hook,) if name == "slime_on_run_end" else ())
    config = Config(observe=ObserveConfig(progress=False))
    launch: Any = SimpleNamespace(config=config, bound=bound)
    run_dir = RunDir.create(tmp_path / "run", {}, json.dumps({}))
    try:
        with open_journal(launch, run_dir, SimpleNamespace(steps=1), 0):  # type: ignore[arg-type]
            if ending:
                raise ending
    except (KeyboardInterrupt, ValueError):
        pass
    assert [event.status for event in heard] == [status]
