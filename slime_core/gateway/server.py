"""The gateway itself: an HTTP server on the loopback address, with a path for each sample."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias, final
from weakref import WeakValueDictionary

import orjson
from aiohttp import web
from slime_hookspecs.errors import EngineError

from slime_core.engine.parsing import Parsers
from slime_core.engine.template import Template, TemplateError
from slime_core.gateway import messages, replies, wire
from slime_core.gateway.conversation import Conversation, Turn, Writer
from slime_core.gateway.errors import ApiError, bad

LOG = logging.getLogger("slime.gateway")
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_BODY_BYTES: Final = 256 * 2**20
#: Seconds between two signs of life in a stream whose answer is not there yet.
KEEP_ALIVE_S: Final = 10.0


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
        self._template = Template(tokenizer)
        self._model = model
        self._parsers = parsers
        self._sessions: WeakValueDictionary[str, Conversation] = WeakValueDictionary()
        self._runner: web.AppRunner | None = None
        self._url = ""

    async def start(self) -> None:
        """Listen on a free port of the loopback address."""
        application = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._guard])
        application.router.add_get("/{session}/v1/models", self._models)
        application.router.add_post("/{session}/v1/chat/completions", self._chat)
        application.router.add_post("/{session}/v1/completions", self._completions)
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
        conversation = Conversation(writer, self._template, self._parsers, self.counts)
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
        except ApiError as error:
            return self._refusal(error)
        except TemplateError as error:
            return self._refusal(bad(str(error), "messages"))
        except EngineError as error:
            return self._refusal(ApiError(502, str(error), code="engine"))
        except web.HTTPException as error:
            what = f"{request.method} {request.path}: {error.reason}"
            return self._refusal(ApiError(error.status, what))
        except Exception as error:
            LOG.exception("the gateway failed on %s %s", request.method, request.path)
            return self._refusal(ApiError(500, f"{type(error).__name__}: {error}"))

    def _refusal(self, error: ApiError) -> web.Response:
        self.counts[f"gateway/refused/{error.code or error.status}"] += 1
        return web.Response(
            status=error.status, body=orjson.dumps(error.body()), content_type="application/json"
        )

    def _admit(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        given = given or request.headers.get("x-api-key", "")
        if not secrets.compare_digest(given.encode(), self.key.encode()):
            raise ApiError(
                401, "wrong API key: use engine.openai_api_key of this run", code="invalid_api_key"
            )

    def _conversation(self, request: web.Request) -> Conversation:
        found = self._sessions.get(request.match_info["session"])
        if found is None:
            raise ApiError(
                404,
                "this sample is over, or never was: use engine.openai_base_url of the sample",
                code="session_not_found",
            )
        return found

    def _check_model(self, asked: str | None) -> None:
        if asked not in (None, "", "default", self._model):
            raise ApiError(
                404,
                f"The model {asked!r} does not exist; this run serves {self._model!r}",
                code="model_not_found",
                param="model",
            )

    async def _models(self, request: web.Request) -> web.Response:
        self._conversation(request)
        return _json(replies.models(self._model))

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        conversation = self._conversation(request)
        body = wire.parse(await request.read(), wire.Chat)
        self._check_model(body.model)
        work = conversation.chat(
            messages.normal(body.messages),
            None if body.tool_choice == "none" else body.tools,
            body.chat_template_kwargs or {},
            wire.sampling(body),
            body.choices,
        )
        template = self._template if body.logprobs else None
        if not body.stream:
            return _json(replies.chat(await work, self._model, template))
        with_usage = body.stream_options is not None and body.stream_options.include_usage
        return await self._stream(
            request,
            work,
            lambda turns: replies.chat_events(turns, self._model, template, with_usage),
        )

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        conversation = self._conversation(request)
        body = wire.parse(await request.read(), wire.Completion)
        self._check_model(body.model)
        work = conversation.complete(_one_prompt(body.prompt), wire.sampling(body), body.choices)
        template = self._template if body.logprobs is not None else None
        if not body.stream:
            return _json(replies.completion(await work, self._model, template))
        with_usage = body.stream_options is not None and body.stream_options.include_usage
        return await self._stream(
            request, work, lambda turns: replies.completion_events(turns, self._model, with_usage)
        )

    async def _stream(
        self,
        request: web.Request,
        work: Awaitable[list[Turn]],
        events: Callable[[list[Turn]], Iterable[dict[str, Any]]],
    ) -> web.StreamResponse:
        """Send the answer as events once it is whole: only then is it known what is a call."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait([task], timeout=KEEP_ALIVE_S)
            if task.done():
                task.result()  # What fails at once has a status of its own.
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            while not task.done():
                await response.write(b": waiting\n\n")
                await asyncio.wait([task], timeout=KEEP_ALIVE_S)
            for event in _or_error(task, events):
                await response.write(b"data: " + orjson.dumps(event) + b"\n\n")
            await response.write(b"data: [DONE]\n\n")
            await response.write_eof()
            return response
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


def _or_error(
    task: asyncio.Future[list[Turn]],
    events: Callable[[list[Turn]], Iterable[dict[str, Any]]],
) -> Iterable[dict[str, Any]]:
    """The events of the answer, or one that says why there is none: the status is sent already."""
    error = task.exception()
    if error is None:
        return events(task.result())
    if not isinstance(error, ApiError):
        error = ApiError(502, str(error))
    return [error.body()]


def _one_prompt(prompt: str | list[int | str]) -> str | list[int]:
    """The prompt of a request: text, or tokens.

    Raises:
        ApiError: there is none, or there are several.
    """
    if not prompt:
        raise bad("prompt is empty", "prompt")
    if isinstance(prompt, str):
        return prompt
    tokens = [one for one in prompt if isinstance(one, int)]
    if len(tokens) == len(prompt):
        return tokens
    if len(prompt) > 1:
        raise bad("one prompt a request is served, not several", "prompt")
    return str(prompt[0])


def _json(body: Any) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")
