"""An engine handle that passes everything on, and remembers what the model wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from slime_hookspecs import Engine, EngineError, Sampling, StopReason, Trace
from slime_hookspecs.promises import Written

from slime_core.engine import answer


@final
class Listener:
    """Stands in front of a handle while calls are checked.

    Args:
        engine: The handle.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._written: list[Written] = []
        self._all_understood = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def written(self) -> list[Written] | None:
        """Every answer of the model; ``None`` where one was in a form that is not known here."""
        if not self._all_understood:
            return None
        traces: list[Trace] = getattr(self._engine, "openai_traces", [])
        agents = [
            (segment.tokens, segment.logprobs)
            for trace in traces
            for segment in trace.segments
            if segment.kind == "sampled"
        ]
        return [*self._written, *agents]

    async def generate(self, trace: Trace, sampling: Sampling | None = None) -> StopReason:
        """As the handle's."""
        before = len(trace.segments)
        stop = await self._engine.generate(trace, sampling)
        for segment in trace.segments[before:]:
            self._written.append((segment.tokens, segment.logprobs))
        return stop

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """As the handle's."""
        reply = await self._engine.post(path, body)
        try:
            found = answer.read(reply)
            self._written.append((tuple(found.tokens), tuple(found.logprobs)))
        except EngineError:
            self._all_understood = False
        return reply
