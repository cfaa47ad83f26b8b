"""The tools of a request, and whether one of them must be called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, final

from slime_hookspecs.engine import Sampling

from slime_core.engine import forced
from slime_core.gateway.errors import bad

Tools: TypeAlias = Sequence[dict[str, Any]]

#: Other ways of leaving the model less than all tokens; SGLang takes one a request.
_GRAMMARS: Final = ("json_schema", "regex", "ebnf")


@final
@dataclass(frozen=True, slots=True)
class Choice:
    """What ``tool_choice`` says.

    Attributes:
        kind: ``auto`` leaves it to the model; ``none`` hides the tools; ``required`` forces a call.
        name: The tool that must be called; any if ``None``.
        several: More than one call is welcome; heeded only where a call is forced.
    """

    kind: Literal["auto", "none", "required"] = "auto"
    name: str | None = None
    several: bool = True


def openai_choice(value: str | Mapping[str, Any] | None, several: bool) -> Choice:
    """``tool_choice`` in OpenAI's form.

    Raises:
        ApiError: it is none of those served.
    """
    match value:
        case None | "auto":
            return Choice(several=several)
        case "none" | "required":
            return Choice(value, several=several)
        case {"type": "function", "function": {"name": str(name)}}:
            return Choice("required", name, several)
    served = 'auto, none, required and {"type": "function", "function": {"name": NAME}}'
    raise bad(f"tool_choice is {value!r}; served are {served}", "tool_choice")


def checked(tools: Tools | None) -> Tools | None:
    """The tools, each a function.

    Raises:
        ApiError: one is not.
    """
    for place, tool in enumerate(tools or ()):
        match tool:
            case {"type": "function", "function": {"name": str(), **rest}}:
                if isinstance(rest.get("parameters") or {}, dict):
                    continue
        raise bad(
            f'tools[{place}] is no function; {{"type": "function", "function": {{"name": NAME, '
            f'"parameters": SCHEMA}}}} would be one',
            "tools",
        )
    return tools


def forcing(
    choice: Choice, tools: Tools | None, parser: str | None, sampling: Sampling
) -> Sampling:
    """The sampling under which the model calls what it must, where the choice says so.

    Args:
        choice: Whether a tool must be called.
        tools: Tools that are offered.
        parser: What reads the model's calls, if anything does.
        sampling: How to sample otherwise.

    Raises:
        ApiError: a call cannot be forced.
    """
    if choice.kind != "required":
        return sampling
    names = [tool["function"]["name"] for tool in tools or ()]
    if not names or choice.name not in (None, *names):
        wanted = "a call" if choice.name is None else f"a call of {choice.name!r}"
        raise bad(f"tool_choice forces {wanted}; tools has {names}", "tool_choice")
    if parser is None:
        raise bad(
            "tool_choice forces a call, and nothing says how this model writes calls: start the "
            "run with --sglang-tool-call-parser",
            "tool_choice",
        )
    if found := [name for name in _GRAMMARS if name in sampling.extra]:
        raise bad(f"tool_choice forces a call, which leaves no room for {found[0]}", "tool_choice")
    try:
        extra = forced.parameters(parser, tools or (), choice.name, choice.several)
    except ValueError as error:
        raise bad(f"tool_choice: {error}; served are 'auto' and 'none'", "tool_choice") from None
    return replace(sampling, extra={**sampling.extra, **extra})
