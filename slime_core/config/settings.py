"""The settings of ``schema.py`` as a flat table: one record for each flag and TOML key."""

from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Final, TypeAlias, get_args, get_type_hints

from slime_core.config.schema import Config

Key: TypeAlias = tuple[str, ...]
"""Where a setting lives, as ``("steps",)``, ``("rollout", "top_p")``, ``("plugin", "a", "b")``."""

PASS_THROUGH: Final = ("sglang", "router", "megatron")
"""Tables whose keys the installed release checks."""

COMMAND_LINE: Final = "command line"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting that the core owns."""

    key: Key
    type: Any
    default: Any
    help: str
    flag: str
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    const: str | None = None  #: what the flag means without a value
    metavar: str | None = None

    @property
    def is_list(self) -> bool:
        """Whether the flag may be repeated."""
        return bool(self.type == list[str])

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of a ``Literal``; empty for other types."""
        return tuple(a for a in get_args(self.type) if isinstance(a, str))


@dataclass(frozen=True, slots=True)
class Section:
    """Settings that share a TOML table and a part of the help; ``name`` is empty at top level."""

    name: str
    title: str
    settings: tuple[Setting, ...]


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _setting(key: Key, type_: Any, field: Field[Any]) -> Setting:
    meta = dict(field.metadata)
    flag = meta.pop("flag", "--" + "-".join(key).replace("_", "-"))
    return Setting(key, type_, _default(field), meta.pop("help"), flag, **meta)


def _section(name: str, cls: Any) -> Section:
    hints = get_type_hints(cls)
    own = [f for f in fields(cls) if "help" in f.metadata]
    prefix = (name,) if name else ()
    settings = tuple(_setting((*prefix, f.name), hints[f.name], f) for f in own)
    return Section(name, (cls.__doc__ or "").partition("\n")[0], settings)


@cache
def section_types() -> dict[str, Any]:
    """The dataclass of each section, by the field of ``Config`` that holds it."""
    return {n: t for n, t in get_type_hints(Config).items() if is_dataclass(t)}


@cache
def sections() -> tuple[Section, ...]:
    """All sections, the top level first."""
    return (_section("", Config), *(_section(n, t) for n, t in section_types().items()))


@cache
def settings() -> dict[Key, Setting]:
    """All settings that the core owns, by key."""
    return {s.key: s for section in sections() for s in section.settings}


def spell(key: Key, source: str) -> str:
    """A setting as whoever wrote it must look for it: a flag, or a key of a TOML table."""
    if source != COMMAND_LINE:
        table = f"[{'.'.join(key[:-1])}] " if len(key) > 1 else ""
        return f"{table}{key[-1]} ({source})"
    if key in settings():
        return f"{settings()[key].flag} (command line)"
    dashed = [part.replace("_", "-") for part in key]
    name = ".".join(dashed[1:]) if key[0] == "plugin" else "-".join(dashed)
    return f"--{name} (command line)"
