"""No hook is a promise only: it is called, documented, shown, used by us, checked and broken.

There is no list of exceptions. A hook that fails here is finished or leaves the contract;
CONTRIBUTING.md, "Adding a hook", says what is due.
"""

from __future__ import annotations

import ast
import importlib.metadata
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, final

import pytest
from slime_hookspecs import HOOKS, SlimeSpecs
from slime_hookspecs.examples import EXAMPLES
from slime_hookspecs.testing.checks import registered
from slime_hookspecs.testing.signatures import definitions
from slime_hookspecs.testing.target import canonical

from slime_core.rollout.hooks import look_up

ROOT = Path(__file__).parents[2]
#: Rooms that call hooks by their full names; the rollout looks its own up in one place.
CALLERS = (
    *("slime_core/trainer/*.py", "slime_core/observe/*.py", "slime_core/plugins/options.py"),
    *("slime_core/plugins/defaults.py", "slime_core/plugins/fields.py"),
)
SUITE = ("hookspecs/slime_hookspecs/testing/subject.py",)
OURS = re.compile(r"slime-rl|slime-plugin-.+")

every_hook = pytest.mark.parametrize("hook", HOOKS)


@final
@dataclass(frozen=True, slots=True)
class Culprit:
    """A plugin of the zoo.

    Attributes:
        name: Its folder.
        hooks: Hooks that it implements.
        caught_by: The check that catches it.
    """

    name: str
    hooks: frozenset[str]
    caught_by: str


@final
class Asked:
    """Stands in for bound plugins, and notes which hooks are looked up."""

    def __init__(self) -> None:
        self.hooks: set[str] = set()

    def one(self, hook: str) -> Any:
        self.hooks.add(hook)
        return SimpleNamespace(plugin="some", version="1", hook=hook)

    def all(self, hook: str) -> tuple[Any, ...]:
        self.hooks.add(hook)
        return ()


@cache
def called() -> frozenset[str]:
    """Hooks that the framework looks up to call in a run."""
    asked: Any = Asked()
    look_up(asked)
    return frozenset(asked.hooks | named(CALLERS))


def named(patterns: Sequence[str]) -> set[str]:
    """Hooks whose names are texts in these files."""
    files = [path for pattern in patterns for path in ROOT.glob(pattern)]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    constants = [n for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    return {node.value for node in constants if node.value in HOOKS}


@cache
def sections() -> dict[str, str]:
    """Each section of the reference by title."""
    page = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (\w+)$", page, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@cache
def implementations() -> dict[str, list[str]]:
    """Our own plugins by hook that they implement."""
    found: dict[str, list[str]] = {hook: [] for hook in HOOKS}
    for distribution in importlib.metadata.distributions():
        if OURS.fullmatch(canonical(distribution.metadata["Name"] or "")):
            for point in distribution.entry_points.select(group="slime.plugins"):
                for hook in definitions(point.load()).hooks:
                    found[hook].append(point.name)
    return found


@cache
def culprits() -> tuple[Culprit, ...]:
    """The zoo; read and not imported, for some of it cannot be."""
    return tuple(
        Culprit(
            file.parent.name,
            frozenset(hook for path in file.parent.glob("*.py") for hook in marked(path)),
            tomllib.loads(file.read_text(encoding="utf-8"))["tool"]["slime-zoo"]["caught_by"],
        )
        for file in sorted((ROOT / "tests" / "zoo").glob("*/pyproject.toml"))
    )


def marked(path: Path) -> Iterator[str]:
    """Names of the functions of a file that are marked as implementations of a hook."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in HOOKS:
            marks = [getattr(mark, "func", mark) for mark in node.decorator_list]
            if any(isinstance(mark, ast.Name) and mark.id == "hookimpl" for mark in marks):
                yield node.name


@every_hook
def test_a_hook_is_called_in_a_run_or_says_that_only_the_suite_calls_it(hook: str) -> None:
    only_the_suite = "never in a run" in (getattr(SlimeSpecs, hook).__doc__ or "")
    assert hook in (named(SUITE) if only_the_suite else called())


@every_hook
def test_a_hook_has_a_section_in_the_reference_that_says_more_than_its_signature(hook: str) -> None:
    prose = re.sub(r"```.*?```", "", sections()[hook], flags=re.DOTALL)
    assert len(prose.split()) >= 8


@every_hook
def test_a_hook_has_an_example_that_implements_it(hook: str) -> None:
    module: dict[str, object] = {}
    exec(compile(EXAMPLES[hook], f"examples/{hook}.py", "exec"), module)
    holder = type("Example", (), {})()
    holder.__dict__.update(module)
    found = definitions(holder)
    assert hook in found.hooks
    assert found.complaints == ()


@every_hook
def test_a_hook_is_implemented_by_a_plugin_of_ours(hook: str) -> None:
    assert implementations()[hook], f"no plugin of slime-rl or slime-plugin-* implements {hook}"


@every_hook
def test_a_hook_has_a_check_of_its_own(hook: str) -> None:
    assert [one.name for one in registered().values() if hook in one.hooks]


@every_hook
def test_a_hook_has_a_culprit_that_a_check_of_that_hook_catches(hook: str) -> None:
    checks = registered()
    caught = [
        one.name for one in culprits() if hook in one.hooks and hook in checks[one.caught_by].hooks
    ]
    assert caught, f"no culprit in tests/zoo implements {hook} and is caught by a check of it"


def test_checks_name_only_hooks_that_there_are() -> None:
    named = {hook for one in registered().values() for hook in one.hooks}
    assert named == set(HOOKS)


def test_examples_are_of_hooks_that_there_are() -> None:
    assert list(EXAMPLES) == list(HOOKS)


def test_a_culprit_implements_a_hook_or_is_caught_before_hooks_matter() -> None:
    bare = {one.name: one.caught_by for one in culprits() if not one.hooks}
    tiers = {caught_by.partition(".")[0] for caught_by in bare.values()}
    assert tiers <= {"packaging", "declarations"}, bare
