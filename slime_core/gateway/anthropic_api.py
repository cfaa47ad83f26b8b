"""Anthropic's API: messages, answered by the conversations that OpenAI's chats go into too."""

from __future__ import annotations

from aiohttp import web

from slime_core.gateway import anthropic_messages, anthropic_replies, anthropic_wire, tools, wire
from slime_core.gateway.conversation import Conversation
from slime_core.gateway.dialects import ANTHROPIC
from slime_core.gateway.served import Served, answer


async def messages(
    request: web.Request, conversation: Conversation, served: Served
) -> web.StreamResponse:
    """``POST /v1/messages``."""
    body = wire.parse(await request.read(), anthropic_wire.Messages)
    anthropic_wire.check(body)
    served.check_model(body.model)
    choice = anthropic_wire.choice(body)
    offered = None if choice.kind == "none" else anthropic_wire.tools(body)
    sampling = anthropic_wire.sampling(body)
    work = conversation.chat(
        anthropic_messages.normal(body.system, body.messages),
        offered,
        body.chat_template_kwargs or {},
        tools.forcing(choice, offered, served.parsers.tool_calls, sampling),
        forced=choice.kind == "required",
    )
    if not body.stream:
        (turn,) = await work
        return answer(anthropic_replies.message(turn, served.model))
    return await served.events(
        request, ANTHROPIC, work, lambda turns: anthropic_replies.events(turns[0], served.model)
    )


async def count_tokens(
    request: web.Request, conversation: Conversation, served: Served
) -> web.StreamResponse:
    """``POST /v1/messages/count_tokens``."""
    body = wire.parse(await request.read(), anthropic_wire.CountTokens)
    anthropic_wire.check(body)
    served.check_model(body.model)
    choice = anthropic_wire.choice(body)
    offered = None if choice.kind == "none" else anthropic_wire.tools(body)
    history = anthropic_messages.normal(body.system, body.messages)
    count = conversation.count(history, offered, body.chat_template_kwargs or {})
    return answer({"input_tokens": count})
