"""Requests of Anthropic's API as typed records, and what they are in the terms of OpenAI's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson
from slime_hookspecs.engine import Sampling

from slime_core.gateway.errors import bad
from slime_core.gateway.tools import Choice


class CountTokens(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /v1/messages/count_tokens``. Fields that are not here are ignored."""

    messages: list[dict[str, Any]]
    model: str | None = None
    system: str | list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class Messages(CountTokens, frozen=True, kw_only=True):
    """``POST /v1/messages``."""

    max_tokens: int | None = None
    output_config: dict[str, Any] | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None


def check(body: CountTokens) -> None:
    """Refuse values that mean nothing.

    Raises:
        ApiError: there is one.
    """
    if not body.messages:
        raise bad("messages is empty; at least one is needed", "messages")
    if body.messages[-1].get("role") == "assistant":
        raise bad(
            "the last message is the assistant's; beginning its answer for it is not served",
            "messages",
        )
    if isinstance(body, Messages) and body.max_tokens is not None and body.max_tokens < 1:
        raise bad(f"max_tokens is {body.max_tokens}; it must be at least 1", "max_tokens")
    if isinstance(body, Messages) and body.temperature is not None and body.temperature < 0:
        raise bad(f"temperature is {body.temperature}; it must not be negative", "temperature")


def tools(body: CountTokens) -> list[dict[str, Any]] | None:
    """The offered tools in OpenAI's form.

    Raises:
        ApiError: one is not described by a schema, as those that Anthropic itself runs.
    """
    return [_tool(one, place) for place, one in enumerate(body.tools)] if body.tools else None


def choice(body: CountTokens) -> Choice:
    """What ``tool_choice`` says.

    Raises:
        ApiError: it is none of those that there are.
    """
    wanted: Mapping[str, Any] = body.tool_choice or {"type": "auto"}
    several = not wanted.get("disable_parallel_tool_use", False)
    match wanted:
        case {"type": "auto" | "none" as kind}:
            return Choice(kind, several=several)
        case {"type": "any"}:
            return Choice("required", several=several)
        case {"type": "tool", "name": str(name)}:
            return Choice("required", name, several)
    raise bad(
        f"tool_choice is {wanted!r}; its type must be auto, any, none, or tool with a name",
        "tool_choice",
    )


def sampling(body: Messages) -> Sampling:
    """How to sample, as the request has it; what it leaves open is the run's."""
    return Sampling(
        max_new_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        stop=body.stop_sequences,
        extra=_format((body.output_config or {}).get("format")),
    )


def _format(wanted: Any) -> dict[str, str]:
    match wanted:
        case None:
            return {}
        case {"type": "json_schema", "schema": dict(schema)}:
            return {"json_schema": orjson.dumps(schema).decode()}
    raise bad(
        f"output_config.format is {wanted!r:.80}; served is json_schema with a schema",
        "output_config",
    )


def _tool(tool: Mapping[str, Any], place: int) -> dict[str, Any]:
    match tool:
        case {"name": str(name), "input_schema": dict(schema)}:
            # In the order in which OpenAI's clients write them: templates show tools as JSON.
            given = {"name": name, "description": tool.get("description"), "parameters": schema}
            given["strict"] = tool.get("strict")
            function = {field: value for field, value in given.items() if value is not None}
            return {"type": "function", "function": function}
    what = tool.get("type") or tool.get("name")
    raise bad(f"tools[{place}] ({what!r}) has no name or no input_schema", "tools")
