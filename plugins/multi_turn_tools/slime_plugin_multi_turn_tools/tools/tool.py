"""A tool: what the model is told of it, and what happens when the model calls it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, final

#: JSON's name of a type, and Python's types of its values.
TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}

Run: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[str]]


class ToolError(Exception):
    """What the model is told instead of an answer, because of what it asked."""


@final
@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a tool; all are required.

    Attributes:
        type: JSON's name of its type.
        description: What it is, for the model.
    """

    type: Literal["string", "integer", "number", "boolean"]
    description: str


@final
@dataclass(frozen=True, slots=True)
class Tool:
    """A tool.

    Attributes:
        name: What the model calls it.
        description: What it does, for the model.
        parameters: Its arguments by name.
        run: Gives the answer to arguments that fit the parameters, or raises ``ToolError``.
    """

    name: str
    description: str
    parameters: Mapping[str, Parameter]
    run: Run

    @property
    def schema(self) -> dict[str, Any]:
        """What the chat template shows, in OpenAI's form."""
        properties = {
            name: {"type": one.type, "description": one.description}
            for name, one in self.parameters.items()
        }
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": {
                    "type": "object",
                    "properties": properties,
                    "required": list(properties),
                },
            },
        }

    def read(self, text: Any) -> dict[str, Any]:
        """The arguments in a call, which are a JSON object as text.

        Raises:
            ToolError: they are not, or not what the parameters say.
        """
        arguments = _object(text)
        for name in self.parameters:
            if name not in arguments:
                raise ToolError(f"{self.name} needs the argument {name!r}")
        for name, value in arguments.items():
            if name not in self.parameters:
                raise ToolError(
                    f"{self.name} has no argument {name!r}{near(name, self.parameters)}"
                )
            self._check(name, value)
        return arguments

    def _check(self, name: str, value: Any) -> None:
        kind = self.parameters[name].type
        is_bool = isinstance(value, bool)
        if not isinstance(value, TYPES[kind]) or (is_bool and kind != "boolean"):
            raise ToolError(f"the argument {name!r} of {self.name} must be a {kind}")


def near(name: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    """The known name that someone who wrote this one may have meant, as a question."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def _object(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        raise ToolError("the arguments are not JSON") from None
    if not isinstance(found, dict):
        raise ToolError("the arguments must be a JSON object")
    return found
