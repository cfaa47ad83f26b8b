"""One sample from prompt to score: generate, decode once, reward."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final, Protocol, final

from slime_hookspecs import (
    Engine,
    NextGenerate,
    PluginError,
    Sample,
    SampleError,
    StopReason,
)

from slime_core.plugins import BoundHook
from slime_core.rollout.blame import CORE, blame, cancelled_itself, sample_error
from slime_core.rollout.contexts import Contexts, MakeContext, Scene
from slime_core.rollout.hooks import Hooks
from slime_core.rollout.rewards import Scorer
from slime_core.rollout.timeouts import OutOfTimeError, TimeLimit

GENERATE: Final = "slime_generate"
SETTING: Final = "--rollout-generate-timeout-s"


class Client(Protocol):
    """What the rollout needs of the engine client."""

    weight_version: int

    def session(self, sample_index: int, seed: int | None) -> Engine:
        """One sample's handle."""

    async def abort_all(self) -> None:
        """End every request in flight; their callers get what was written so far."""

    async def close(self) -> None:
        """Close all connections."""


@final
class Episodes:
    """Runs samples of one scene. A plugin's failure is kept on the sample and never raised."""

    def __init__(
        self,
        hooks: Hooks,
        contexts: Contexts,
        scene: Scene,
        client: Client,
        scorer: Scorer,
        *,
        timeout_s: float,
        next_index: Callable[[], int],
    ) -> None:
        self._contexts = contexts
        self._scene = scene
        self._client = client
        self._scorer = scorer
        self._limit = TimeLimit(timeout_s, SETTING)
        self._seeds = contexts.seeds(scene, "sample")
        self._next_index = next_index
        self._hook = hooks.generate
        self._generate = self._compose(hooks)

    def engine(self, sample: Sample) -> Engine:
        """The sample's handle."""
        return self._client.session(sample.index, self._seeds(sample.index))

    async def generate(self, sample: Sample, engine: Engine) -> list[Sample]:
        """Let the plugin answer; the sample, or several in its place."""
        try:
            answer = await self._limit.run(self._generate(sample, engine))
            return self._siblings(sample, answer)
        except Exception as error:
            blame(error, self._hook, f"sample {sample.index}")
            sample.error = sample_error(error, GENERATE)
            timed_out = isinstance(error, OutOfTimeError)
            sample.stop = StopReason.TIMEOUT if timed_out else StopReason.FAILED
            return [sample]
        except asyncio.CancelledError:
            sample.error = cancelled_itself(self._hook)
            if sample.error is None:
                raise
            sample.stop = StopReason.FAILED
            return [sample]

    async def score(self, samples: list[Sample], engine: Engine) -> None:
        """Decode and reward each sample that has something to reward and was not rewarded yet."""
        for sample in samples:
            if sample.error is not None or sample.reward is not None:
                continue
            if too_long(sample, engine.context_length):
                continue
            if sample.stop is StopReason.ABORTED:
                sample.error = SampleError(
                    CORE, GENERATE, "Aborted", "a server ended the request unasked"
                )
                continue
            sample.response = engine.decode(last_words(sample))
            await self._scorer.score(sample)

    def _compose(self, hooks: Hooks) -> NextGenerate:
        call = self._innermost(hooks.generate)
        for wrap in reversed(hooks.wrap_generate):
            call = self._link(wrap, call)
        return call

    def _innermost(self, hook: BoundHook) -> NextGenerate:
        make, call = self._maker(hook), hook.call

        async def generate(sample: Sample, engine: Engine) -> Sample | list[Sample]:
            try:
                answer: Sample | list[Sample] = await call(sample, engine, make(sample.index))
            except Exception as error:
                blame(error, hook, f"sample {sample.index}")
                raise
            return answer

        return generate

    def _link(self, wrap: BoundHook, call_next: NextGenerate) -> NextGenerate:
        make, call = self._maker(wrap), wrap.call

        async def link(sample: Sample, engine: Engine) -> Sample | list[Sample]:
            try:
                answer: Sample | list[Sample] = await call(
                    call_next, sample, engine, make(sample.index)
                )
            except Exception as error:
                blame(error, wrap, f"sample {sample.index}")
                raise
            return answer

        return link

    def _maker(self, hook: BoundHook) -> MakeContext:
        return self._contexts.maker(hook, self._scene, "sample", self._limit.timeout_s)

    def _siblings(self, sample: Sample, answer: Any) -> list[Sample]:
        """The samples that were returned, each with an index and group of its own to tell them."""
        if answer is sample and sample.stop is not StopReason.PENDING:
            return [sample]
        samples = answer if isinstance(answer, list) else [answer]
        if not samples or not all(isinstance(one, Sample) for one in samples):
            raise PluginError(
                f"returned {answer!r:.80}; it must be the sample or a list of samples"
            )
        for place, one in enumerate(samples):
            if one.stop is StopReason.PENDING:
                raise PluginError("left sample.stop unset; set it to why generation ended")
            if one is not sample or samples.index(one) != place:
                _adopt(one, sample, self._next_index())
        return samples


def _adopt(sibling: Sample, sample: Sample, index: int) -> None:
    sibling.index = index
    sibling.group_index = sample.group_index
    sibling.provenance = sibling.provenance or dict(sample.provenance)


def too_long(sample: Sample, context_length: int) -> bool:
    """Whether the prompt left the model no room for a single token."""
    trace = sample.trace
    if len(trace) > context_length:
        return True
    return sample.stop is StopReason.CONTEXT and len(trace) == trace.prompt_length


def last_words(sample: Sample) -> Sequence[int]:
    """Tokens of the last turn that the model (or a demonstration) wrote."""
    turns: list[tuple[int, ...]] = []
    for segment in reversed(sample.trace.segments):
        if segment.kind in ("sampled", "demonstrated"):
            turns.append(segment.tokens)
        elif turns:
            break
    return turns[0] if len(turns) == 1 else tuple(chain.from_iterable(reversed(turns)))
