"""The rollout process's way to the servers: one client, and one session a sample."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, final

from slime_hookspecs.engine import Sampling
from slime_hookspecs.errors import EngineError
from slime_hookspecs.records import Message, StopReason
from slime_hookspecs.trace import Trace

from slime_core.engine import answer, control
from slime_core.engine.address import ServingAddress
from slime_core.engine.latency import Latencies
from slime_core.engine.parsing import TAIL, Parsers
from slime_core.engine.patience import Patience
from slime_core.engine.sampling import budget, call_seed, merged
from slime_core.engine.template import Template, TemplateError
from slime_core.engine.transport import Transport

#: SGLang takes no prompt that leaves fewer tokens of the context than this.
RESERVED: Final = 7

#: Times in a row that a request may be ended by somebody else without a token, and is sent again.
FRUITLESS: Final = 16

#: How often requests in flight are told to end before an update, and how long that is waited for.
HOLD_TRIES: Final = 40
HOLD_EVERY_S: Final = 0.25
HOLD_ABORT_S: Final = 1.0

#: Seconds that a server may take to answer that it ends requests; a hung one must not hold us.
ABORT_S: Final = 10.0

ROUTING_KEY: Final = "X-SMG-Routing-Key"

_NO_GATEWAY: Final = "no gateway runs here, so there is no OpenAI API to speak to"
_NO_PARSER: Final = (
    "tools are offered, and nothing says how this model writes calls: give "
    "--sglang-tool-call-parser a name, e.g. qwen25, llama3 or mistral"
)
_CHANGES_TURNS: Final = "the chat template does not keep earlier turns of the model as they are"
_NO_TURN: Final = "the trace does not end with a turn of the model, so there is none to go on from"
_NO_SERVERS: Final = "this run has no servers (--engine-servers 0), so nothing can be generated"


class Recording(Protocol):
    """What agents asked for one sample."""

    @property
    def traces(self) -> list[Trace]:
        """One trace for each conversation."""


class AgentGateway(Protocol):
    """Serves agents over the OpenAI API."""

    key: str

    def open(self, writer: Session) -> tuple[str, Recording]:
        """A base URL for one sample, served as long as the recording is held."""


@final
class EngineClient:
    """Generates through the router. One a process; lives in one event loop.

    Args:
        address: The servers, or ``None`` in a run without any; templates and tokens work then too.
        tokenizer: The HF tokenizer of the model.
        defaults: The run's sampling, for whatever a call leaves open.
        context_length: Most tokens, prompt and response together.
        retries: Times that a request is sent again when a server failed at it.
        parsers: What finds tool calls and reasoning in the model's text.
        patience: How long requests may take, and wait for a server.

    Attributes:
        weight_version: Version of the weights that the servers hold now; its owner sets it.
        aborts: How often all requests were told to end by ``abort_all``.
        gateway: Where agents speak to, if any; its owner sets it.
        latencies: How long requests took.
    """

    def __init__(
        self,
        address: ServingAddress | None,
        tokenizer: Any,
        *,
        defaults: Sampling,
        context_length: int,
        retries: int,
        parsers: Parsers | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.address = address
        self.tokenizer = tokenizer
        self.template = Template(tokenizer)
        self.parsers = parsers or Parsers()
        self.defaults = defaults
        self.context_length = context_length
        self.weight_version = 0
        self.aborts = 0
        self.gateway: AgentGateway | None = None
        self.latencies = Latencies()
        self._transport = Transport(address.router_url, retries, patience) if address else None
        self._background: set[asyncio.Task[Any]] = set()
        self._asking = 0
        self._idle = asyncio.Event()
        self._released = asyncio.Event()
        self._released.set()

    @property
    def transport(self) -> Transport:
        """Where requests go.

        Raises:
            EngineError: the run has no servers.
        """
        if self._transport is None:
            raise EngineError(_NO_SERVERS)
        return self._transport

    def session(self, sample_index: int, seed: int | None) -> Session:
        """The engine handle of one sample; all its requests meet the same server.

        Args:
            sample_index: Unique in the run.
            seed: Makes the sample's tokens reproducible on servers that run with
                ``--sglang-enable-deterministic-inference``; others ignore it. ``None`` is random.
        """
        return Session(self, sample_index, seed)

    async def abort_all(self) -> None:
        """End all requests on all servers; their callers get ``ABORTED`` with the tokens so far."""
        self.aborts += 1
        await self._tell_all_to_abort()

    async def hold(self) -> None:
        """End all requests, to go on with them after ``release``; new ones wait for it too.

        A server that is told to pause looks for requests in flight once a second (SGLang 0.5.18),
        so that an update waits less where they have ended before.
        """
        self._released.clear()
        for _ in range(HOLD_TRIES):
            if not self._asking:
                return
            self._idle.clear()
            with contextlib.suppress(EngineError):
                await self._tell_all_to_abort(HOLD_ABORT_S)
            # A request that was on its way to the server meets the next call.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), HOLD_EVERY_S if self._asking else 0)

    def release(self) -> None:
        """Let requests go on."""
        self._released.set()

    def abandon(self, request_id: str) -> None:
        """End a request that nobody waits for any more; returns at once, failures do not matter."""
        if self.address:
            task = asyncio.ensure_future(self._abandon(request_id, self.address.server_urls))
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*self._background)
        if self._transport:
            await self._transport.close()

    async def ask(
        self,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str],
        before_retry: Callable[[], None] | None = None,
        read: Callable[[Any], Any] | None = None,
    ) -> Any:
        """What the servers answer, as ``Transport.post``; waits while requests are held."""
        if not self._released.is_set():
            await self._released.wait()
        self._asking += 1
        try:
            return await self.transport.post(path, body, headers, before_retry, read)
        finally:
            self._asking -= 1
            if not self._asking:
                self._idle.set()

    async def _tell_all_to_abort(self, timeout_s: float = ABORT_S) -> None:
        if self.address:
            session = self.transport.session
            calls = (
                control.send_async(session, url, control.ABORT_ALL, timeout_s)
                for url in self.address.server_urls
            )
            found = await asyncio.gather(*calls, return_exceptions=True)
            # Requests at a server that is gone end by themselves.
            failures = [error for error in found if isinstance(error, BaseException)]
            if failures and len(failures) == len(found):
                raise failures[0]

    async def _abandon(self, request_id: str, urls: Sequence[str]) -> None:
        calls = (
            control.send_async(self.transport.session, url, control.abort(request_id), ABORT_S)
            for url in urls
        )
        await asyncio.gather(*calls, return_exceptions=True)


@final
class Session:
    """What a plugin knows as ``Engine``: one sample's way to the servers."""

    __slots__ = ("_calls", "_client", "_headers", "_index", "_opened", "_requests", "_seed")

    def __init__(self, client: EngineClient, sample_index: int, seed: int | None) -> None:
        self._client = client
        self._index = sample_index
        self._headers = {ROUTING_KEY: self._name}
        # Never without a seed: servers that honour seeds give all requests without one the same.
        self._seed = random.getrandbits(62) if seed is None else seed
        self._calls = itertools.count()
        self._requests = itertools.count()
        self._opened: tuple[str, Recording] | None = None

    @property
    def openai_base_url(self) -> str:
        """Base URL of this sample for clients that know only the OpenAI API."""
        if self._client.address is None:
            raise EngineError(_NO_SERVERS)
        if self._opened is None:
            # A handle of its own: the recording must not hold the one that holds it.
            writer = Session(self._client, self._index, call_seed(self._seed, -1))
            self._opened = self._gateway.open(writer)
        return self._opened[0]

    @property
    def openai_api_key(self) -> str:
        """The key that those clients send."""
        return self._gateway.key

    @property
    def openai_traces(self) -> list[Trace]:
        """What was asked through ``openai_base_url`` so far."""
        return self._opened[1].traces if self._opened else []

    @property
    def context_length(self) -> int:
        """Most tokens, prompt and response together, that the model takes."""
        return self._client.context_length

    @property
    def weight_version(self) -> int:
        """Version of the weights that the servers hold now."""
        return self._client.weight_version

    async def generate(self, trace: Trace, sampling: Sampling | None = None) -> StopReason:
        """Continue the trace and append what the model writes, as ``Engine.generate`` says."""
        began, length = time.perf_counter(), len(trace)
        stop = await self._generate(trace, sampling)
        if stop is not StopReason.ABORTED and len(trace) > length:
            self._client.latencies.add(time.perf_counter() - began, len(trace) - length)
        return stop

    async def _generate(self, trace: Trace, sampling: Sampling | None) -> StopReason:
        client = self._client
        wanted = budget(client.defaults, sampling)
        end = client.context_length if wanted is None else len(trace) + wanted
        parameters = merged(client.defaults, sampling)
        # Servers that honour seeds draw by seed and position, so what goes on keeps its seed.
        parameters.setdefault("sampling_seed", call_seed(self._seed, next(self._calls)))
        aborts, patience, length = client.aborts, FRUITLESS, len(trace)
        while True:
            stop = await self._attempt(trace, parameters, end)
            # An abort that this client did not ask for is a weight update: the same request goes
            # on with the new weights, and whoever waits for it need not know.
            if stop is not StopReason.ABORTED or client.aborts != aborts:
                return stop
            patience = patience - 1 if len(trace) == length else FRUITLESS
            if not patience:
                return stop
            length = len(trace)

    async def _attempt(self, trace: Trace, parameters: dict[str, Any], end: int) -> StopReason:
        """One request for what is missing until the trace has ``end`` tokens."""
        client = self._client
        room, wanted = client.context_length - len(trace), end - len(trace)
        if wanted <= 0:
            return StopReason.LENGTH if room > 0 else StopReason.CONTEXT
        if room < RESERVED:
            return StopReason.CONTEXT
        parameters["max_new_tokens"] = min(room, wanted)
        found = await self._request(trace, parameters)
        if found.first_token_s is not None:
            client.latencies.add_first_token(found.first_token_s)
        version = client.weight_version if found.weight_version is None else found.weight_version
        trace.append_sampled(found.tokens, found.logprobs, version)
        return answer.stop_reason(found, wanted)

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[dict[str, Any]] | None = None,
        *,
        add_generation_prompt: bool = True,
    ) -> list[int]:
        """Token ids of a conversation in the model's chat template."""
        rendered = self._client.tokenizer.apply_chat_template(
            list(messages),
            tools=list(tools) if tools else None,
            add_generation_prompt=add_generation_prompt,
            tokenize=True,
            return_dict=True,
        )
        return list(rendered["input_ids"])

    def parse(self, trace: Trace, tools: Sequence[dict[str, Any]] | None = None) -> Message:
        """The assistant message in the trace's last turn, as ``Engine.parse`` says."""
        client = self._client
        if tools and client.parsers.tool_calls is None:
            raise EngineError(_NO_PARSER)
        turn = trace.last_turn
        before = trace.tokens[-len(turn) - TAIL : -len(turn)] if turn else []
        return client.parsers.read(client.template, before, turn, tools)

    def extend(
        self,
        trace: Trace,
        messages: Sequence[Message],
        new: Sequence[Message],
        tools: Sequence[dict[str, Any]] | None = None,
    ) -> list[int]:
        """Token ids to append after a turn of the model, as ``Engine.extend`` says."""
        if not (turn := trace.last_turn):
            raise EngineError(_NO_TURN)
        try:
            added = self._client.template.added(messages, new, tools, {}, turn[-1])
        except TemplateError as error:
            raise EngineError(str(error)) from error
        if added is None:
            raise EngineError(_CHANGES_TURNS)
        return added

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of token ids, special tokens left out."""
        return str(self._client.tokenizer.decode(list(tokens), skip_special_tokens=True))

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text, without special tokens."""
        # What only looks like a special token in a tool's output is text.
        encode = self._client.tokenizer.encode
        return list(encode(text, add_special_tokens=False, split_special_tokens=True))

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST JSON through the router and return the JSON answer, as ``Engine.post`` says."""
        reply: dict[str, Any] = await self._client.ask(path, body, self._headers)
        return reply

    @property
    def _name(self) -> str:
        return f"sample-{self._index}"

    @property
    def _gateway(self) -> AgentGateway:
        if self._client.gateway is None:
            raise EngineError(_NO_GATEWAY)
        return self._client.gateway

    async def _request(self, trace: Trace, parameters: dict[str, Any]) -> answer.Answer:
        call = next(self._requests)
        body: dict[str, Any] = {
            "rid": self._request_id(call),
            "input_ids": trace.tokens,
            "sampling_params": parameters,
            "return_logprob": True,
        }

        def rename() -> None:
            # A server that lost the connection may still work on it, and refuses an id in use.
            self._client.abandon(body["rid"])
            body["rid"] = self._request_id(call)

        try:
            found: answer.Answer = await self._client.ask(
                "/generate", body, self._headers, rename, answer.read
            )
            return found
        except asyncio.CancelledError:
            self._client.abandon(body["rid"])
            raise

    def _request_id(self, call: int) -> str:
        return f"{self._name}-{call}-{random.getrandbits(32):08x}"
