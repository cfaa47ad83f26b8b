"""Requests of OpenAI's API as typed records, and how they become sampling parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
import orjson
from slime_hookspecs.engine import Sampling

from slime_core.gateway.errors import ApiError, bad

Body = TypeVar("Body", bound=msgspec.Struct)

#: Fields that SGLang's ``sampling_params`` calls by the same name and ``Sampling`` does not have.
_EXTRA: Final = (
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "min_p",
    "min_tokens",
    "ignore_eos",
    "regex",
    "ebnf",
    "logit_bias",
)
MAX_CHOICES: Final = 128


class StreamOptions(msgspec.Struct, frozen=True):
    """Of a streamed answer."""

    include_usage: bool = False


class ResponseFormat(msgspec.Struct, frozen=True):
    """What the text must look like."""

    type: str
    json_schema: dict[str, Any] | None = None


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of both kinds of request. Fields that are not here are ignored."""

    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    min_p: float | None = None
    min_tokens: int | None = None
    ignore_eos: bool | None = None
    regex: str | None = None
    ebnf: str | None = None
    logit_bias: dict[str, float] | None = None

    @property
    def choices(self) -> int:
        """How many answers are wanted."""
        return 1 if self.n is None else self.n

    @property
    def budget(self) -> int | None:
        """Most tokens that an answer may have."""
        return self.max_tokens


class Chat(Common, frozen=True, kw_only=True):
    """``POST /v1/chat/completions``."""

    messages: list[dict[str, Any]]
    max_completion_tokens: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    chat_template_kwargs: dict[str, Any] | None = None

    @property
    def budget(self) -> int | None:
        """Most tokens that an answer may have."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


class Completion(Common, frozen=True, kw_only=True):
    """``POST /v1/completions``."""

    prompt: str | list[int | str]
    echo: bool | None = None
    suffix: str | None = None
    logprobs: int | None = None


def parse(raw: bytes, kind: type[Body]) -> Body:
    """The request in some bytes.

    Raises:
        ApiError: it is not JSON, or a field is not what the API says.
    """
    try:
        body = msgspec.convert(orjson.loads(raw), kind, strict=False)
    except orjson.JSONDecodeError as error:
        raise bad(f"the body is not JSON: {error}") from None
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at ")
        raise bad(
            f"{place.strip('`$.') or 'body'}: {message}", place.strip("`$.") or None
        ) from None
    return body


def check(body: Common) -> None:
    """Refuse values that mean nothing, or are not served.

    Raises:
        ApiError: there is one.
    """
    if not 1 <= body.choices <= MAX_CHOICES:
        raise bad(f"n is {body.n}; it must be from 1 to {MAX_CHOICES}", "n")
    if body.budget is not None and body.budget < 1:
        raise bad(f"max_tokens is {body.budget}; it must be at least 1", "max_tokens")
    if body.temperature is not None and body.temperature < 0:
        raise bad(f"temperature is {body.temperature}; it must not be negative", "temperature")
    if isinstance(body, Completion) and (body.echo or body.suffix):
        name = "echo" if body.echo else "suffix"
        raise bad(f"{name} is not served here", name)
    if isinstance(body, Chat) and not body.messages:
        raise bad("messages is empty; at least one is needed", "messages")
    if isinstance(body, Chat) and body.top_logprobs:
        raise bad(
            "top_logprobs is not served; logprobs gives those of the chosen tokens", "top_logprobs"
        )


def sampling(body: Common) -> Sampling:
    """How to sample, as the request has it; what it leaves open is the run's."""
    extra = {name: value for name in _EXTRA if (value := getattr(body, name)) is not None}
    if body.seed is not None:
        extra["sampling_seed"] = body.seed
    extra |= _format(body) if isinstance(body, Chat) else {}
    return Sampling(
        max_new_tokens=body.budget,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        stop=[body.stop] if isinstance(body.stop, str) else body.stop,
        stop_token_ids=body.stop_token_ids,
        extra=extra,
    )


def _format(body: Chat) -> Mapping[str, Any]:
    wanted = body.response_format
    if wanted is None or wanted.type == "text":
        return {}
    if wanted.type == "json_object":
        return {"json_schema": '{"type": "object"}'}
    if wanted.type == "json_schema" and wanted.json_schema and "schema" in wanted.json_schema:
        return {"json_schema": orjson.dumps(wanted.json_schema["schema"]).decode()}
    raise ApiError(
        400,
        f"response_format is {wanted.type!r}; served are text, json_object, and json_schema with a "
        f"schema",
        param="response_format",
    )
