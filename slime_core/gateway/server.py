"""The gateway itself: an HTTP server on the loopback address, with a path for each sample."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, final
from weakref import WeakValueDictionary

from aiohttp import web

from slime_core.engine.parsing import Parsers
from slime_core.engine.template import Template
from slime_core.gateway import anthropic_api, anthropic_replies, dialects, openai_api, replies
from slime_core.gateway.conversation import Conversation, Writer
from slime_core.gateway.errors import ApiError, told
from slime_core.gateway.served import Served, answer

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
Call: TypeAlias = Callable[[web.Request, Conversation, Served], Awaitable[web.StreamResponse]]

#: More than any context holds as text; a request is held in memory while it is read.
MAX_BODY_BYTES: Final = 32 * 2**20

CALLS: Final[dict[str, Call]] = {
    "/v1/chat/completions": openai_api.chat,
    "/v1/completions": openai_api.complete,
    "/v1/messages": anthropic_api.messages,
    "/v1/messages/count_tokens": anthropic_api.count_tokens,
    # Anthropic's clients add the version to a base URL that ends with it already.
    "/v1/v1/messages": anthropic_api.messages,
    "/v1/v1/messages/count_tokens": anthropic_api.count_tokens,
}


@final
class Gateway:
    """Serves agents. One a rollout process; lives in its event loop.

    Args:
        tokenizer: The HF tokenizer of the model.
        model: Name that the model goes by.
        parsers: What turns text into calls and reasoning.

    Attributes:
        key: What clients send as their API key; new for each run.
        counts: Events so far, by metric name.
    """

    def __init__(self, tokenizer: Any, model: str, parsers: Parsers) -> None:
        self.key = f"sk-slime-{secrets.token_urlsafe(24)}"
        self.counts: Counter[str] = Counter()
        self._served = Served(model, Template(tokenizer), parsers, self.counts)
        self._sessions: WeakValueDictionary[str, Conversation] = WeakValueDictionary()
        self._runner: web.AppRunner | None = None
        self._url = ""

    async def start(self) -> None:
        """Listen on a free port of the loopback address."""
        application = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._guard])
        application.router.add_get("/{session}/v1/models", self._models)
        for path, call in CALLS.items():
            application.router.add_post("/{session}" + path, self._handler(call))
        # A client that leaves ends its request at the servers too.
        self._runner = web.AppRunner(
            application, handler_cancellation=True, access_log=None, shutdown_timeout=1.0
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self._url = f"http://127.0.0.1:{port}"

    def open(self, writer: Writer) -> tuple[str, Conversation]:
        """A new conversation and its base URL. It is served as long as somebody holds it."""
        name = secrets.token_hex(8)
        served = self._served
        conversation = Conversation(writer, served.template, served.parsers, self.counts)
        self._sessions[name] = conversation
        return f"{self._url}/{name}/v1", conversation

    def take_counts(self) -> dict[str, float]:
        """Events since this was last called, by metric name."""
        counted = {name: float(count) for name, count in sorted(self.counts.items())}
        self.counts.clear()
        return counted

    async def close(self) -> None:
        """Stop listening, and end what is under way."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self._admit(request)
            return await handler(request)
        except Exception as error:
            asked = f"{request.method} {request.path}"
            dialect = dialects.spoken(request.path, request.headers)
            return self._served.refusal(dialect, told(error, asked))

    def _admit(self, request: web.Request) -> None:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        given = (bearer, request.headers.get("x-api-key", ""))
        if not any(secrets.compare_digest(one.encode(), self.key.encode()) for one in given):
            raise ApiError(
                401, "wrong API key: use engine.openai_api_key of this run", code="invalid_api_key"
            )

    def _handler(self, call: Call) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await call(request, self._conversation(request), self._served)

        return handle

    def _conversation(self, request: web.Request) -> Conversation:
        found = self._sessions.get(request.match_info["session"])
        if found is None:
            raise ApiError(
                404,
                "this sample is over, or never was: use engine.openai_base_url of the sample",
                code="session_not_found",
            )
        return found

    async def _models(self, request: web.Request) -> web.Response:
        self._conversation(request)
        spoken = dialects.spoken(request.path, request.headers)
        listed = anthropic_replies.models if spoken is dialects.ANTHROPIC else replies.models
        return answer(listed(self._served.model))
