"""The contract's promises about itself: light to import, complete, documented."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pluggy
import pytest
import slime_hookspecs
from slime_hookspecs import (
    API_VERSION,
    HOOKS,
    PROJECT,
    Cardinality,
    Colour,
    HookInfo,
    Process,
    SlimeError,
    SlimeSpecs,
    UserError,
    docs,
    errors,
)

PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"
hooks = pytest.mark.parametrize("info", HOOKS.values(), ids=HOOKS)


def test_importing_the_contract_imports_no_engine() -> None:
    heavy = "{'torch', 'ray', 'sglang', 'megatron', 'transformers', 'numpy', 'slime_core'}"
    code = f"import slime_hookspecs, sys; print({heavy} & set(sys.modules) or 'none')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "none"


def test_all_names_every_public_thing_and_is_sorted() -> None:
    public = {
        name
        for name, value in vars(slime_hookspecs).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert set(slime_hookspecs.__all__) == public
    constants = sorted(n for n in public if n.isupper())
    others = sorted(n for n in public if not n.isupper() and n[0].isupper())
    functions = sorted(n for n in public if n[0].islower())
    assert slime_hookspecs.__all__ == [*constants, *others, *functions]


def test_every_name_in_all_that_can_have_a_docstring_has_one() -> None:
    things = [getattr(slime_hookspecs, name) for name in slime_hookspecs.__all__]
    bare = [t for t in things if inspect.isclass(t) and not inspect.getdoc(t)]
    assert bare == []


def test_every_hook_of_the_spec_class_is_declared_in_order() -> None:
    methods = [name for name in vars(SlimeSpecs) if not name.startswith("_")]
    assert methods == list(HOOKS)


def test_pluggy_accepts_the_spec_class() -> None:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(SlimeSpecs)
    assert {name for name in vars(manager.hook) if name.startswith("slime_")} == set(HOOKS)


@hooks
def test_a_hook_is_documented_and_dated(info: HookInfo) -> None:
    text = inspect.getdoc(getattr(SlimeSpecs, info.name))
    assert text
    assert text.endswith(".")
    assert re.fullmatch(r"\d+\.\d+", info.since)
    assert tuple(map(int, info.since.split("."))) <= tuple(map(int, API_VERSION.split(".")))


@hooks
def test_a_hook_tells_its_name_role_and_parameters(info: HookInfo) -> None:
    assert HOOKS[info.name] is info
    assert info.name == f"slime_{info.role}"
    spec = inspect.signature(getattr(SlimeSpecs, info.name))
    assert info.parameters == tuple(p for p in spec.parameters if p != "self")
    kinds = {p.kind for p in spec.parameters.values()}
    assert kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    assert not any(p.default is not p.empty for p in spec.parameters.values())


@hooks
def test_only_async_hooks_are_coroutine_functions(info: HookInfo) -> None:
    spec = getattr(SlimeSpecs, info.name)
    assert inspect.iscoroutinefunction(spec) == (info.colour is Colour.ASYNC)


@hooks
def test_a_hook_that_decides_something_runs_in_one_known_process(info: HookInfo) -> None:
    assert info.process is not Process.ANY


def test_roles_are_what_exactly_one_plugin_serves() -> None:
    roles = {h.role for h in HOOKS.values() if h.cardinality is Cardinality.EXACTLY_ONE}
    assert roles == {
        "data_source",
        "generate",
        "advantage",
        "token_advantage",
        "loss",
    }


def test_every_error_is_in_the_tree_that_the_module_draws() -> None:
    drawn = set(re.findall(r"[A-Z]\w+(?=\s{2,}|\n)", errors.__doc__ or ""))
    kinds = {n for n, v in vars(errors).items() if inspect.isclass(v)}
    assert kinds <= drawn | {"SlimeError"}
    for name in kinds:
        kind = getattr(errors, name)
        assert issubclass(kind, SlimeError)
        assert kind.exit_status == (2 if issubclass(kind, UserError) else 1)


def test_the_page_of_hooks_is_what_the_hooks_say() -> None:
    found = PAGE.read_text(encoding="utf-8")
    assert found == docs.markdown(), (
        "docs/hooks.md is out of date: python -m slime_hookspecs.docs > docs/hooks.md"
    )


def test_the_page_has_a_row_and_a_section_for_every_hook() -> None:
    page = docs.markdown()
    for name in HOOKS:
        assert f"| [`{name}`](#{name}) |" in page
        assert f"\n## {name}\n" in page
    assert "async def slime_generate(\n    sample: Sample,\n    engine: Engine,\n" in page
