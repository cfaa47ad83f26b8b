"""OpenAI's API: chats and text completions."""

from __future__ import annotations

from aiohttp import web

from slime_core.gateway import messages, replies, tools, wire
from slime_core.gateway.conversation import Conversation
from slime_core.gateway.dialects import OPENAI
from slime_core.gateway.errors import bad
from slime_core.gateway.served import Served, answer


async def chat(
    request: web.Request, conversation: Conversation, served: Served
) -> web.StreamResponse:
    """``POST /v1/chat/completions``."""
    body = wire.parse(await request.read(), wire.Chat)
    wire.check(body)
    served.check_model(body.model)
    choice = tools.openai_choice(body.tool_choice, body.parallel_tool_calls is not False)
    offered = None if choice.kind == "none" else tools.checked(body.tools)
    work = conversation.chat(
        messages.normal(body.messages),
        offered,
        body.chat_template_kwargs or {},
        tools.forcing(choice, offered, served.parsers.tool_calls, wire.sampling(body)),
        body.choices,
        forced=choice.kind == "required",
    )
    template = served.template if body.logprobs else None
    if not body.stream:
        return answer(replies.chat(await work, served.model, template))
    usage = body.stream_options is not None and body.stream_options.include_usage
    return await served.events(
        request,
        OPENAI,
        work,
        lambda turns: replies.chat_events(turns, served.model, template, usage),
    )


async def complete(
    request: web.Request, conversation: Conversation, served: Served
) -> web.StreamResponse:
    """``POST /v1/completions``."""
    body = wire.parse(await request.read(), wire.Completion)
    wire.check(body)
    served.check_model(body.model)
    work = conversation.complete(_one_prompt(body.prompt), wire.sampling(body), body.choices)
    template = served.template if body.logprobs is not None else None
    if not body.stream:
        return answer(replies.completion(await work, served.model, template))
    usage = body.stream_options is not None and body.stream_options.include_usage
    return await served.events(
        request,
        OPENAI,
        work,
        lambda turns: replies.completion_events(turns, served.model, usage),
    )


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
