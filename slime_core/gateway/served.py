"""What every request is answered with, whichever API it speaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, final

import orjson
from aiohttp import web

from slime_core.engine.parsing import Parsers
from slime_core.engine.template import Template
from slime_core.gateway import stream
from slime_core.gateway.conversation import Turn
from slime_core.gateway.dialects import Dialect
from slime_core.gateway.errors import ApiError


@final
@dataclass(frozen=True, slots=True)
class Served:
    """The model that is served.

    Attributes:
        model: Name that it goes by.
        template: Its chat template and tokenizer.
        parsers: What turns its text into calls and reasoning.
        counts: Where events are counted, by metric name.
    """

    model: str
    template: Template
    parsers: Parsers
    counts: Counter[str]

    def check_model(self, asked: str | None) -> None:
        """Refuse another model.

        Raises:
            ApiError: it was asked for.
        """
        if asked not in (None, "", "default", self.model):
            raise ApiError(
                404,
                f"The model {asked!r} does not exist; this run serves {self.model!r}",
                code="model_not_found",
                param="model",
            )

    def refusal(self, dialect: Dialect, error: ApiError) -> web.Response:
        """Tell a client why it gets no answer, and count it."""
        self.count(error)
        return answer(dialect.error(error), error.status)

    def count(self, error: ApiError) -> None:
        """Note a request that got no answer."""
        self.counts[f"gateway/refused/{error.code or error.status}"] += 1

    async def events(
        self,
        request: web.Request,
        dialect: Dialect,
        work: Awaitable[list[Turn]],
        events: stream.Events,
    ) -> web.StreamResponse:
        """Stream an answer."""
        return await stream.send(request, dialect, work, events, self.count)


def answer(body: Any, status: int = 200) -> web.Response:
    """A response of JSON."""
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")
