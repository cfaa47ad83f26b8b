"""Episodes: what the model is told, why they end, and what they are worth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from slime_hookspecs import Sample, StopReason, Trace
from slime_hookspecs.testing.kit import ScriptedEngine, make_context, make_sample
from slime_plugin_agent_gym import Options, slime_reward
from slime_plugin_agent_gym.episode import token_rewards, turn_ends
from slime_plugin_agent_gym.seeds import prompt

Play = Callable[..., Sample]
Told = Callable[[Sample], list[tuple[str, str]]]


def account(sample: Sample) -> dict[str, Any]:
    found: dict[str, Any] = sample.metadata["agent_gym"]
    return {key: value for key, value in found.items() if key != "whole"}


def reward(sample: Sample, **options: Any) -> float:
    ctx = make_context(options=Options(**options))
    return asyncio.run(slime_reward(sample, ctx)).value


def test_the_model_and_the_environment_take_turns(play: Play, told: Told, life: list[str]) -> None:
    sample = play(["a", "b", "end"])
    assert told(sample) == [
        ("prompt", "<|user|>go 7<|end|><|assistant|>"),
        ("sampled", "a<|end|>"),
        ("observed", "<|user|>did a<|end|><|assistant|>"),
        ("sampled", "b<|end|>"),
        ("observed", "<|user|>did b<|end|><|assistant|>"),
        ("sampled", "end<|end|>"),
    ]
    assert sample.stop is StopReason.STOP
    assert account(sample) == {
        "seed": 7,
        "restarts": 0,
        "rewards": [1.0, 2.0, 3.0],
        "mistakes": 0,
        "finished": True,
    }
    assert life == ["made", "reset True", "step a", "step b", "step end", "closed"]


def test_the_template_surrounds_the_first_observation_and_the_prompt_is_left_alone(
    play: Play, told: Told
) -> None:
    options = {"template": "Play.\n{observation}\nYour move:", "env_args": {"start": "in"}}
    sample = play(["end"], **options)
    assert told(sample)[0][1] == "<|user|>Play.\nin 7\nYour move:<|end|><|assistant|>"
    assert sample.prompt == prompt(7, Options(env="agent_worlds:Quick", **options))


@pytest.mark.parametrize("env", ["Echo", "Quick", "Old", "Async"])
def test_every_interface_leads_to_the_same_episode(
    play: Play, told: Told, life: list[str], env: str
) -> None:
    expected = told(play(["a", "end"], env="Quick"))
    life.clear()
    sample = play(["a", "end"], env=env)
    assert told(sample) == expected
    assert account(sample)["rewards"] == [1.0, 2.0]
    assert [what for what in life if "reset" not in what] == [
        "made",
        "step a",
        "step end",
        "closed",
    ]
    assert f"reset {env in ('Quick', 'Async')}" in life


@pytest.mark.parametrize(
    ("turns", "options", "stop", "finished", "rewards"),
    [
        (["a", "end"], {}, StopReason.STOP, True, [1.0, 2.0]),
        (["a", "cut"], {}, StopReason.TURNS, False, [1.0, 2.0]),
        (["a"], {"max_turns": 3}, StopReason.TURNS, False, [1.0, 2.0, 3.0]),
        (["end"], {"max_turns": 1}, StopReason.STOP, True, [1.0]),
        (["abc"], {"budget": 10}, StopReason.LENGTH, False, [1.0, 2.0]),
        (["abc"], {"budget": 8}, StopReason.LENGTH, False, [1.0, 2.0]),
        (["abc"], {"budget": 2}, StopReason.LENGTH, False, []),
        (["abcdef"], {"turn_tokens": 4}, StopReason.LENGTH, False, []),
        (["abc", "end"], {"turn_tokens": 4}, StopReason.STOP, True, [1.0, 2.0]),
    ],
)
def test_what_ends_an_episode_is_its_stop_reason(
    play: Play,
    life: list[str],
    turns: list[str],
    options: dict[str, Any],
    stop: StopReason,
    finished: bool,
    rewards: list[float],
) -> None:
    sample = play(turns, **options)
    found = account(sample)
    assert (sample.stop, found["finished"], found["rewards"]) == (stop, finished, rewards)
    assert sample.trace.sampled_length <= options.get("budget", 512)
    assert life[-1] == "closed"


def test_a_full_context_ends_it(play: Play, told: Told) -> None:
    engine = ScriptedEngine(["a"], context_length=30)
    sample = play([], engine=engine)
    assert sample.stop is StopReason.CONTEXT
    assert account(sample)["finished"] is False


def test_an_observation_that_alone_fills_the_context_ends_it(play: Play) -> None:
    sample = play(
        ["a"], engine=ScriptedEngine(["a"], context_length=20), env_args={"start": "x" * 50}
    )
    assert (sample.stop, account(sample)["rewards"]) == (StopReason.CONTEXT, [])


def test_long_observations_are_cut_and_others_are_written_as_json(play: Play, told: Told) -> None:
    sample = play(["a"], observation_chars=4, max_turns=2, env_args={"start": "x" * 99})
    assert told(sample)[0][1] == "<|user|>xxxx [cut]<|end|><|assistant|>"
    numbers = told(play(["a", "set", "b"], env="Numbers", max_turns=3))
    assert numbers[0][1] == '<|user|>[1, {"a": 2}]<|end|><|assistant|>'
    assert numbers[2][1] == "<|user|>[3, 4]<|end|><|assistant|>"
    assert numbers[4][1] == "<|user|>{1, 2}<|end|><|assistant|>"


def test_a_turn_without_an_action_is_a_mistake_that_the_model_is_told_of(
    play: Play, told: Told, life: list[str]
) -> None:
    turns = ["north", "<action>a</action>", "<action></action>", "I <action>end</action>"]
    sample = play(turns, action="tag", mistake_reward=-0.5)
    replies = [text for kind, text in told(sample) if kind == "observed"]
    assert replies == [
        "<|user|>There is no action. Write it between <action> and </action>.<|end|><|assistant|>",
        "<|user|>did a<|end|><|assistant|>",
        "<|user|>The action is empty. Write one.<|end|><|assistant|>",
    ]
    assert account(sample)["rewards"] == [-0.5, 1.0, -0.5, 2.0]
    assert account(sample)["mistakes"] == 2
    assert [what for what in life if what.startswith("step")] == ["step a", "step end"]


def test_mistakes_end_with_the_turns(play: Play, life: list[str]) -> None:
    sample = play([" "], max_turns=4)
    assert (sample.stop, account(sample)["mistakes"]) == (StopReason.TURNS, 4)
    assert "step" not in " ".join(life)


def test_samples_of_a_prompt_meet_the_same_seed_or_their_own(play: Play) -> None:
    assert account(play(["end"], ctx_seed=5))["seed"] == 7
    assert account(play(["end"], ctx_seed=5, same_start=False))["seed"] == 5
    assert account(play(["end"], ctx_seed=2**40 + 6, same_start=False))["seed"] == 6


@pytest.mark.parametrize(
    ("turns", "options", "value"),
    [
        (["a", "b", "end"], {}, 6.0),
        (["a", "b", "end"], {"credit": "turns"}, 3.0),
        (["a", "b"], {"max_turns": 2}, 3.0),
        (["a", "b"], {"max_turns": 2, "unfinished_reward": -1.0}, 2.0),
        (["a", "end"], {"unfinished_reward": -1.0}, 3.0),
        (["abcdef"], {"budget": 3, "unfinished_reward": -1.0}, -1.0),
        (["abcdef"], {"budget": 3, "credit": "turns"}, 0.0),
    ],
)
def test_the_reward_is_what_the_environment_gave(
    play: Play, turns: list[str], options: dict[str, Any], value: float
) -> None:
    sample = play(turns, **options)
    options.pop("budget", None)
    assert reward(sample, **options) == value


def test_turns_get_their_rewards_at_their_last_tokens(play: Play) -> None:
    sample = play(["ab", "c", "end"], credit="turns")
    rewards = sample.fields["token_rewards"]
    assert len(rewards) == len(sample.trace)
    tokens = sample.trace.tokens
    assert [(tokens[at], value) for at, value in enumerate(rewards) if value] == [
        (1, 1.0),
        (1, 2.0),
    ]
    assert sum(rewards) + reward(sample, credit="turns") == 6.0
    assert all(mask for mask, value in zip(sample.trace.loss_mask, rewards, strict=True) if value)
    assert "token_rewards" not in play(["end"]).fields


def test_the_built_in_reward_to_go_takes_them_as_they_are(play: Play) -> None:
    torch = pytest.importorskip("torch")
    from slime_core.builtin.reward_to_go import to_go

    sample = play(["a", "b", "end"], credit="turns")
    rewards = torch.tensor(sample.fields["token_rewards"])
    found = to_go(rewards, torch.zeros(len(rewards), dtype=torch.int64), 1.0)
    first, second, third = turn_ends(sample.trace)
    assert [found[at].item() for at in (0, first, first + 1, second, second + 1, third)] == [
        3.0,
        3.0,
        2.0,
        2.0,
        0.0,
        0.0,
    ]


def test_turns_in_pieces_end_where_the_last_piece_does() -> None:
    trace = Trace()
    trace.append_prompt([1])
    for tokens in ([2], [3, 4]):
        trace.append_sampled(tokens, [-0.1] * len(tokens), 1)
    trace.append_observed([5, 6])
    trace.append_sampled([7], [-0.1], 2)
    assert turn_ends(trace) == [3, 6]
    assert token_rewards(trace, [0.5, 9.0]) == [0, 0, 0, 0.5, 0, 0, 0]
    trace.append_observed([8])
    assert turn_ends(trace) == [3, 6]
    assert turn_ends(Trace()) == []


def test_a_sample_of_another_generate_plugin_is_scored_by_its_only_action(life: list[str]) -> None:
    options = {"env": "agent_worlds:Quick", "mistake_reward": -2.0}
    for response, value in (("end", 1.0), ("a", 1.0), (" ", -2.0)):
        sample = make_sample(prompt(3, Options(**options)), response=response)
        assert reward(sample, **options) == value
    assert life.count("closed") == 2


def test_the_reward_tells_its_parts(play: Play) -> None:
    sample = play(["a", " ", "end"])
    ctx = make_context(options=Options())
    assert asyncio.run(slime_reward(sample, ctx)).metrics == {
        "return": 3.0,
        "turns": 3.0,
        "mistakes": 1.0,
        "finished": 1.0,
        "restarts": 0.0,
    }
