"""An episode: the agent runs, what it asked becomes traces, and its work is worth something."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blackbox_support import account, files_in, make_task, marked, script, told, until
from slime_hookspecs import ConfigError, EngineError, Sample, StopReason
from slime_hookspecs.testing.kit import Abort, Restart, ScriptedEngine, make_sample, serve
from slime_plugin_agent_blackbox import relay, slime_generate, slime_reward
from slime_plugin_agent_blackbox.errors import AgentFailed, AgentTimedOut, NoCall, RewardFailed
from slime_plugin_agent_blackbox.folders import FILES

Play = Callable[..., Any]


def test_what_the_model_wrote_for_the_agent_is_the_trace(play: Play) -> None:
    sample = play(command=script("talks", 2))
    assert told(sample) == [
        ("prompt", "<|user|>2+2=<|end|><|assistant|>"),
        ("sampled", "one<|end|>"),
        ("observed", "<|user|>go on<|end|><|assistant|>"),
        ("sampled", "two<|end|>"),
    ]
    assert sample.stop is StopReason.STOP
    assert sample.response == "two"


def test_the_agents_file_has_its_reward_and_numbers_beside_it(
    play: Play, context: Callable[..., Any]
) -> None:
    sample = play(command=script("talks", 2))
    reward = slime_reward(sample, context())
    assert reward.value == 2.0
    assert reward.metrics == {"calls": 2.0, "conversations": 1.0, "asked": 2.0}


def test_an_account_of_the_agent_is_kept_as_json(play: Play) -> None:
    found = account(play(command=script("exits", 0), reward="exit-status"))
    assert (found["ended"], found["status"], found["calls"]) == ("exit", 0, 1)
    assert found["stdout"] == "this is its output\n"
    assert found["stderr"] == "this is its complaint\n"
    assert found["written_bytes"] == len("this is its output\nthis is its complaint\n")
    assert json.loads(json.dumps(found)) == found


def test_only_the_end_of_what_an_agent_says_is_kept(play: Play) -> None:
    sample = play(command=script("exits", 0), reward="exit-status", output_chars=7)
    assert account(sample)["stdout"] == "output\n"
    assert (
        account(play(command=script("exits", 0), output_chars=0, reward="exit-status"))["stderr"]
        == ""
    )


@pytest.mark.parametrize(("status", "value"), [(0, 1.0), (1, 0.0), (42, 0.0)])
def test_an_exit_status_may_be_the_reward(
    play: Play, context: Callable[..., Any], status: int, value: float
) -> None:
    sample = play(command=script("exits", status), reward="exit-status")
    assert slime_reward(sample, context()).value == value


@pytest.mark.parametrize("reward", ["exit-status", "file", "blackbox_functions:by_notes"])
def test_an_agent_that_a_signal_ended_has_no_reward(play: Play, reward: str) -> None:
    with pytest.raises(AgentFailed, match="was ended by signal 11; it said: this is its complaint"):
        play(command=script("exits", -signal.SIGSEGV), reward=reward)


@pytest.mark.parametrize("reward", ["file", "blackbox_functions:by_notes"])
def test_a_status_that_is_not_the_reward_fails_the_sample(play: Play, reward: str) -> None:
    with pytest.raises(AgentFailed, match="ended with status 3; it said: this is its complaint"):
        play(command=script("exits", 3), reward=reward)


@pytest.mark.parametrize("count", [2, 3])
def test_each_conversation_becomes_a_sample_and_all_share_the_reward(
    play: Play, context: Callable[..., Any], count: int
) -> None:
    given = make_sample(make_task())
    found = play(command=script("talks_apart", count), sample=given)
    assert found[-1] is given
    assert len({id(one) for one in found}) == len({id(one.trace) for one in found}) == count
    topics = {told(one)[0][1] for one in found}
    assert topics == {f"<|user|>topic {n}<|end|><|assistant|>" for n in range(count)}
    assert [account(one)["conversation"] for one in found] == list(range(count))
    assert [slime_reward(one, context()).value for one in found] == [1.0] * count
    assert {one.stop for one in found} == {StopReason.STOP}


def test_what_one_sibling_is_told_later_the_others_do_not_know(play: Play) -> None:
    one, other = play(command=script("talks_apart", 2))
    account(one)["more"] = 1
    one.rewards["x"] = 1
    one.fields["y"] = 2
    assert "more" not in account(other)
    assert (other.rewards, other.fields) == ({}, {})


def test_the_gateways_own_traces_are_not_handed_out(play: Play) -> None:
    engine = ScriptedEngine(["one"])
    sample = play(command=script("talks", 1), engine=engine)
    assert sample.trace == engine.openai_traces[0]
    assert sample.trace is not engine.openai_traces[0]


def test_an_agent_that_asks_nothing_fails_and_is_not_worth_0(play: Play) -> None:
    with pytest.raises(NoCall, match=r"made no call to the model at \$OPENAI_BASE_URL"):
        play(command="true", reward="exit-status")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("false", "it ended with status 1, and said nothing"),
        ("sh -c 'echo no network >&2; exit 7'", "it ended with status 7; it said: no network"),
        ("sh -c 'kill -9 $$'", "it was ended by signal 9"),
        ("/no/such/agent", "could not be started: FileNotFoundError"),
        ("/dev/null", "could not be started: PermissionError"),
    ],
)
def test_why_it_asked_nothing_is_told_as_far_as_it_is_known(
    play: Play, command: str, message: str
) -> None:
    with pytest.raises(NoCall, match=message):
        play(command=command)


def test_a_prompt_that_is_no_word_is_refused_by_the_system_and_that_is_told(play: Play) -> None:
    with pytest.raises(NoCall, match=r"could not be started: OSError.*Argument list too long"):
        play(command="true {prompt}", prompt=make_task("x" * 200_000))
    with pytest.raises(NoCall, match="could not be started: ValueError: embedded null byte"):
        play(command="true {prompt}", prompt=make_task("a\0b"))


def test_calls_beyond_the_limit_are_refused_and_the_agent_may_go_on(play: Play) -> None:
    found = play(command=script("insists", "reward"), max_calls=2)
    assert account(found[-1])["stdout"] == "limit_turns\n"
    assert [one.stop for one in found] == [StopReason.STOP, StopReason.TURNS]
    assert account(found[-1])["reward"] == 2
    assert (account(found[-1])["calls"], account(found[-1])["refused"]) == (2, 1)


def test_the_budget_of_tokens_is_that_of_all_calls_together(play: Play) -> None:
    engine = ScriptedEngine(["abcd"])
    found = play(command=script("insists", "reward"), engine=engine, budget=12)
    assert [one.trace.sampled_length for one in found] == [5, 5, 2]
    assert [one.stop for one in found] == [StopReason.STOP, StopReason.STOP, StopReason.LENGTH]
    assert account(found[-1])["stdout"] == "limit_length\n"
    budgets = [c.body["max_tokens"] for c in engine.calls if c.path.endswith("completions")]
    assert budgets == [12, 7, 2]


def test_a_budget_of_its_own_wins_over_the_runs(play: Play) -> None:
    found = play(["abcd"], command=script("insists", "reward"), budget=500, max_tokens=5)
    assert found.trace.sampled_length == 5


def test_where_a_limit_kept_the_agent_from_its_reward_the_user_says_what_it_is_worth(
    play: Play, context: Callable[..., Any]
) -> None:
    command = script("insists")
    with pytest.raises(RewardFailed, match="ended without its reward"):
        play(command=command, max_calls=1)
    sample = play(command=command, max_calls=1, limit_reward=-0.5)
    assert slime_reward(sample, context()).value == -0.5
    assert sample.stop is StopReason.TURNS


def test_a_reward_for_limits_is_not_given_where_no_limit_was_met(play: Play) -> None:
    with pytest.raises(AgentFailed, match="status 3"):
        play(command=script("exits", 3), limit_reward=0.0)


def test_an_agent_that_takes_too_long_is_ended_with_all_that_it_started(
    play: Play, folder: Path
) -> None:
    with pytest.raises(AgentTimedOut, match=r"more than timeout_s, 4 s; it said: it lingers"):
        play(command=script("lingers"), timeout_s=4.0, grace_s=0.1)
    assert marked(str(folder)) == []
    assert files_in(folder) == []


def test_what_an_agent_leaves_behind_is_ended_when_it_ends(play: Play, folder: Path) -> None:
    sample = play(command=script("lingers", "leave"), reward="exit-status")
    assert account(sample)["ended"] == "exit"
    assert marked(str(folder)) == []


def test_time_that_is_up_may_be_worth_something(play: Play, context: Callable[..., Any]) -> None:
    sample = play(command=script("lingers"), timeout_s=4.0, grace_s=0.0, limit_reward=0.0)
    assert sample.stop is StopReason.TIMEOUT
    assert slime_reward(sample, context()).value == 0.0
    assert [kind for kind, _ in told(sample)] == ["prompt", "sampled"]


def test_time_that_is_up_before_the_first_call_is_worth_nothing(play: Play) -> None:
    with pytest.raises(NoCall, match=r"was ended after .* when its time was up"):
        play(command="sleep 600", timeout_s=0.3, grace_s=0.0, limit_reward=0.0)


@pytest.mark.parametrize("call", [0, 1])
def test_an_aborted_episode_begins_anew(play: Play, folder: Path, call: int) -> None:
    given = make_sample(make_task())
    engine = ScriptedEngine(["one", "two"], faults=[Abort(after_tokens=1, call=call)])
    first = play(command=script("talks", 2), sample=given, engine=engine)
    assert first is given
    assert first.stop is StopReason.ABORTED
    assert len(first.trace) == 0
    assert files_in(folder) == []
    again = play(["one", "two"], command=script("talks", 2), sample=given)
    assert again is given
    assert [text for _, text in told(again)][1::2] == ["one<|end|>", "two<|end|>"]


@pytest.mark.parametrize("call", [0, 1])
def test_a_model_that_is_not_there_is_the_engines_failure(play: Play, call: int) -> None:
    with pytest.raises(EngineError, match="the gateway answered with status 503: no server"):
        play(command=script("talks", 2), faults=[Restart(call=call)])


def test_a_gateway_that_is_not_there_is_the_engines_failure(
    context: Callable[..., Any],
) -> None:
    engine = ScriptedEngine(openai_base_url="http://127.0.0.1:9/v1")
    ctx = context(command=script("talks", 1))
    with pytest.raises(EngineError, match=r"the gateway at http://127.0.0.1:9/v1/.*reached"):
        asyncio.run(slime_generate(make_sample(make_task()), engine, ctx))


async def test_a_cancelled_episode_leaves_neither_process_nor_folder(
    context: Callable[..., Any], folder: Path
) -> None:
    engine = ScriptedEngine(["one"])
    ctx = context(command=script("lingers"), timeout_s=600.0)
    async with serve(engine):
        sample = make_sample(make_task())
        work = asyncio.ensure_future(slime_generate(sample, engine, ctx))
        await until(lambda: engine.written)
        await until(lambda: len(marked(str(folder))) >= 4)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    assert marked(str(folder)) == []
    assert files_in(folder) == []


async def test_agents_beyond_the_limit_wait(context: Callable[..., Any], folder: Path) -> None:
    engine = ScriptedEngine(["one"])
    ctx = context(command=script("lingers"), timeout_s=600.0, concurrency=2)
    async with serve(engine):
        work = [
            asyncio.ensure_future(slime_generate(make_sample(make_task()), engine, ctx))
            for _ in range(5)
        ]
        await until(lambda: len(engine.written) == 2)
        assert len(files_in(folder)) == 2
        for one in work[:2]:
            one.cancel()
        await until(lambda: len(engine.written) == 4)
        for one in work:
            one.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    assert marked(str(folder)) == []


async def test_samples_side_by_side_do_not_mix(context: Callable[..., Any]) -> None:
    ctx = context(command=script("shows"), reward="exit-status")

    async def one(number: int) -> Any:
        engine = ScriptedEngine([f"answer {number}"])
        async with serve(engine):
            return await slime_generate(make_sample(make_task(f"task {number}")), engine, ctx)

    for number, sample in enumerate(await asyncio.gather(*map(one, range(6)))):
        assert sample.response == f"answer {number}"
        assert told(sample)[0][1] == f"<|user|>task {number}<|end|><|assistant|>"


def test_nothing_of_an_episode_is_kept(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    relays: list[weakref.ref[Any]] = []

    class Watched(relay.Relay):
        __slots__ = ("__weakref__",)

        async def __aenter__(self) -> Any:
            relays.append(weakref.ref(self))
            return await super().__aenter__()

    monkeypatch.setattr("slime_plugin_agent_blackbox.episode.Relay", Watched)
    for _ in range(3):
        play(command=script("talks", 1))
    gc.collect()
    assert [one() for one in relays] == [None] * 3


def test_a_task_that_leaves_no_room_is_counted_as_too_long(play: Play) -> None:
    engine = ScriptedEngine(["one"], context_length=4)
    sample = play(command=script("talks", 1), engine=engine, limit_reward=0.0)
    assert sample.stop is StopReason.CONTEXT
    assert len(sample.trace) == sample.trace.prompt_length > 4


@pytest.mark.parametrize(
    ("name", "replies", "value"),
    [("agent", ["four"], 4.0), ("async_agent", ["12345"], 5.0)],
)
def test_a_function_may_be_the_agent_and_what_it_returns_the_reward(
    play: Play, context: Callable[..., Any], name: str, replies: list[str], value: float
) -> None:
    sample = play(replies, callable=f"blackbox_functions:{name}")
    assert slime_reward(sample, context()).value == value
    assert sample.response == replies[0]


def test_a_function_that_raises_fails_its_sample_with_the_reason(play: Play) -> None:
    with pytest.raises(AgentFailed, match="status 1; it said: KeyError: 'its own mistake'"):
        play(callable="blackbox_functions:raising_agent")
    sample = play(callable="blackbox_functions:raising_agent", reward="exit-status")
    assert account(sample)["reward"] == 0.0


def test_a_function_that_asks_nothing_fails_whatever_it_returns(play: Play) -> None:
    with pytest.raises(NoCall, match="made no call"):
        play(callable="blackbox_functions:silent_agent")


def test_a_function_sees_what_the_agent_left(play: Play, context: Callable[..., Any]) -> None:
    sample = play(["4"], callable="blackbox_functions:agent", reward="blackbox_functions:by_notes")
    reward = slime_reward(sample, context())
    assert (reward.value, reward.metrics["same"]) == (1.0, 1.0)


def test_a_reward_function_may_be_async(play: Play) -> None:
    sample = play(["four"], command=script("talks", 1), reward="blackbox_functions:by_response")
    assert account(sample)["reward"] == 4.0


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("raising", "raised .*DataError: prompt task/1: its label is wrong"),
        ("not_a_number", "the reward is 'much'; it must be a number"),
        ("missing", "raised .*AttributeError: .*missing"),
    ],
)
def test_a_reward_function_that_fails_fails_the_sample(
    play: Play, function: str, message: str
) -> None:
    with pytest.raises(RewardFailed, match=message):
        play(command=script("talks", 1), reward=f"blackbox_functions:{function}")


def test_a_reward_function_that_hangs_is_ended(play: Play, folder: Path) -> None:
    with pytest.raises(RewardFailed, match="took more than 1 s"):
        play(command=script("talks", 1), reward="blackbox_functions:hanging", reward_timeout_s=1.0)
    assert marked(str(folder)) == []


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("text", "", "is no JSON: ''"),
        ("text", "great", "is no JSON: 'great'"),
        ("binary", "", "is no JSON"),
        ("text", "[" * 100_000, "is no JSON"),
        ("text", "NaN", "the reward is nan; it must be finite"),
        ("text", "1e999", "the reward is inf; it must be finite"),
        ("text", "7", "the reward 7.0, outside -1.0 to 1.0"),
        ("text", '{"metrics": {}}', "has no 'reward'"),
        ("nothing", "", r"ended without its reward in \$SLIME_REWARD_FILE"),
        ("folder", "", "ended without its reward"),
        ("pipe", "", "ended without its reward"),
        ("big", "", "has 2097152 bytes"),
    ],
)
def test_a_reward_file_that_is_none_fails_the_sample(
    play: Play, kind: str, text: str, message: str
) -> None:
    with pytest.raises(RewardFailed, match=message):
        play(command=script("writes_reward", kind, text), reward_range=[-1.0, 1.0])


@pytest.mark.parametrize(
    ("keep", "ok", "failed"), [("never", 0, 0), ("failed", 0, 1), ("always", 1, 1)]
)
def test_folders_are_kept_as_the_user_wants(
    play: Play, folder: Path, keep: str, ok: int, failed: int
) -> None:
    sample = play(command=script("talks", 1), keep=keep)
    assert len(files_in(folder)) == ok
    assert ("folder" in account(sample)) == bool(ok)
    sample = make_sample(make_task())
    with pytest.raises(AgentFailed):
        play(command=script("exits", 3), keep=keep, sample=sample)
    assert len(files_in(folder)) == ok + failed
    assert ("folder" in account(sample)) == bool(failed)
    if failed:
        assert "task.json" in files_in(Path(account(sample)["folder"]))


def test_a_failed_sample_keeps_its_agents_account(play: Play) -> None:
    sample = make_sample(make_task())
    with pytest.raises(AgentFailed):
        play(command=script("exits", 3), sample=sample)
    assert account(sample)["status"] == 3
    assert account(sample)["stderr"] == "this is its complaint\n"


def test_a_folder_that_cannot_be_made_fails_the_sample(play: Play, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AgentFailed, match=r"no folder for the agent can be made in .*/file"):
        play(command=script("talks", 1), folder=str(tmp_path / "file"))


def test_files_that_cannot_be_written_fail_the_sample_and_leave_no_folder(
    play: Play, folder: Path
) -> None:
    prompt = make_task(metadata={FILES: {"a": "text", "a/b": "below a file"}})
    with pytest.raises(AgentFailed, match="the files of prompt task/1: "):
        play(command=script("talks", 1), prompt=prompt)
    assert files_in(folder) == []


def test_a_sample_of_another_plugin_is_scored_by_the_function_alone(
    context: Callable[..., Any],
) -> None:
    sample: Sample = make_sample(make_task(), response="4")
    ctx = context(reward="blackbox_functions:by_notes")
    assert slime_reward(sample, ctx).value == 1.0
    for reward in ("file", "exit-status"):
        with pytest.raises(Exception, match="no agent answered it"):
            slime_reward(sample, context(reward=reward))
    with pytest.raises(ConfigError, match="which is async"):
        slime_reward(sample, context(reward="blackbox_functions:by_response"))
