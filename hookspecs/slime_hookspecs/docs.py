"""Writes the reference of all hooks as Markdown, from the hooks themselves and their examples.

``python -m slime_hookspecs.docs`` prints it; ``--records`` prints the page of all that hooks are
given and give back, ``--json`` the contract as JSON.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Final

from slime_hookspecs.contract import API_VERSION, HOOKS, Cardinality, HookInfo, OnFailure
from slime_hookspecs.examples import EXAMPLES
from slime_hookspecs.export import to_text
from slime_hookspecs.specs import SlimeSpecs

COLUMNS: Final = ("hook", "cardinality", "colour", "process", "on failure", "since")

CARDINALITIES: Final = {
    Cardinality.PER_PLUGIN: "each plugin may implement it and answers for itself",
    Cardinality.EXACTLY_ONE: "one plugin serves it; `--use ROLE=PLUGIN` picks where several could",
    Cardinality.WEIGHTED: "all that implement it, summed; `--reward-weight PLUGIN=WEIGHT`",
    Cardinality.CHAIN: "all that implement it, in the order of the plan",
    Cardinality.ALL: "all that implement it, independent of each other",
}

FAILURES: Final = {
    OnFailure.STOP: "an exception stops the run",
    OnFailure.SAMPLE: "the sample is masked; its error is kept and counted",
    OnFailure.GROUP: "so is every sample of the group",
    OnFailure.COUNT: "a metric counts it, the first one is a warning, and the run goes on",
}


def markdown() -> str:
    """The whole page."""
    parts = [
        "# Hooks",
        f"Contract version {API_VERSION}. Written by `python -m slime_hookspecs.docs`; change the "
        "docstrings in `slime_hookspecs/specs.py` or the examples in `slime_hookspecs/examples/` "
        "instead of this page.",
        "An implementation has the hook's name, is marked `@hookimpl`, and takes any subset of "
        "the arguments. [Records](records.md) says what they are, field by field. The examples are "
        "run by tests as they stand here.",
        _table(),
        _legend("Cardinality", {c.value: text for c, text in CARDINALITIES.items()}),
        _legend("On failure", {f.value: text for f, text in FAILURES.items()}),
        *map(_section, HOOKS.values()),
    ]
    return "\n\n".join(parts) + "\n"


def _table() -> str:
    rows = [COLUMNS, ("---",) * len(COLUMNS), *map(_row, HOOKS.values())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(info: HookInfo) -> tuple[str, ...]:
    return (
        f"[`{info.name}`](#{info.name})",
        info.cardinality.value,
        info.colour.value,
        info.process.value,
        info.on_failure.value,
        info.since,
    )


def _legend(title: str, meanings: dict[str, str]) -> str:
    return "\n".join([f"**{title}**", "", *(f"* *{k}*: {v}" for k, v in meanings.items())])


def _section(info: HookInfo) -> str:
    text = inspect.getdoc(getattr(SlimeSpecs, info.name)) or ""
    parts = [
        f"## {info.name}",
        f"```python\n{_signature(info.name)}\n```",
        text,
        f"*{_promises(info)}*",
        f"Example:\n\n```python\n{EXAMPLES[info.name].rstrip()}\n```",
    ]
    return "\n\n".join(parts)


def _promises(info: HookInfo) -> str:
    """What the table says of a hook, as a line under it."""
    return (
        f"Implemented by: {info.cardinality.value}. Colour: {info.colour.value}. "
        f"Process: {info.process.value}. On failure: {info.on_failure.value}. Since {info.since}."
    )


def _signature(name: str) -> str:
    spec = getattr(SlimeSpecs, name)
    signature = inspect.signature(spec)
    start = "async def" if inspect.iscoroutinefunction(spec) else "def"
    arguments = list(_arguments(signature))
    result = str(signature.return_annotation)
    line = f"{start} {name}({', '.join(arguments)}) -> {result}: ..."
    if len(line) <= 88:
        return line
    broken = "".join(f"    {argument},\n" for argument in arguments)
    return f"{start} {name}(\n{broken}) -> {result}: ..."


def _arguments(signature: inspect.Signature) -> Iterator[str]:
    for name, parameter in signature.parameters.items():
        if name != "self":
            yield f"{name}: {parameter.annotation}"


if __name__ == "__main__":
    if "--records" in sys.argv[1:]:
        from slime_hookspecs.docs_records import records

        print(records(), end="")
    else:
        print(to_text() if "--json" in sys.argv[1:] else markdown(), end="")
