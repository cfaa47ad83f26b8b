"""Takes ``--sglang-*``, ``--router-*``, ``--megatron-*`` and ``--<plugin>.<field>`` out of the
command line, untouched: the installed release, or the plugin, says what they mean.

A flag without a value is true, ``--no-<flag>`` is false, one value is a text, and several values
are a list. A flag given again makes a list of what each time said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from slime_core.config.fail import config_error
from slime_core.config.settings import PASS_THROUGH, Key, section_types

_TABLE: Final = re.compile(rf"--(no-)?({'|'.join(PASS_THROUGH)})-(.+)")
_PLUGIN: Final = re.compile(r"--(no-)?([A-Za-z][\w-]*)\.(\w[\w.-]*)")
_NUMBER: Final = re.compile(r"-\.?\d")


@dataclass(frozen=True, slots=True)
class _Flag:
    name: str
    key: Key
    negated: bool
    values: tuple[str, ...]

    @property
    def value(self) -> Any:
        if self.negated and self.values:
            raise config_error(f"command line: {self.name} takes no value, found {self.values[0]}")
        if not self.values:
            return not self.negated
        return self.values[0] if len(self.values) == 1 else list(self.values)


def _underscored(name: str) -> str:
    return name.replace("-", "_")


def _refuse_dot(name: str, table: str, field: str) -> None:
    if table in PASS_THROUGH or table in section_types():
        flag = f"--{table}-{field}".replace("_", "-")
        raise config_error(f"command line: {name} is not an option; did you mean {flag}?")


def _key(name: str) -> tuple[Key, bool] | None:
    if found := _TABLE.fullmatch(name):
        return (found[2], _underscored(found[3])), bool(found[1])
    if found := _PLUGIN.fullmatch(name):
        _refuse_dot(name, found[2], found[3])
        return ("plugin", _underscored(found[2]), _underscored(found[3])), bool(found[1])
    return None


def _is_value(token: str) -> bool:
    return not token.startswith("-") or token == "-" or bool(_NUMBER.match(token))


def _values(tokens: Sequence[str]) -> tuple[str, ...]:
    end = next((i for i, token in enumerate(tokens) if not _is_value(token)), len(tokens))
    return tuple(tokens[:end])


def split(argv: Sequence[str]) -> tuple[list[str], dict[Key, Any]]:
    """The command line without raw options, and the raw options by key."""
    rest: list[str] = []
    flags: list[_Flag] = []
    tokens = list(argv)
    while tokens:
        token = tokens.pop(0)
        name, equals, inline = token.partition("=")
        known = _key(name)
        if known is None:
            rest.append(token)
            continue
        values = (inline,) if equals else _values(tokens)
        del tokens[: 0 if equals else len(values)]
        flags.append(_Flag(name, known[0], known[1], values))
    return rest, _collect(flags)


def _collect(flags: Iterable[_Flag]) -> dict[Key, Any]:
    times: dict[Key, list[Any]] = {}
    for flag in flags:
        times.setdefault(flag.key, []).append(flag.value)
    return {key: said[0] if len(said) == 1 else said for key, said in times.items()}
