"""The scripted engine over HTTP: SGLang's and OpenAI's endpoints on the loopback address."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, final

from slime_hookspecs.errors import EngineError
from slime_hookspecs.testing.kit.calls import parse
from slime_hookspecs.testing.kit.engine import EngineCall, ScriptedEngine

_REASONS: Final = {200: "OK", 400: "Bad Request", 404: "Not Found", 503: "Service Unavailable"}


@asynccontextmanager
async def serve(engine: ScriptedEngine) -> AsyncIterator[str]:
    """Serve the engine while the context lasts; gives the base URL, without ``/v1``.

    The engine's ``openai_base_url`` points there from then on::

        async with serve(ScriptedEngine(["4"])) as url:
            answer = await my_client.post(f"{url}/generate", json={"input_ids": [3, 42, 1, 4]})
    """
    connections: set[asyncio.Task[Any]] = set()
    endpoints = _Endpoints(engine)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            connections.add(task)
        try:
            while await _exchange(endpoints, reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # The client left, or the server is closing.
        finally:
            writer.close()
            if task is not None:
                connections.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    engine.openai_base_url = f"{url}/v1"
    try:
        yield url
    finally:
        server.close()
        open_now = list(connections)
        for task in open_now:
            task.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)


@final
class _Endpoints:
    def __init__(self, engine: ScriptedEngine) -> None:
        self.engine = engine
        self.running: dict[str, asyncio.Task[Any]] = {}

    async def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        self.engine.calls.append(EngineCall(path, body=body))
        if method == "GET" and path in ("/health", "/health_generate"):
            return 200, {}
        if method == "GET" and path in ("/model_info", "/get_model_info"):
            return 200, {
                "model_path": "scripted",
                "weight_version": str(self.engine.weight_version),
                "is_generation": True,
            }
        if method == "POST" and path == "/abort_request":
            return 200, self._abort(body)
        if method == "POST" and path == "/generate":
            return await self._generate(body)
        if method == "POST" and path == "/v1/chat/completions":
            return await self._chat(body)
        return 404, {"error": {"message": f"no {method} {path} here"}}

    def _abort(self, body: Mapping[str, Any]) -> dict[str, Any]:
        names = list(self.running) if body.get("abort_all") else [str(body.get("rid"))]
        for name in names:
            if name in self.running:
                self.running[name].cancel()
        return {}

    async def _generate(self, body: dict[str, Any]) -> tuple[int, Any]:
        name = str(body.get("rid") or f"request-{len(self.engine.calls)}")
        task = asyncio.ensure_future(self.engine.answer({**body, "rid": name}))
        self.running[name] = task
        try:
            await asyncio.wait([task])
            if task.cancelled():
                meta = {"id": name, "finish_reason": {"type": "abort"}, "completion_tokens": 0}
                version = str(self.engine.weight_version)
                return 200, {
                    "text": "",
                    "output_ids": [],
                    "meta_info": {**meta, "output_token_logprobs": [], "weight_version": version},
                }
            return 200, task.result()
        except EngineError as error:
            return 503, {"error": {"message": str(error)}}
        finally:
            task.cancel()
            del self.running[name]

    async def _chat(self, body: dict[str, Any]) -> tuple[int, Any]:
        if body.get("stream"):
            return 400, {"error": {"message": "the scripted engine does not stream"}}
        tokens = self.engine.render(body.get("messages") or [], body.get("tools"))
        budget = body.get("max_completion_tokens") or body.get("max_tokens")
        parameters = {"max_new_tokens": budget, "stop": body.get("stop")}
        status, answer = await self._generate(
            {
                "input_ids": tokens,
                "sampling_params": parameters,
                "rid": body.get("rid"),
                "return_logprob": True,
            }
        )
        if status == 200 and "finish_reason" in answer["meta_info"]:
            self._record(tokens, answer)
            return status, _completion(body, answer, tokens)
        return status, answer  # A malformed answer stays one.

    def _record(self, asked: list[int], answer: Mapping[str, Any]) -> None:
        meta = answer["meta_info"]
        values = [row[0] for row in meta["output_token_logprobs"]]
        version = int(meta["weight_version"])
        self.engine.openai_recording.add(asked, answer["output_ids"], values, version)


def _completion(
    body: Mapping[str, Any], answer: Mapping[str, Any], asked: list[int]
) -> dict[str, Any]:
    """OpenAI's JSON for SGLang's, with the fields that SGLang adds on request."""
    meta = answer["meta_info"]
    written, given = meta["completion_tokens"], meta.get("prompt_tokens", 0)
    usage = {"prompt_tokens": given, "completion_tokens": written, "total_tokens": given + written}
    message = parse(answer["text"], body.get("tools"))
    reason = "tool_calls" if message.get("tool_calls") else meta["finish_reason"]["type"]
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": reason}
    if body.get("return_token_ids"):
        choice |= {"prompt_token_ids": asked, "response_token_ids": answer["output_ids"]}
    if body.get("return_meta_info"):
        choice["meta_info"] = meta
    if body.get("logprobs"):
        values = [row[0] for row in meta["output_token_logprobs"]]
        choice["logprobs"] = {"content": [{"logprob": value} for value in values]}
    return {
        "id": f"chatcmpl-{meta['id']}",
        "object": "chat.completion",
        "created": 0,
        "model": body.get("model", "scripted"),
        "choices": [choice],
        "usage": usage,
        "metadata": {"weight_version": meta["weight_version"]},
    }


async def _exchange(
    endpoints: _Endpoints, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Answer one request; whether the connection may carry another."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ", 2)
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:])}
    raw = await reader.readexactly(int(headers.get("content-length", 0)))
    try:
        body = json.loads(raw) if raw else {}
        status, answer = await endpoints.answer(method, target.partition("?")[0], body)
    except (ValueError, TypeError, AttributeError) as error:
        status, answer = 400, {"error": {"message": f"{type(error).__name__}: {error}"}}
    data = json.dumps(answer).encode()
    start = f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
    writer.write(f"{start}Content-Length: {len(data)}\r\n\r\n".encode() + data)
    await writer.drain()
    return headers.get("connection", "").lower() != "close"
