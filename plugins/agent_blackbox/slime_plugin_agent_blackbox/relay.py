"""Stands between one agent and the gateway: counts its calls, keeps limits, sees why calls ended.

What the model wrote is in the gateway's traces, token for token; nothing of it is changed here.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, final

from aiohttp import web
from slime_hookspecs import Engine, EngineError, Segment, StopReason, Trace

from slime_plugin_agent_blackbox import upstream, wire

MAX_BODY_BYTES: Final = 256 * 2**20
#: Seconds that calls get to end when the agent has ended; 0 would be for ever.
END_S: Final = 0.01
#: Headers that belong to one connection, or that each side writes itself.
OWN: Final = frozenset(
    (
        *("host", "connection", "keep-alive", "date", "server", "expect", "accept-encoding"),
        *("content-length", "content-encoding", "transfer-encoding"),
    )
)


@final
@dataclass(slots=True)
class Relay:
    """Serves one agent, as an asynchronous context, on a port of its own of the loopback address.

    Args:
        engine: The sample's handle.
        max_calls: Calls that are passed on; 0 is no limit.
        max_tokens: Tokens that the model may write in all of them. Calls that are under way at the
            same time share what is left, and so may go over it.
        own_sampling: Whether what the agent says of sampling counts.

    Attributes:
        calls: Calls that were passed on.
        answered: Those that the model answered.
        refused: Those that were not answered, here or by the gateway.
        limit: The limit that a call met, if one did.
        complaint: What was wrong with the call that was refused last, or nothing.
        over: Done when no further answer can come: ``None`` where the run aborted the sample, or an
            ``EngineError``.
    """

    engine: Engine
    max_calls: int = 0
    max_tokens: int = 1 << 30
    own_sampling: bool = False
    calls: int = 0
    answered: int = 0
    refused: int = 0
    limit: StopReason | None = None
    complaint: str = ""
    over: asyncio.Future[EngineError | None] = field(init=False)
    _stops: dict[int, StopReason] = field(default_factory=dict)
    _known: dict[int, Segment] = field(default_factory=dict)
    _old: frozenset[int] = frozenset()
    _runner: web.AppRunner = field(init=False)
    _root: str = field(init=False)

    async def __aenter__(self) -> Relay:
        """Begin to listen."""
        self.over = asyncio.get_running_loop().create_future()
        # An earlier attempt at the sample may have left conversations.
        self._known = {id(one): one for one in _ends(self.engine.openai_traces)}
        self._old = frozenset(self._known)
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(
            application, handler_cancellation=True, access_log=None, shutdown_timeout=END_S
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._root = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening, and end what is under way."""
        await asyncio.shield(self._runner.cleanup())

    @property
    def root(self) -> str:
        """Base URL for clients of Anthropic's API."""
        return self._root

    @property
    def base_url(self) -> str:
        """Base URL for clients of OpenAI's API."""
        return f"{self._root}/v1"

    @property
    def traces(self) -> list[Trace]:
        """The agent's conversations, in the order in which their last turns ended."""
        found = [one for one in self.engine.openai_traces if len(one)]
        return [one for one in found if id(one.segments[-1]) not in self._old]

    def stop_of(self, trace: Trace) -> StopReason:
        """Why the last turn of a conversation ended."""
        return self._stops.get(id(trace.segments[-1]), StopReason.STOP)

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        asking = request.method == "POST" and request.path.endswith(wire.ASKING)
        body = await request.read()
        if asking:
            left = self.max_tokens - written(self.traces)
            if refused := self._refusal(left):
                return web.json_response(refused, status=400)
            self.calls += 1
            body = wire.edited(body, left, own_sampling=self.own_sampling)
        try:
            return await self._passed(request, body, asking)
        except EngineError as error:
            self._end(error)
            return web.json_response(wire.refusal(str(error), "engine"), status=502)

    def _refusal(self, left: int) -> dict[str, Any] | None:
        """The answer to a call that a limit forbids."""
        if self.max_calls and self.calls >= self.max_calls:
            self.limit = StopReason.TURNS
            message = f"{self.calls} calls of the model are made, and no more are allowed"
        elif left <= 0:
            self.limit = StopReason.LENGTH
            message = f"the {self.max_tokens} tokens that the model may write are written"
        else:
            return None
        self.refused += 1
        return wire.refusal(message, f"limit_{self.limit.value}")

    async def _passed(self, request: web.Request, body: bytes, asking: bool) -> web.StreamResponse:
        url = self.engine.openai_base_url.rstrip("/") + request.raw_path.removeprefix("/v1")
        headers = {k: v for k, v in request.headers.items() if k.lower() not in OWN}
        async with upstream.asked(request.method, url, headers, body) as got:
            answer = {k: v for k, v in got.headers.items() if k not in OWN}
            if "event-stream" not in got.headers.get("content-type", ""):
                raw = b"".join([part async for part in got.parts])
                if asking:
                    self._note(wire.outcome(got.status, raw, streamed=False))
                return web.Response(status=got.status, body=raw, headers=answer)
            response = web.StreamResponse(status=got.status, headers=answer)
            await response.prepare(request)
            seen = []
            async for part in got.parts:
                seen.append(part)
                await response.write(part)
        if asking:
            self._note(wire.outcome(got.status, b"".join(seen), streamed=True))
        await response.write_eof()
        return response

    def _note(self, outcome: wire.Outcome) -> None:
        """Take to heart what came of a call."""
        if outcome.code in wire.ABORTED or set(outcome.finishes) & set(wire.ABORTED):
            self._end(None)
        elif outcome.failed:
            self._end(EngineError(f"the gateway answered with {outcome.error}"))
        elif outcome.error:
            self.refused += 1
            self.complaint = outcome.error
            if outcome.code == wire.CONTEXT_FULL:
                self.limit = StopReason.CONTEXT
        else:
            self.answered += 1
            self._claim(outcome.finishes)

    def _claim(self, finishes: tuple[str, ...]) -> None:
        """Note on the turns that are new why they ended; of calls side by side the last to end."""
        new = [one for one in _ends(self.engine.openai_traces) if id(one) not in self._known]
        if len(new) != len(finishes):
            finishes = finishes[-1:] * len(new)
        for segment, why in zip(new, finishes, strict=True):
            self._known[id(segment)] = segment
            self._stops[id(segment)] = StopReason.LENGTH if why in wire.CUT else StopReason.STOP

    def _end(self, error: EngineError | None) -> None:
        with contextlib.suppress(asyncio.InvalidStateError):
            self.over.set_result(error)


def written(traces: list[Trace]) -> int:
    """Tokens that the model wrote in conversations; what branches have in common counts once."""
    turns = {
        id(one): len(one.tokens)
        for trace in traces
        for one in trace.segments
        if one.kind == "sampled"
    }
    return sum(turns.values())


def _ends(traces: list[Trace]) -> list[Segment]:
    return [trace.segments[-1] for trace in traces if len(trace)]
