"""One agent from its start to its reward, and the samples that come of its conversations."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from slime_hookspecs import AnyContext, Engine, Reward, Sample, StopReason, Trace

from slime_plugin_agent_blackbox import folders, launch, process, rewards
from slime_plugin_agent_blackbox.errors import AgentFailed, AgentTimedOut, NoCall
from slime_plugin_agent_blackbox.folders import Folder
from slime_plugin_agent_blackbox.options import Options
from slime_plugin_agent_blackbox.process import Report
from slime_plugin_agent_blackbox.relay import Relay
from slime_plugin_agent_blackbox.rewards import ACCOUNT, last_words

_slots: Final[weakref.WeakKeyDictionary[Any, dict[int, asyncio.Semaphore]]] = (
    weakref.WeakKeyDictionary()
)


async def play(sample: Sample, engine: Engine, ctx: AnyContext) -> Sample | list[Sample]:
    """Run the agent of a sample. Each conversation that it had becomes a sample.

    Where the run aborts the sample, it comes back as it was: the next attempt begins anew.

    Raises:
        EngineError: the model could not answer.
        AgentFailed: the agent or its reward did not do what it must.
    """
    options: Options = ctx.options.whole
    async with _slot(options.concurrency), _folder(sample, ctx) as folder:
        async with _relay(engine, ctx, options) as relay:
            endpoint = launch.Endpoint(relay.root, engine.openai_api_key)
            command = launch.command(sample, ctx, options, folder, endpoint)
            report = await process.run(command, relay.over)
            account = _account(report, relay)
            sample.metadata[ACCOUNT] = account
            if relay.over.done():
                return _ended_by_run(sample, relay)
            if _too_long(sample, engine, relay):
                return sample
            found = _conversations(sample, relay)
        sample.trace, sample.stop = found[-1]
        sample.response = engine.decode(sample.trace.last_turn)
        reward = await _reward(report, relay, sample, ctx, options, folder)
        own = {"calls": float(relay.calls), "conversations": float(len(found))}
        account.update(reward=reward.value, metrics={**own, **reward.metrics})
        return _siblings(sample, found)


@asynccontextmanager
async def _slot(concurrency: int) -> AsyncIterator[None]:
    slots = _slots.setdefault(asyncio.get_running_loop(), {})
    async with slots.setdefault(concurrency, asyncio.Semaphore(concurrency)):
        yield


@asynccontextmanager
async def _folder(sample: Sample, ctx: AnyContext) -> AsyncIterator[Folder]:
    """A folder, deleted in the end unless it is to be kept; the account says where it is."""
    folder, keep = await folders.make(sample, ctx), ctx.options.keep
    kept = keep == "always"
    try:
        yield folder
    except Exception:
        kept = keep != "never"
        raise
    finally:
        if kept:
            sample.metadata.setdefault(ACCOUNT, {})["folder"] = str(folder.root)
        else:
            await asyncio.shield(folders.remove(folder))


def _relay(engine: Engine, ctx: AnyContext, options: Options) -> Relay:
    return Relay(
        engine,
        max_calls=options.max_calls,
        max_tokens=options.max_tokens or ctx.run.max_response_tokens,
        own_sampling=options.sampling == "agent",
    )


def _account(report: Report, relay: Relay) -> dict[str, Any]:
    """What is kept of an agent, as JSON values."""
    told = dataclasses.asdict(report)
    return {**told, "calls": relay.calls, "refused": relay.refused}


def _ended_by_run(sample: Sample, relay: Relay) -> Sample:
    error = relay.over.result()
    if error is not None:
        raise error
    sample.stop = StopReason.ABORTED
    return sample


def _too_long(sample: Sample, engine: Engine, relay: Relay) -> bool:
    """Whether the task left the model no room for a token: the sample then is its prompt."""
    full = relay.limit is StopReason.CONTEXT or relay.answered
    if not full or any(one.sampled_length for one in relay.traces):
        return False
    sample.trace = Trace()
    sample.trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    sample.stop = StopReason.CONTEXT
    return True


def _conversations(sample: Sample, relay: Relay) -> list[tuple[Trace, StopReason]]:
    """The agent's conversations, and why each ended.

    Raises:
        NoCall: there is none.
    """
    found = [(one, relay.stop_of(one)) for one in relay.traces if one.sampled_length]
    if not found:
        report = sample.metadata[ACCOUNT]
        raise NoCall(_silence(relay, Report(**{k: report[k] for k in Report.__slots__})))
    if relay.limit is not None:
        found[-1] = (found[-1][0], relay.limit)
    return [(trace.copy(), stop) for trace, stop in found]


def _silence(relay: Relay, report: Report) -> str:
    if report.ended == "unstarted":
        return f"the agent could not be started: {report.error}"
    how = f"it {_ended(report)}{last_words(report)}"
    if relay.complaint:
        return f"the model answered no call of the agent: {relay.complaint}; {how}"
    return f"the agent made no call to the model at $OPENAI_BASE_URL; {how}"


def _ended(report: Report) -> str:
    words = {
        "exit": f"ended with status {report.status}",
        "signal": f"was ended by signal {-report.status}",
        "timeout": f"was ended after {report.seconds:.1f} s, when its time was up",
        "stopped": "was told to end",
        "lost": "ended its own supervisor, or somebody did",
    }
    return words.get(report.ended, report.ended)


async def _reward(
    report: Report,
    relay: Relay,
    sample: Sample,
    ctx: AnyContext,
    options: Options,
    folder: Folder,
) -> Reward:
    """What the agent's work is worth, or what the user says of those that a limit ended."""
    limited = relay.limit is not None or report.ended == "timeout"
    if report.ended == "timeout":
        sample.stop = StopReason.TIMEOUT
    try:
        if report.ended == "timeout":
            raise AgentTimedOut(
                f"the agent took more than timeout_s, {options.timeout_s:g} s{last_words(report)}"
            )
        if report.ended != "exit":
            raise AgentFailed(f"the agent {_ended(report)}{last_words(report)}")
        return await rewards.judge(report, sample, ctx, options, folder)
    except AgentFailed:
        if options.limit_reward is None or not limited:
            raise
        return Reward(options.limit_reward)


def _siblings(sample: Sample, found: list[tuple[Trace, StopReason]]) -> Sample | list[Sample]:
    """The sample alone, or after those of the agent's other conversations; all share its reward."""
    account = sample.metadata[ACCOUNT]
    account["conversation"] = len(found) - 1
    others = []
    for place, (trace, stop) in enumerate(found[:-1]):
        metadata = copy.deepcopy(sample.metadata)
        metadata[ACCOUNT]["conversation"] = place
        others.append(
            dataclasses.replace(
                sample,
                trace=trace,
                stop=stop,
                response="",
                rewards={},
                fields=dict(sample.fields),
                metadata=metadata,
                provenance=dict(sample.provenance),
            )
        )
    return [*others, sample] if others else sample
