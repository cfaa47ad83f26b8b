"""Anthropic's messages of blocks, as the messages that chat templates want."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slime_core.gateway.errors import bad
from slime_core.gateway.messages import Message

_ROLES = ("user", "assistant", "system")


def normal(
    system: str | Sequence[Any] | None, messages: Sequence[Mapping[str, Any]]
) -> list[Message]:
    """The conversation, each tool's result a message of its own.

    Args:
        system: The system prompt, text or blocks.
        messages: In Anthropic's form.

    Raises:
        ApiError: a message has no role or content that a language model can read.
    """
    found: list[Message] = []
    if system:
        found.append({"role": "system", "content": _text(system, "system")})
    for place, message in enumerate(messages):
        where = f"messages[{place}]"
        role = message.get("role")
        if role not in _ROLES:
            raise bad(f"{where}.role is {role!r}; it must be one of {', '.join(_ROLES)}", where)
        blocks = _blocks(message.get("content"), f"{where}.content")
        found += [_spoken(blocks, where)] if role == "assistant" else _given(role, blocks, where)
    return found


def _spoken(blocks: Sequence[Any], where: str) -> Message:
    """What the model said."""
    texts, thoughts, calls = [], [], []
    for place, block in enumerate(blocks):
        match block:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": "thinking", "thinking": str(text)}:
                thoughts.append(text)
            case {"type": "redacted_thinking"}:
                pass
            case {"type": "tool_use", "name": str(name), **rest}:
                function = {"name": name, "arguments": rest.get("input", {})}
                calls.append({"id": rest.get("id"), "type": "function", "function": function})
            case _:
                raise _unknown(block, f"{where}.content[{place}]")
    found: Message = {"role": "assistant", "content": "".join(texts)}
    if thoughts:
        found["reasoning_content"] = "".join(thoughts)
    if calls:
        found["tool_calls"] = calls
    return found


def _given(role: str, blocks: Sequence[Any], where: str) -> Iterator[Message]:
    """What users and tools said, in the order of the blocks."""
    texts: list[str] = []
    for place, block in enumerate(blocks):
        match block:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": "tool_result", "tool_use_id": str(name), **rest}:
                if texts:
                    yield {"role": role, "content": "".join(texts)}
                texts = []
                yield _result(name, rest, f"{where}.content[{place}]")
            case _:
                raise _unknown(block, f"{where}.content[{place}]")
    if texts or not blocks:
        yield {"role": role, "content": "".join(texts)}


def _result(name: str, block: Mapping[Any, Any], where: str) -> Message:
    text = _text(block.get("content") or "", f"{where}.content")
    failed = {"is_error": True} if block.get("is_error") else {}
    return {"role": "tool", "tool_call_id": name, "content": text, **failed}


def _blocks(content: Any, where: str) -> Sequence[Any]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if isinstance(content, list):
        return content
    raise bad(f"{where} is {type(content).__name__}; it must be text or blocks", where)


def _text(content: Any, where: str) -> str:
    """Text, or blocks of nothing else."""
    texts = []
    for place, block in enumerate(_blocks(content, where)):
        match block:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case _:
                raise _unknown(block, f"{where}[{place}]")
    return "".join(texts)


def _unknown(block: Any, where: str) -> Exception:
    kind = block.get("type") if isinstance(block, dict) else type(block).__name__
    return bad(f"{where} is a block of type {kind!r}, which is not served here", where)
