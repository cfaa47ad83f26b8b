"""The examples in the docstrings of the author's test kit run as they stand."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest
from slime_hookspecs.testing import kit

MODULES = [name for _, name, _ in pkgutil.iter_modules(kit.__path__, kit.__name__ + ".")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_the_kit_run(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert found.failed == 0


def test_the_kit_has_examples() -> None:
    finder = doctest.DocTestFinder()
    modules = [importlib.import_module(m) for m in MODULES]
    examples = [e for m in modules for t in finder.find(m) for e in t.examples]
    assert len(examples) >= 18
