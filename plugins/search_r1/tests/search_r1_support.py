"""What the tests share: prompts and samples, retrievers that remember, servers on loopback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from aiohttp import web
from slime_hookspecs import Sample, StopReason
from slime_hookspecs.testing.kit import ScriptedEngine, make_prompt
from slime_plugin_search_r1.passages import Passage, RetrievalError

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
Play: TypeAlias = Callable[..., Awaitable[Sample]]

GOLD = Passage("g", "Gold", "Gold has the number 79.")


@dataclass
class Remembering:
    """A retriever that finds the same for every query and keeps the queries."""

    passages: Sequence[Passage] = (GOLD,)
    failures: int = 0
    queries: list[str] = field(default_factory=list)

    async def search(self, query: str) -> Sequence[Passage]:
        self.queries.append(query)
        if self.failures:
            self.failures -= 1
            raise RetrievalError("no server")
        return self.passages


def new_sample(question: str = "What number has gold?", **fields: Any) -> Sample:
    prompt = make_prompt(question, ["79"], id="q")
    return Sample(0, 0, prompt, **fields)


def segments(sample: Sample, engine: ScriptedEngine) -> list[tuple[str, str]]:
    """Kind and text of each segment, special tokens spelt out."""
    return [(s.kind, engine.tokenizer.show(s.tokens)) for s in sample.trace.segments]


def observed(sample: Sample, engine: ScriptedEngine) -> list[str]:
    """What the model was told, without space around it."""
    return [text.strip() for kind, text in segments(sample, engine) if kind == "observed"]


def scored(response: str, *, label: Any = None, account: dict[str, Any] | None = None) -> Sample:
    """A finished sample with this last turn."""
    sample = new_sample(response=response, stop=StopReason.STOP)
    metadata = {} if account is None else {"search_r1": account}
    sample.metadata = metadata
    if label is not None:
        sample.prompt = make_prompt("q?", label, id="q")
    return sample


def write_rows(path: Path, *rows: Any) -> Path:
    """A JSON Lines file; rows that are bytes are written as they are."""
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A server on a free loopback port whose ``POST`` to any path is this handler's."""
    app = web.Application()
    app.router.add_post("/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def answering(*documents: Any) -> Handler:
    """A handler that finds these documents for every query."""

    async def handle(_: web.Request) -> web.Response:
        found = [{"document": one, "score": 1.0} for one in documents]
        return web.json_response({"result": [found]})

    return handle
