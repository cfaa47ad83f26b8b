"""Aborts, second attempts, cancellation: nothing is lost, and nothing is made up."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slime_hookspecs import Sample, StopReason, Trace
from slime_hookspecs.testing.kit import Abort, ScriptedEngine, make_context, make_sample
from slime_plugin_agent_gym import Options, slime_generate
from slime_plugin_agent_gym.seeds import prompt

Play = Callable[..., Sample]

#: No cuts below write one of them to its end: a server that does so says STOP, and not ABORTED.
LONG = ["abcd", "cdef", "    ", "efgh", "end"]
TURNS = ["ab", "cd", " ", "ef", "end"]


def account(sample: Sample) -> dict[str, Any]:
    found: dict[str, Any] = sample.metadata["agent_gym"]
    return found


def interrupted(play: Play, call: int, tokens: int, **options: Any) -> Sample:
    sample = play(TURNS, faults=[Abort(after_tokens=tokens, call=call)], **options)
    assert sample.stop is StopReason.ABORTED
    return sample


def as_saved(sample: Sample, options: dict[str, Any]) -> Sample:
    """The sample as a checkpoint has it."""
    made = make_sample(copy.deepcopy(sample.prompt))
    made.trace = Trace.from_list(json.loads(json.dumps(sample.trace.to_list())))
    made.metadata = json.loads(json.dumps(sample.metadata))
    return made


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    env=st.sampled_from(["Quick", "Old", "Async"]),
    cuts=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), min_size=1, max_size=3),
)
def test_an_episode_that_was_interrupted_anywhere_ends_as_the_whole_one(
    play: Play, env: str, cuts: list[tuple[int, int]]
) -> None:
    whole = play(LONG, env=env, credit="turns")
    sample = make_sample(copy.deepcopy(whole.prompt))
    for call, tokens in cuts:
        faults = [Abort(after_tokens=tokens, call=call)]
        before = sample.trace.tokens
        sample = as_saved(play(LONG, sample=sample, faults=faults, env=env, credit="turns"), {})
        assert sample.trace.tokens[: len(before)] == before
    sample = play(LONG, sample=sample, env=env, credit="turns")
    assert sample.trace.tokens == whole.trace.tokens
    assert sample.trace.loss_mask == whole.trace.loss_mask
    assert sample.trace.logprobs == whole.trace.logprobs
    assert account(sample) == account(whole)
    assert (sample.stop, sample.fields) == (whole.stop, whole.fields)


def test_the_second_attempt_replays_the_actions_in_the_trace(play: Play, life: list[str]) -> None:
    sample = interrupted(play, call=3, tokens=1)
    life.clear()
    play(TURNS, sample=sample)
    assert life == [
        *("made", "reset True", "step ab", "step cd"),
        *("step ef", "step end", "closed"),
    ]


def test_a_turn_that_was_whole_is_not_written_on(play: Play, life: list[str]) -> None:
    """It was cut off after the model's turn and before the environment's answer."""
    sample = play(["ab", "end"], max_turns=1)
    sample.stop = StopReason.PENDING
    engine = ScriptedEngine(["ab", "end"])
    play([], sample=sample, engine=engine)
    assert [call.tokens[-1] for call in engine.calls] == [4]
    assert account(sample)["rewards"] == [1.0, 2.0]


@pytest.mark.parametrize(("env", "seed"), [("Random", 7), ("Flaky", 7)])
def test_an_environment_that_does_otherwise_makes_the_attempt_start_over(
    play: Play, life: list[str], env: str, seed: int
) -> None:
    turns = ["a", "b", "c", "end"] if env == "Random" else ["b", "c", "end"]
    sample = play(turns, env=env, faults=[Abort(after_tokens=0, call=2)])
    before = sample.trace.tokens
    if env == "Flaky":
        turns = ["a", "c", "end"]
    again = play(turns, sample=sample, env=env)
    assert account(again)["restarts"] == 1
    assert again.stop is StopReason.STOP
    assert again.trace.tokens[: len(before)] != before
    assert len(account(again)["rewards"]) == len(turns)
    assert life.count("made") == life.count("closed") == 3


def test_starting_over_can_be_asked_for(play: Play, life: list[str]) -> None:
    sample = interrupted(play, call=2, tokens=1)
    whole = play(TURNS)
    life.clear()
    again = play(TURNS, sample=sample, resume="restart")
    assert again.trace == whole.trace
    assert account(again)["restarts"] == 1
    assert "step cd" in life


def test_another_seed_is_noticed_and_the_first_attempts_seed_is_kept(play: Play) -> None:
    sample = interrupted(play, call=1, tokens=1, same_start=False, ctx_seed=5)
    again = play(TURNS, sample=sample, same_start=False, ctx_seed=99)
    assert (account(again)["seed"], account(again)["restarts"]) == (5, 0)
    sample = interrupted(play, call=1, tokens=1)
    account(sample)["seed"] = 8
    assert account(play(TURNS, sample=sample))["restarts"] == 1


def test_an_episode_that_replays_to_its_end_is_not_the_same(play: Play) -> None:
    sample = interrupted(play, call=2, tokens=1)
    again = play(TURNS, sample=sample, max_turns=2)
    assert account(again)["restarts"] == 1
    assert again.stop is StopReason.TURNS


@pytest.mark.parametrize("env", ["Quick", "Echo", "Async"])
@pytest.mark.parametrize("steps", range(0, 30, 2))
async def test_cancelled_anywhere_the_environment_is_closed(
    life: list[str], env: str, steps: int
) -> None:
    options = Options(env=f"agent_worlds:{env}", max_turns=4)
    sample = make_sample(prompt(1, options))
    ctx = make_context(options=options)
    work = asyncio.ensure_future(slime_generate(sample, ScriptedEngine(["a"]), ctx))
    for _ in range(steps):
        await asyncio.sleep(0)
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work
    for _ in range(100):
        if life.count("made") == life.count("closed"):
            break
        await asyncio.sleep(0.01)
    assert life.count("made") == life.count("closed")
