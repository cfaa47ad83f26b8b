"""Docstrings and comments of the contract as pieces of Markdown."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from typing import Any, Final, final

_SECTION: Final = re.compile(r"^(Args|Attributes|Raises|Returns):\n", re.M)

#: The indentation of sections tells where an entry begins.
_ENTRY: Final = re.compile(r"^ {4}(\w+): ", re.M)


@final
@dataclass(frozen=True, slots=True)
class Doc:
    """A docstring in its parts, each a Markdown text on one line.

    Attributes:
        text: All that stands before the sections.
        attributes: Meaning of each attribute or argument.
        raises: When which error is raised.
        returns: What is returned.
    """

    text: str
    attributes: Mapping[str, str]
    raises: Mapping[str, str]
    returns: str

    @property
    def whole(self) -> str:
        """All of it in one paragraph, for a cell of a table."""
        about = [f"`{name}`: {meaning}" for name, meaning in self.attributes.items()]
        raises = [f"Raises `{name}`: {when}" for name, when in self.raises.items()]
        returns = [f"Returns {self.returns}"] if self.returns else []
        return " ".join([self.text, *about, *returns, *raises])


def doc_of(thing: Any) -> Doc:
    """The docstring of a class, function or property; empty parts where there is none."""
    return parsed(inspect.getdoc(thing) or "")


def parsed(docstring: str) -> Doc:
    """A docstring in its parts."""
    text, *rest = _SECTION.split(f"{docstring}\n")
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    return Doc(
        text=flat(text),
        attributes=_entries(sections.get("Attributes", "") + sections.get("Args", "")),
        raises=_entries(sections.get("Raises", "")),
        returns=flat(sections.get("Returns", "")),
    )


def _entries(section: str) -> dict[str, str]:
    _, *rest = _ENTRY.split(section)
    return {name: flat(text) for name, text in zip(rest[::2], rest[1::2], strict=True)}


def flat(text: str) -> str:
    """A text on one line, its code in Markdown's quotes."""
    return " ".join(text.replace("``", "`").split())


def first_sentence(thing: Any) -> str:
    """What a docstring's first line says."""
    return flat((inspect.getdoc(thing) or "").partition("\n")[0])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; whatever is in a cell stays in it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )


def code(text: str) -> str:
    """A text as code; nothing where there is none."""
    return f"`{text}`" if text else ""


def comments(kind: type) -> dict[str, str]:
    """The ``#:`` comment behind each member of an enum."""
    found = re.findall(r"^ +(\w+) = .*?  #: (.*)$", inspect.getsource(kind), re.M)
    return {name: flat(text) for name, text in found}


def texts_of_names() -> dict[str, str]:
    """The text that stands under each name that a module of the contract assigns."""
    return {
        ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0]): text
        for file in sorted(files("slime_hookspecs").iterdir(), key=lambda file: file.name)
        if file.name.endswith(".py")
        for node, below in pairwise(ast.parse(file.read_text(encoding="utf-8")).body)
        if isinstance(node, ast.AnnAssign | ast.Assign) and (text := _text(below))
    }


def _text(node: ast.stmt) -> str:
    value = node.value if isinstance(node, ast.Expr) else None
    text = value.value if isinstance(value, ast.Constant) else None
    return inspect.cleandoc(text) if isinstance(text, str) else ""
