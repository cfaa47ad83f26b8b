"""What goes wrong in a plugin is told with the line in the plugin's own code."""

from __future__ import annotations

import importlib
import logging
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rollout_fakes import FakeClient, config_of, hook, studio_of
from slime_hookspecs.places import own_folder, place_of

from slime_core.rollout.blame import blame, sample_error
from slime_core.rollout.contexts import Scene
from slime_core.rollout.lag import Suspects

HOOKS = """
import json
from lost_plugin import deep


async def slime_generate(sample, engine, ctx):
    return deep.look({})


def in_a_library(sample, ctx):
    return json.loads("{")
"""
DEEP = """
import time


def look(table):
    return table["x"]


def sleep(seconds):
    time.sleep(seconds)
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A package of two modules, and one module beside it."""
    folder = tmp_path / "lost_plugin"
    folder.mkdir()
    (folder / "__init__.py").write_text(HOOKS)
    (folder / "deep.py").write_text(DEEP)
    (tmp_path / "lost_module.py").write_text("def fail():\n    raise ValueError('no')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("lost_plugin")
    for name in ("lost_plugin", "lost_plugin.deep", "lost_module"):
        sys.modules.pop(name, None)


def caught(call: Any) -> Exception:
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_the_place_is_the_innermost_line_of_the_package(plugin: Any) -> None:
    error = caught(lambda: plugin.deep.look({}))
    assert place_of(error, plugin.slime_generate) == "lost_plugin/deep.py:6"


def test_where_a_library_raises_the_place_is_the_line_that_called_it(plugin: Any) -> None:
    error = caught(lambda: plugin.in_a_library(None, None))
    assert place_of(error, plugin.in_a_library) == "lost_plugin/__init__.py:11"


def test_a_module_by_itself_has_its_own_place(plugin: Any) -> None:
    module = importlib.import_module("lost_module")
    assert place_of(caught(module.fail), module.fail) == "lost_module.py:2"


def test_what_another_package_raised_by_itself_has_no_place(plugin: Any) -> None:
    assert place_of(caught(lambda: {}["y"]), plugin.slime_generate) == ""
    assert own_folder(len) is None


def test_the_rest_of_the_core_is_not_a_built_in_plugins_own_code() -> None:
    from slime_core.builtin import grpo, single_turn

    assert own_folder(grpo.slime_advantage) == Path(grpo.__file__)
    suspects = Suspects([hook("slime_generate", single_turn.slime_generate)])
    assert suspects.find(sys._getframe()) == (None, f"{__file__}:{sys._getframe().f_lineno}")


def test_a_samples_error_says_where(plugin: Any) -> None:
    error = caught(lambda: plugin.deep.look({}))
    blame(error, hook("slime_generate", plugin.slime_generate), "sample 3")
    record = sample_error(error, "slime_generate")
    assert record.message == "'x' (at lost_plugin/deep.py:6)"
    assert error.__notes__ == [
        "in plugin task 1.2, hook slime_generate, sample 3, at lost_plugin/deep.py:6"
    ]


async def test_a_failed_step_says_where(plugin: Any, caplog: pytest.LogCaptureFixture) -> None:
    studio, drawing = studio_of(config_of(), hook("slime_generate", plugin.slime_generate))
    with caplog.at_level(logging.WARNING), pytest.raises(Exception, match=r"deep.py:6"):
        await studio.roll(Scene(0, 1), FakeClient(), drawing)


def test_who_blocks_the_loop_is_told_with_the_line_that_does(plugin: Any) -> None:
    suspects = Suspects([hook("slime_generate", plugin.slime_generate)])
    thread = threading.Thread(target=plugin.deep.sleep, args=(1.0,))
    thread.start()
    time.sleep(0.2)
    assert thread.ident is not None
    found, place = suspects.find(sys._current_frames()[thread.ident])
    thread.join()
    assert found is not None
    assert (found.plugin, found.hook) == ("task", "sleep")
    assert place.endswith("lost_plugin/deep.py:10")
