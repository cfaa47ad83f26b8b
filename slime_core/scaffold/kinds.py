"""The kinds of plugin that can be made; what sets each apart is in its ``kind.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from slime_hookspecs import ConfigError

from slime_core.plugins.names import suggestion

TEMPLATES: Final = Path(__file__).parent / "templates"

KINDS: Final = {
    "math": "one turn, and an answer that can be checked",
    "multi-turn": "several turns against an environment that answers",
    "agent": "an agent that speaks the OpenAI API and runs unchanged",
    "search": "a tool that the model calls in its text, over an index of passages",
    "loss": "a loss and an advantage of its own, for any task",
}
"""Every kind, with what its plugins do."""


@final
@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind's plugins do not share with those of others. Texts speak of ``my_task``.

    Attributes:
        name: One of ``KINDS``.
        summary: The distribution's description.
        about: First paragraph of the README.
        edit: What to edit first, for the README.
        first: The file to open first.
        train: The command that trains with it.
        after_train: What to know about that command.
        requires: Requirements besides the contract.
        ci: What continuous integration installs besides.
        mypy: Further settings of mypy.
    """

    name: str
    summary: str
    about: str
    edit: str
    first: str
    train: str
    after_train: str = ""
    requires: tuple[str, ...] = ()
    ci: str = ""
    mypy: str = ""


def read_kind(name: str) -> Kind:
    """The kind of this name.

    Raises:
        ConfigError: there is none; names the nearest.
    """
    if name not in KINDS:
        known = "\n".join(f"  {kind:<12} {text}" for kind, text in KINDS.items())
        raise ConfigError(f"--kind {name}: no such kind{suggestion(name, KINDS)}\n{known}")
    values = tomllib.loads((TEMPLATES / name / "kind.toml").read_text("utf-8"))
    return Kind(name=name, **{**values, "requires": tuple(values.get("requires", ()))})
