"""Environments that raise, hang, or answer nonsense: the sample fails, and the message says who."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from slime_hookspecs import ConfigError, DataError, Sample
from slime_hookspecs.testing.kit import make_context, make_run, make_sample
from slime_plugin_agent_gym import Options, slime_data_source, slime_reward
from slime_plugin_agent_gym.calls import Calls
from slime_plugin_agent_gym.world import EnvironmentFailed, opened

Play = Callable[..., Sample]


def settled(life: list[str], seconds: float = 2.0) -> list[str]:
    """What happened, once everything that was made is closed."""
    end = time.monotonic() + seconds
    while life.count("closed") < life.count("made") and time.monotonic() < end:
        time.sleep(0.01)
    return life


@pytest.mark.parametrize("env", ["Broken"])
@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"what": "reset"}, r"with seed 7: reset\(seed=7\) raised ValueError: no reset"),
        ({"what": "step"}, r"with seed 7: step\('a'\) in turn 1 raised ValueError: no step"),
        ({"how": "stop"}, "raised RuntimeError: StopIteration"),
        ({"how": "exit"}, "raised RuntimeError: SystemExit: 3"),
        ({"how": "timeout"}, "raised TimeoutError: the game server is slow"),
    ],
)
def test_an_environment_that_raises_fails_the_sample(
    play: Play, life: list[str], env: str, args: dict[str, Any], message: str
) -> None:
    with pytest.raises(EnvironmentFailed, match=rf"environment 'agent_worlds:Broken' .*{message}"):
        play(["a"], env=env, env_args=args)
    assert settled(life)[-1] == "closed"


def test_an_environment_that_fails_when_it_is_closed_has_played_all_the_same(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    sample = play(["a", "end"], env="Broken", env_args={"what": "close"})
    assert sample.metadata["agent_gym"]["rewards"] == [1.0, 2.0]
    assert "closing an environment raised ValueError: no close" in caplog.text


@pytest.mark.parametrize("what", ["reset", "step"])
def test_an_environment_that_hangs_is_closed_when_it_comes_back(
    play: Play, life: list[str], what: str
) -> None:
    start = time.monotonic()
    with pytest.raises(EnvironmentFailed, match=r"raised TimeoutError: it took more than 0\.1 s"):
        play(["a"], env="Broken", env_args={"what": what, "how": "0.6"}, step_timeout_s=0.1)
    assert time.monotonic() - start < 0.5
    assert "closed" not in life
    assert settled(life)[-1] == "closed"
    assert life[-2] != "made"


def test_a_factory_that_is_late_has_its_environment_closed(play: Play, life: list[str]) -> None:
    slow = {"env": "agent_worlds:slow_to_make", "env_args": {"seconds": 0.4}}
    with pytest.raises(EnvironmentFailed, match=r"its factory raised TimeoutError"):
        play(["a"], **slow, step_timeout_s=0.1)
    time.sleep(0.4)
    assert settled(life) == ["made", "closed"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, r"gave None; it must give \(observation, reward, terminated, truncated, info\)"),
        ("text", "gave 'text'; it must give"),
        (("text", 1.0, True), "it must give"),
        (("text", None, True, False, {}), "gave the reward None; it must be a finite number"),
        (("text", float("nan"), True, False, {}), "gave the reward nan"),
        (("text", "much", True, False, {}), "gave the reward 'much'"),
    ],
)
def test_an_answer_that_is_none_fails_the_sample(
    play: Play, life: list[str], answer: Any, message: str
) -> None:
    with pytest.raises(EnvironmentFailed, match=message):
        play(["a"], env="Answers", env_args={"answer": answer})
    assert settled(life)[-1] == "closed"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no environment; name one with --agent-gym.env: number_guessing, tic_tac_toe"),
        (
            {"env": "numer_guessing"},
            r"did you mean 'number_guessing'\?; an environment of your own",
        ),
        ({"env": "no_such_module:Env"}, "importing 'no_such_module' raised ModuleNotFoundError"),
        ({"env": "agent_worlds:Ecko"}, "there is no 'Ecko'; did you mean 'Echo'"),
        ({"env": "agent_worlds:Echo.no"}, "there is no 'no'"),
        ({"env": "agent_worlds:NOT_CALLABLE"}, "which is no factory but 3"),
        ({"env": "agent_worlds:NoStep"}, r"without step\(\)"),
        ({"env": "agent_worlds:fails"}, "raised OSError: no display"),
        ({"env": "number_guessing", "env_args": {"mist": 3}}, "raised TypeError: .*'mist'"),
        ({"env": "number_guessing", "env_args": {"most": 1}}, "raised ValueError: most is 1"),
    ],
)
def test_an_environment_that_cannot_be_made_stops_the_run_before_it_starts(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        slime_data_source(Options(**options), make_run())


def test_what_was_made_to_check_is_closed(life: list[str]) -> None:
    slime_data_source(Options(env="agent_worlds:Echo"), make_run())
    assert life == ["made", "closed"]
    slime_data_source(Options(env="agent_worlds:Async"), make_run())


@pytest.mark.parametrize("label", [None, "7", 1.5, True, {"seed": 7}])
async def test_a_prompt_without_a_seed_is_refused(label: Any) -> None:
    sample = make_sample(response="a")
    sample.prompt = type(sample.prompt)("p", sample.prompt.messages, label)
    with pytest.raises(DataError, match=r"prompt p: its label is .*needs the seed"):
        await slime_reward(sample, make_context(options=Options(env="number_guessing")))


async def test_a_slow_environment_does_not_hold_the_loop() -> None:
    options = Options(env="agent_worlds:Broken", env_args={"how": "0.3"})
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.ensure_future(tick())
    async with opened(options, 1) as world:
        await world.reset()
        await world.step("a")
    ticking.cancel()
    assert ticks > 10


async def test_many_slow_environments_take_their_time_side_by_side() -> None:
    options = Options(env="agent_worlds:Broken", env_args={"how": "0.2"})

    async def one(seed: int) -> str:
        async with opened(options, seed) as world:
            await world.reset()
            return (await world.step(str(seed))).text

    start = time.monotonic()
    found = await asyncio.gather(*map(one, range(40)))
    assert found == [f"did {seed}" for seed in range(40)]
    assert time.monotonic() - start < 2.0


async def test_threads_last_no_longer_than_their_calls() -> None:
    def running() -> list[str]:
        return [one.name for one in threading.enumerate() if one.name.startswith("agent_gym")]

    while running():  # Of other tests.
        await asyncio.sleep(0.01)
    async with opened(Options(env="agent_worlds:Echo"), 1) as world:
        await world.reset()
        await asyncio.sleep(0.05)
        assert running() == []
    await asyncio.sleep(0.05)
    assert running() == []


async def test_a_factory_may_be_a_coroutine_function(play: Play, life: list[str]) -> None:
    async with opened(Options(env="agent_worlds:in_time"), 1) as world:
        assert await world.reset() == "go 1"
    await asyncio.sleep(0.05)
    assert life[-1] == "closed"


async def test_a_call_that_answers_after_the_loop_is_done_with_it_is_ignored() -> None:
    calls = Calls(0.05)
    with pytest.raises(TimeoutError, match=r"more than 0\.05 s"):
        await calls.run(time.sleep, 0.2)
    order: list[str] = []
    calls.finally_run(lambda: order.append("last"))
    assert order == []
    await asyncio.sleep(0.3)
    assert order == ["last"]
