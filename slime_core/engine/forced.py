"""Sampling parameters under which the model can write nothing but a call of a tool.

SGLang knows the grammar of most models' calls. Log-probs are then those of what the grammar left
over: a token without an alternative has log-prob 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from slime_core.engine import cpu

#: The field of SGLang's ``sampling_params``.
FIELD: Final = "structural_tag"

_OBJECT: Final = {"type": "object"}


def parameters(
    parser: str, tools: Sequence[Mapping[str, Any]], name: str | None, several: bool
) -> dict[str, str]:
    """SGLang's ``sampling_params`` for a call in the model's own format.

    Args:
        parser: Name of ``--sglang-tool-call-parser``.
        tools: Tools that may be called, in OpenAI's form.
        name: The one that must be called; any if ``None``.
        several: More calls may follow the first.

    Raises:
        ValueError: SGLang has no grammar for this parser's format, or for these tools.
    """
    cpu.install()
    from sglang.srt.entrypoints.openai.protocol import Tool
    from sglang.srt.function_call.function_call_parser import FunctionCallParser

    convert: Callable[..., Any] = Tool.model_validate
    wanted = [convert(_checked(t)) for t in tools if name in (None, t["function"]["name"])]
    found = FunctionCallParser(wanted, parser).get_structure_constraint("required", several)
    if found is None or found[0] != FIELD:
        raise ValueError(f"SGLang has no grammar for calls as {parser!r} reads them")
    tag: dict[str, Any] = found[1].model_dump(by_alias=True)
    return {FIELD: orjson.dumps(tag if several else _only_one(tag)).decode()}


def _checked(tool: Mapping[str, Any]) -> dict[str, Any]:
    """The tool with arguments that are an object at least; its schema holds where it is strict."""
    function = tool["function"]
    schema = function.get("parameters") if function.get("strict") else None
    return {**tool, "function": {**function, "parameters": schema or _OBJECT, "strict": True}}


def _only_one(tag: dict[str, Any]) -> dict[str, Any]:
    """The grammar without a way on after the first call."""
    if "structures" not in tag:
        return {**tag, "format": _ending(tag["format"])}
    tags = [
        {
            "begin": one["begin"],
            "content": {"type": "json_schema", "json_schema": one["schema"]},
            "end": one["end"],
        }
        for one in tag["structures"]
    ]
    form = {"type": "triggered_tags", "triggers": tag["triggers"], "tags": tags}
    return {"type": FIELD, "format": {**form, "at_least_one": True, "stop_after_first": True}}


def _ending(form: dict[str, Any]) -> dict[str, Any]:
    if "elements" in form:
        return {**form, "elements": [_ending(one) for one in form["elements"]]}
    return {**form, "stop_after_first": True} if "stop_after_first" in form else form
