"""Episodes that are broken off anywhere become, in a second attempt, what they would have been."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_r1_support import GOLD, Play, Remembering, new_sample, segments
from slime_hookspecs import Sample, StopReason, Trace
from slime_hookspecs.testing.kit import Abort, Fault, ScriptedEngine, TinyTokenizer
from slime_plugin_search_r1 import Options, episode
from slime_plugin_search_r1.passages import RetrievalError

SCRIPT = (
    "<search>gold</search>",
    "<search>?</search>",
    "Hm.",
    "<search>au</search>",
    "<answer>79</answer>",
)


async def whole_episode() -> tuple[Trace, list[str]]:
    retriever = Remembering()
    sample = new_sample()
    engine = ScriptedEngine(SCRIPT)
    await episode.play(sample, engine, retriever, Options(), 2000)
    return sample.trace, retriever.queries


CALLS = [(call, cut) for call, turn in enumerate(SCRIPT) for cut in range(len(turn))]


@pytest.mark.parametrize(("call", "cut"), CALLS)
async def test_aborted_after_any_token_it_goes_on_as_if_nothing_had_been(
    play: Play, retriever: Remembering, call: int, cut: int
) -> None:
    trace, queries = await whole_episode()
    sample = await play(ScriptedEngine(SCRIPT, faults=[Abort(after_tokens=cut, call=call)]))
    assert sample.stop is StopReason.ABORTED
    begun = sample.trace.tokens
    await play(ScriptedEngine(SCRIPT), sample)
    assert sample.stop is StopReason.STOP
    assert sample.trace.tokens == trace.tokens
    assert sample.trace.loss_mask == trace.loss_mask
    assert sample.trace.tokens[: len(begun)] == begun
    assert retriever.queries == queries == ["gold", "au"]
    assert sample.metadata["search_r1"] == {"searches": 2, "mistakes": 2, "well_formed": False}


@dataclass(frozen=True, slots=True)
class BrokenOff(Fault):
    """Ends the request after some tokens, and always before the model ends its turn itself."""

    after_tokens: int = 0

    async def happen(self, turn: Any) -> None:
        ended = turn.tokens[-1:] == [TinyTokenizer.end]
        cut = min(self.after_tokens, len(turn.tokens) - ended)
        turn.tokens, turn.stop = turn.tokens[:cut], StopReason.ABORTED


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 8), max_size=40))
def test_aborted_again_and_again_it_still_becomes_the_same(cuts: list[int]) -> None:
    async def run() -> None:
        trace, queries = await whole_episode()
        retriever, sample = Remembering(), new_sample()
        for cut in cuts:
            engine = ScriptedEngine(SCRIPT, faults=[BrokenOff(cut)])
            await episode.play(sample, engine, retriever, Options(), 2000)
        await episode.play(sample, ScriptedEngine(SCRIPT), retriever, Options(), 2000)
        assert sample.trace.tokens == trace.tokens
        assert retriever.queries == queries

    asyncio.run(run())


async def test_a_search_that_was_cancelled_is_made_in_the_second_attempt(play: Play) -> None:
    asked = asyncio.Event()

    class Silent:
        async def search(self, query: str) -> list[object]:
            asked.set()
            await asyncio.Event().wait()
            return []

    sample, engine = new_sample(), ScriptedEngine(SCRIPT)
    task = asyncio.ensure_future(play(engine, sample, found_by=Silent()))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [kind for kind, _ in segments(sample, engine)] == ["prompt", "sampled"]
    retriever = Remembering()
    again = ScriptedEngine(SCRIPT)
    await play(again, sample, found_by=retriever)
    assert sample.trace == (await whole_episode())[0]
    assert len(again.written) == len(SCRIPT) - 1
    assert retriever.queries == ["gold", "au"]


async def test_what_a_failed_attempt_knew_is_not_searched_again(play: Play) -> None:
    class FailsSecond(Remembering):
        async def search(self, query: str) -> object:  # type: ignore[override]
            self.failures = int(query == "au" and "au" not in self.queries)
            return await super().search(query)

    retriever, sample = FailsSecond(), new_sample()
    with pytest.raises(RetrievalError):
        await play(ScriptedEngine(SCRIPT), sample, found_by=retriever)
    await play(ScriptedEngine(SCRIPT), sample, found_by=retriever)
    assert retriever.queries == ["gold", "au", "au"]
    assert sample.trace == (await whole_episode())[0]


async def test_an_episode_goes_on_from_its_saved_trace_alone(play: Play) -> None:
    trace, _ = await whole_episode()
    sample = await play(ScriptedEngine(SCRIPT, faults=[Abort(after_tokens=9, call=3)]))
    saved = json.loads(json.dumps(sample.trace.to_list()))
    resumed = Sample(7, 3, sample.prompt, Trace.from_list(saved))
    await play(ScriptedEngine(SCRIPT), resumed)
    assert resumed.trace.tokens == trace.tokens
    assert resumed.metadata["search_r1"]["searches"] == 2


async def test_a_turn_that_was_over_is_not_generated_again(play: Play) -> None:
    trace, _ = await whole_episode()
    sample = new_sample()
    sample.trace = Trace(trace.segments[:2])  # The prompt and the first search, to its end.
    again = ScriptedEngine(SCRIPT)
    await play(again, sample)
    assert sample.trace == trace
    assert len(again.written) == len(SCRIPT) - 1


async def test_the_rest_of_a_stop_string_may_come_up_where_it_is_none(play: Play) -> None:
    """Broken off after ``<``, it could go on with ``/search>`` or with anything else."""
    script = ["a <b> /search> c<search>gold</search>", "<answer>79</answer>"]
    retriever = Remembering()
    sample = await play(
        ScriptedEngine(script, faults=[Abort(after_tokens=3, call=0)]), found_by=retriever
    )
    engine = ScriptedEngine(script)
    await play(engine, sample, found_by=retriever)
    assert engine.decode(sample.trace.response_tokens).startswith(script[0])
    assert retriever.queries == ["gold"]
    assert [call.sampling.stop for call in engine.calls if call.sampling] == [
        ["</search>", "</answer>", "/search>", "/answer>"],
        ["</search>", "</answer>"],
        ["</search>", "</answer>"],
    ]


async def test_budgets_count_what_the_first_attempt_wrote(play: Play) -> None:
    script = ["x" * 50]
    sample = await play(ScriptedEngine(script, faults=[Abort(after_tokens=20, call=0)]), budget=30)
    await play(ScriptedEngine(script), sample, budget=30)
    assert (sample.stop, sample.trace.sampled_length) == (StopReason.LENGTH, 30)


async def test_replies_count_over_attempts(play: Play) -> None:
    script = ["<search>gold</search>"]
    engine = ScriptedEngine(script, faults=[Abort(after_tokens=2, call=2)])
    sample = await play(engine, max_replies=3)
    retriever = Remembering()
    await play(ScriptedEngine(script), sample, found_by=retriever, max_replies=3)
    assert (sample.stop, len(retriever.queries)) == (StopReason.TURNS, 1)


def test_the_script_has_a_turn_of_every_kind() -> None:
    whole, queries = asyncio.run(whole_episode())
    kinds = [segment.kind for segment in whole.segments]
    assert kinds == ["prompt", *["sampled", "observed"] * 4, "sampled"]
    assert queries == ["gold", "au"]
    assert GOLD.text in ScriptedEngine().decode(whole.tokens)


async def test_the_budget_of_a_turn_counts_what_the_first_attempt_wrote(play: Play) -> None:
    engine = ScriptedEngine(["x" * 50], faults=[Abort(after_tokens=20, call=0)])
    sample = await play(engine, turn_tokens=30)
    await play(ScriptedEngine(["x" * 50]), sample, turn_tokens=30)
    assert (sample.stop, len(sample.trace.last_turn)) == (StopReason.LENGTH, 30)
