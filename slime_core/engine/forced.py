"""Sampling parameters under which the model can write nothing but a call of a tool.

Arguments keep to the tool's schema; one that has no grammar is left out where the tool is not
``strict``. SGLang knows the grammar of most models' calls, as a structural tag. Its router drops
that field of a request without a word (sglang-router 0.3.2), so it is sent as EBNF, which means
the same.

Log-probs are then those of what the grammar left over: a token without an alternative has 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from slime_core.engine import cpu

TAG: Final = "structural_tag"

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
    wanted = [tool for tool in tools if name in (None, tool["function"]["name"])]
    reason = ""
    for only_strict in (False, True):
        try:
            return {"ebnf": _grammar(parser, wanted, several, only_strict)}
        except RuntimeError as error:
            reason = str(error)
    raise ValueError(f"there is no grammar for the schemas of these tools: {reason}")


def _grammar(
    parser: str, tools: Sequence[Mapping[str, Any]], several: bool, only_strict: bool
) -> str:
    """The grammar of calls; their arguments keep to the schemas of all tools, or of strict ones."""
    import xgrammar
    from sglang.srt.entrypoints.openai.protocol import Tool
    from sglang.srt.function_call.function_call_parser import FunctionCallParser

    convert: Callable[..., Any] = Tool.model_validate
    wanted = [convert(_with_schema(tool, only_strict)) for tool in tools]
    found = FunctionCallParser(wanted, parser).get_structure_constraint("required", several)
    if found is None or found[0] != TAG:
        raise ValueError(f"SGLang has no grammar for calls as {parser!r} reads them")
    tag = _formed(found[1].model_dump(by_alias=True))
    if not several:
        tag = {**tag, "format": _ending(tag["format"])}
    return str(xgrammar.Grammar.from_structural_tag(orjson.dumps(tag).decode()))


def _with_schema(tool: Mapping[str, Any], only_strict: bool) -> dict[str, Any]:
    """The tool with its schema, or with arguments that are an object at least."""
    function = tool["function"]
    schema = None if only_strict and not function.get("strict") else function.get("parameters")
    schema = schema or _OBJECT
    return {**tool, "function": {**function, "parameters": schema, "strict": True}}


def _formed(tag: dict[str, Any]) -> dict[str, Any]:
    """The grammar in the newer of the two forms that SGLang uses."""
    if "structures" not in tag:
        return tag
    tags = [
        {
            "begin": one["begin"],
            "content": {"type": "json_schema", "json_schema": one["schema"]},
            "end": one["end"],
        }
        for one in tag["structures"]
    ]
    form = {"type": "triggered_tags", "triggers": tag["triggers"], "tags": tags}
    return {"type": TAG, "format": {**form, "at_least_one": True, "stop_after_first": False}}


def _ending(form: dict[str, Any]) -> dict[str, Any]:
    if "elements" in form:
        return {**form, "elements": [_ending(one) for one in form["elements"]]}
    return {**form, "stop_after_first": True} if "stop_after_first" in form else form
