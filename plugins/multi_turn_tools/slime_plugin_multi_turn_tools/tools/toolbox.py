"""The tools that a run offers, and the answers to what the model asks of them."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from slime_hookspecs import DataError, Prompt

from slime_plugin_multi_turn_tools.options import Options
from slime_plugin_multi_turn_tools.sandbox import Isolation, Limits, Sandbox, strongest
from slime_plugin_multi_turn_tools.tools.calculator import CALCULATOR
from slime_plugin_multi_turn_tools.tools.python import python_tool
from slime_plugin_multi_turn_tools.tools.tool import Tool, ToolError, near

ERROR: Final = "error: "


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """What the model is told.

    Attributes:
        text: The tool's answer, or what was wrong.
        failed: Whether something was.
    """

    text: str
    failed: bool = False


@final
@dataclass(frozen=True, slots=True)
class Toolbox:
    """Tools by name.

    Attributes:
        tools: The tools.
        most_characters: Characters of an answer that the model is shown.
    """

    tools: Mapping[str, Tool]
    most_characters: int

    def schemas(self, prompt: Prompt) -> list[dict[str, Any]]:
        """What the chat template shows: the prompt's own choice of tools, else all.

        Raises:
            DataError: the prompt offers a tool that is not here.
        """
        if not prompt.tools:
            return [tool.schema for tool in self.tools.values()]
        for schema in prompt.tools:
            name = schema.get("function", schema).get("name")
            if name not in self.tools:
                known = ", ".join(self.tools)
                raise DataError(
                    f"prompt {prompt.id}: it offers the tool {name!r}, and there is {known}"
                    f"{near(str(name), self.tools)}; see --multi-turn-tools.tools"
                )
        return prompt.tools

    async def answer(self, name: str, arguments: Any) -> Answer:
        """The answer to one call. What is wrong with the call is an answer, too."""
        try:
            tool = self.tools.get(name)
            if tool is None:
                known = ", ".join(self.tools)
                raise ToolError(f"no tool {name!r} among {known}{near(name, self.tools)}")
            return Answer(self._cut(await tool.run(tool.read(arguments))))
        except ToolError as error:
            return Answer(self._cut(f"{ERROR}{error}"), failed=True)

    def _cut(self, text: str) -> str:
        """A text with its middle left out where it is too long."""
        missing = len(text) - self.most_characters
        if missing <= 0:
            return text
        head, tail = (self.most_characters + 1) // 2, self.most_characters // 2
        end = text[len(text) - tail :]
        return f"{text[:head]}\n[... {missing} characters left out ...]\n{end}"


def toolbox(options: Options) -> Toolbox:
    """The tools that the options name.

    Raises:
        ConfigError: the sandbox cannot be had as strong as the options require.
    """
    makers = {
        "calculator": lambda: CALCULATOR,
        "python": lambda: python_tool(sandbox(options)),
    }
    tools = {name: makers[name]() for name in options.tools}
    return Toolbox(tools, options.max_answer_characters)


def sandbox(options: Options) -> Sandbox:
    """Where the tool ``python`` runs its programs."""
    limits = Limits(
        wall_s=options.python_wall_s,
        cpu_s=options.python_cpu_s,
        memory_mb=options.python_memory_mb,
        processes=options.python_processes,
        disk_mb=options.python_disk_mb,
    )
    python = options.python or sys.executable
    isolation = _strongest(Isolation(options.require_isolation), python)
    return Sandbox(isolation, limits, options.python_concurrency or os.cpu_count() or 1, python)


@functools.lru_cache(maxsize=8)
def _strongest(require: Isolation, python: str) -> Isolation:
    return strongest(require, python)
