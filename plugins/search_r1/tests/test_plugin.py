"""The plugin as a whole: its import, its hooks, its certificate, its documentation."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import entry_points, requires
from pathlib import Path

import pytest
import slime_plugin_search_r1 as plugin
from slime_hookspecs import CAPABILITIES, Context, EngineError, Sample, StopReason
from slime_hookspecs.testing.kit import Restart, ScriptedEngine, make_run
from slime_plugin_search_r1 import Options, slime_conformance, slime_data_source, slime_generate
from slime_plugin_search_r1.cli import _parser
from slime_plugin_search_r1.conformance import FACTS, QUESTIONS
from slime_plugin_search_r1.tasks import OPTIONS

README = Path(__file__).parents[1] / "README.md"
SOURCES = sorted(Path(plugin.__file__).parent.glob("*.py"))


def test_the_entry_point_is_the_package() -> None:
    (found,) = entry_points(group="slime.plugins", name="search_r1")
    assert found.load() is plugin


def test_it_needs_no_more_than_it_says() -> None:
    needed = {re.split(r"[^\w-]", one)[0] for one in requires("slime-plugin-search-r1") or ()}
    assert needed == {"slime-hookspecs", "aiohttp", "bm25s", "numpy", "pyarrow"}


def test_importing_it_imports_no_http_and_no_numbers() -> None:
    code = (
        "import sys, slime_plugin_search_r1 as p; p.slime_conformance(); p.slime_options()();"
        "sys.exit(bool({'numpy', 'aiohttp', 'bm25s', 'torch', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_a_whole_episode_through_the_hooks(tmp_path: Path) -> None:
    options = Options(data=[str(QUESTIONS)], corpus=str(FACTS), top_k=1)
    run = make_run(tmp_path, max_response_tokens=1000)
    prompt = slime_data_source(options, run).take(1)[0]
    engine = ScriptedEngine(["<search>heron coins</search>", "<answer>heron</answer>"])
    ctx = Context(run, options)
    sample = Sample(0, 0, prompt)
    assert await slime_generate(sample, engine, ctx) is sample
    assert sample.stop is StopReason.STOP
    assert "(Title: Varnish krone)" in engine.decode(sample.trace.response_tokens)
    assert sample.metadata == {"search_r1": {"searches": 1, "mistakes": 0, "well_formed": False}}
    assert list(tmp_path.iterdir()) == []


async def test_the_budget_is_the_run_s(tmp_path: Path) -> None:
    options = Options(corpus=str(FACTS))
    engine = ScriptedEngine(["x" * 100])
    sample = Sample(0, 0, slime_conformance().gold[0][0])
    await slime_generate(sample, engine, Context(make_run(max_response_tokens=20), options))
    assert (sample.stop, sample.trace.sampled_length) == (StopReason.LENGTH, 20)


async def test_a_failure_leaves_the_trace_for_the_next_attempt() -> None:
    options = Options(corpus=str(FACTS))
    replies = ["<search>heron</search>", "<answer>heron</answer>"]
    sample = Sample(0, 0, slime_conformance().gold[0][0])
    ctx = Context(make_run(max_response_tokens=1000), options)
    with pytest.raises(EngineError):
        await slime_generate(sample, ScriptedEngine(replies, faults=[Restart(call=1)]), ctx)
    assert [segment.kind for segment in sample.trace.segments] == ["prompt", "sampled", "observed"]
    again = ScriptedEngine(replies)
    await slime_generate(sample, again, ctx)
    assert (sample.stop, len(again.written)) == (StopReason.STOP, 1)


def test_what_it_says_of_itself_is_known_and_has_examples() -> None:
    told = slime_conformance()
    assert told.capabilities <= set(CAPABILITIES)
    assert "multi_turn" in told.capabilities
    assert len(told.gold) == len(told.bad) == 10
    assert told.reward_range == (0.0, 1.0)
    assert Options(**told.options).corpus == str(FACTS)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_every_module_says_what_it_is_in_its_first_sentence(path: Path) -> None:
    first = path.read_text(encoding="utf-8").split('"""')[1].strip().split("\n\n")[0]
    assert len(first) > 20
    assert first.endswith((".", ")."))
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_the_readme_names_every_command() -> None:
    text = README.read_text(encoding="utf-8")
    (commands,) = _parser()._subparsers._group_actions  # type: ignore[union-attr]
    for name in commands.choices:  # type: ignore[union-attr]
        assert f"slime-search-r1 {name} " in text


def test_the_readme_s_command_for_the_small_task_has_its_options() -> None:
    text = " ".join(README.read_text(encoding="utf-8").replace("\\\n", " ").split())
    for name, value in OPTIONS.items():
        spelt = {"{question}": "'{question}'", "False": "false"}.get(str(value), str(value))
        assert f"--search-r1.{name.replace('_', '-')} {spelt} " in text
