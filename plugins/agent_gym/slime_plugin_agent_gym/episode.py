"""An episode: the model acts, the environment answers, until one of them or a limit ends it.

All that an interrupted attempt knew is in the trace. The environment is brought to where it was by
replaying the actions in it; where that does not lead to the same observations, token for token, the
episode starts over, and the account says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, final

from slime_hookspecs import Engine, Message, Sample, Sampling, StopReason, Trace

from slime_plugin_agent_gym.actions import Mistake, read_action
from slime_plugin_agent_gym.options import PLACEHOLDER, Options
from slime_plugin_agent_gym.world import EnvironmentFailed, Outcome, World, opened

#: Where ``sample.metadata`` keeps the account of an episode.
ACCOUNT: Final = "agent_gym"
FIELD: Final = "token_rewards"


@final
@dataclass(slots=True)
class Play:
    """An episode so far.

    Attributes:
        messages: The conversation.
        rewards: One a turn.
        mistakes: Turns without an action.
        ended: Why it is over, if it is.
        finished: The environment ended it, by its rules.
    """

    messages: list[Message]
    rewards: list[float] = field(default_factory=list)
    mistakes: int = 0
    ended: StopReason | None = None
    finished: bool = False

    async def act(self, turn: str, world: World, options: Options) -> None:
        """Take a whole turn of the model, and say in ``messages`` what came of it."""
        self.messages.append({"role": "assistant", "content": turn})
        action = read_action(turn, options)
        if isinstance(action, Mistake):
            self.mistakes += 1
            outcome = Outcome(action.text, options.mistake_reward)
        else:
            outcome = await world.step(action)
        self.rewards.append(outcome.reward)
        self.finished = outcome.terminated
        if outcome.terminated:
            self.ended = StopReason.STOP
        elif outcome.truncated or len(self.rewards) >= options.max_turns:
            self.ended = StopReason.TURNS
        else:
            self.messages.append({"role": "user", "content": outcome.text})


async def play(
    sample: Sample, engine: Engine, options: Options, budget: int, seed: int
) -> StopReason:
    """Let the model act until the episode is over, or go on where it was interrupted.

    Args:
        sample: Its trace grows; its metadata keep an account.
        engine: Writes the model's turns.
        options: Which environment, and limits.
        budget: Most tokens that the model writes in all its turns.
        seed: Of the environment.

    Returns:
        Why it ended.

    Raises:
        EnvironmentFailed: the environment raised or hung.
    """
    account: dict[str, Any] = sample.metadata.setdefault(ACCOUNT, {"seed": seed, "restarts": 0})
    if len(sample.trace):
        async with opened(options, account["seed"]) as world:
            so_far = await _replayed(sample, engine, world, options)
            if so_far is not None:
                return await _go_on(so_far, sample, engine, world, options, budget)
        sample.trace = Trace()
        account.update(restarts=account["restarts"] + 1, whole=0)
    async with opened(options, account["seed"]) as world:
        begun = await _begun(sample, world)
        sample.trace.append_prompt(engine.render(begun.messages))
        return await _go_on(begun, sample, engine, world, options, budget)


async def _begun(sample: Sample, world: World) -> Play:
    observation = await world.reset()
    *before, last = sample.prompt.messages
    first = {**last, "content": str(last["content"]).replace(PLACEHOLDER, observation)}
    return Play([*before, first])


async def _go_on(
    so_far: Play, sample: Sample, engine: Engine, world: World, options: Options, budget: int
) -> StopReason:
    account, trace = sample.metadata[ACCOUNT], sample.trace
    _keep(account, so_far)
    while True:
        # A turn that is whole may be the last of an attempt that was interrupted after it.
        if not trace.last_turn or account.get("whole") != len(trace):
            stop = await _speak(trace, engine, options, budget)
            if stop is not StopReason.STOP:
                return stop
            account["whole"] = len(trace)
        await so_far.act(engine.decode(trace.last_turn), world, options)
        _keep(account, so_far)
        if so_far.ended is not None:
            return so_far.ended
        trace.append_observed(_reply(trace, so_far, engine))


async def _speak(trace: Trace, engine: Engine, options: Options, budget: int) -> StopReason:
    left = budget - trace.sampled_length
    if options.turn_tokens:
        left = min(left, options.turn_tokens - len(trace.last_turn))
    if left <= 0:
        return StopReason.LENGTH
    return await engine.generate(trace, Sampling(max_new_tokens=left))


def _reply(trace: Trace, so_far: Play, engine: Engine) -> list[int]:
    return engine.extend(trace, so_far.messages[:-1], so_far.messages[-1:])


async def _replayed(sample: Sample, engine: Engine, world: World, options: Options) -> Play | None:
    """The episode that a trace tells of, with the environment where it was; ``None`` if it is not
    so: the environment did not do the same again.
    """
    if options.resume == "restart":
        return None
    try:
        found = await _begun(sample, world)
        walked = Trace()
        walked.append_prompt(engine.render(found.messages))
        for segment in sample.trace.segments:
            if segment.kind == "sampled":
                walked.append_sampled(segment.tokens, segment.logprobs, segment.weight_version)
            elif segment.kind == "observed":
                await found.act(engine.decode(walked.last_turn), world, options)
                if found.ended is not None:
                    return None
                walked.append_observed(_reply(walked, found, engine))
    except EnvironmentFailed:
        return None
    return found if walked.tokens == sample.trace.tokens else None


def _keep(account: dict[str, Any], so_far: Play) -> None:
    account.update(rewards=list(so_far.rewards), mistakes=so_far.mistakes, finished=so_far.finished)


def turn_ends(trace: Trace) -> list[int]:
    """The place of each turn's last token in the trace."""
    found, place, inside = list[int](), 0, False
    for segment in trace.segments:
        if inside and segment.kind != "sampled":
            found.append(place - 1)
        place += len(segment.tokens)
        inside = segment.kind == "sampled"
    return [*found, place - 1] if inside else found


def token_rewards(trace: Trace, rewards: list[float]) -> list[float]:
    """One number a token: all rewards but the last, each at the end of its turn."""
    found = [0.0] * len(trace)
    for place, reward in zip(turn_ends(trace), rewards[:-1], strict=False):
        found[place] = reward
    return found
