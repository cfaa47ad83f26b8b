"""Each section of the hook reference says all that the specs and the examples know."""

from __future__ import annotations

import ast
import inspect
import re

import pytest
from slime_hookspecs import HOOKS, HookInfo, SlimeSpecs, docs
from slime_hookspecs.examples import EXAMPLES

PARTS = re.split(r"^## (\w+)\n", docs.markdown(), flags=re.M)
SECTIONS = dict(zip(PARTS[1::2], PARTS[2::2], strict=True))
hooks = pytest.mark.parametrize("info", HOOKS.values(), ids=HOOKS)


def test_there_is_a_section_for_each_hook_in_order() -> None:
    assert list(SECTIONS) == list(HOOKS)


@hooks
def test_a_section_has_signature_purpose_promises_and_example(info: HookInfo) -> None:
    signature, purpose, promises, example = re.fullmatch(
        r"\n```python\n(.*?)\n```\n\n(.*?)\n\n\*(Implemented by: [^\n]*)\*\n\n"
        r"Example:\n\n```python\n(.*?)```\n*",
        SECTIONS[info.name],
        re.S,
    ).groups()  # type: ignore[union-attr]
    (defined,) = ast.parse(signature).body
    assert isinstance(defined, ast.FunctionDef | ast.AsyncFunctionDef)
    assert tuple(argument.arg for argument in defined.args.args) == info.parameters
    assert purpose == inspect.getdoc(getattr(SlimeSpecs, info.name))
    assert promises == (
        f"Implemented by: {info.cardinality.value}. Colour: {info.colour.value}. "
        f"Process: {info.process.value}. On failure: {info.on_failure.value}. Since {info.since}."
    )
    assert example == EXAMPLES[info.name]


def test_every_value_of_a_promise_is_explained() -> None:
    head = PARTS[0]
    for info in HOOKS.values():
        assert f"* *{info.cardinality.value}*: " in head
        assert f"* *{info.on_failure.value}*: " in head
