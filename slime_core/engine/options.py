"""Checks ``--sglang-*`` and ``--router-*`` against the installed releases' own parsers.

No list of options is kept here: whatever the installed release takes, passes through under its own
name. Only those are refused that the run itself must set.
"""

from __future__ import annotations

import argparse
import difflib
import importlib.metadata
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn, final

from slime_hookspecs.errors import ConfigError

from slime_core.engine import cpu
from slime_core.engine.owned import ROUTER_OWNED, SGLANG_OWNED

_TRUE: Final = (True, "true", "True", "1", "")
_FALSE: Final = (False, "false", "False", "0")


def check_sglang(raw: Mapping[str, Any]) -> list[str]:
    """Command-line tokens for the server from raw values by option name, ``-`` or ``_`` alike.

    Imports SGLang (4 s, with PyTorch) unless ``raw`` is empty.

    Raises:
        ConfigError: an option is unknown, has a wrong value, or belongs to the run.
    """
    if not raw:
        return []
    cpu.install()
    from sglang.srt.server_args import ServerArgs

    parser = _Parser(allow_abbrev=False, add_help=False)
    ServerArgs.add_cli_args(parser)
    return _Checker("sglang", parser, SGLANG_OWNED, ("--model-path", "model")).tokens(raw)


def check_router(raw: Mapping[str, Any]) -> list[str]:
    """``check_sglang`` for the router. Imports no PyTorch."""
    if not raw:
        return []
    from sglang_router.router_args import RouterArgs

    parser = _Parser(allow_abbrev=False, add_help=False)
    RouterArgs.add_cli_args(parser)
    return _Checker("router", parser, ROUTER_OWNED, ()).tokens(raw)


class _RefusedError(Exception):
    """What argparse has against a value."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _RefusedError(message)


@final
@dataclass(frozen=True, slots=True)
class _Checker:
    """One release's options.

    Attributes:
        prefix: ``sglang`` or ``router``.
        parser: The release's own.
        owned: Why the run itself sets an option, and what to use instead, by name.
        required: Tokens without which the parser takes nothing.
    """

    prefix: str
    parser: argparse.ArgumentParser
    owned: Mapping[str, str]
    required: tuple[str, ...]

    def tokens(self, raw: Mapping[str, Any]) -> list[str]:
        """All options as command-line tokens, in the order of ``raw``."""
        actions = {
            _key(spelling): (spelling, action)
            for action in self.parser._actions
            for spelling in action.option_strings
            if spelling.startswith("--")
        }
        collected: list[str] = []
        for name, value in raw.items():
            spelling, action = self._find(name, actions)
            tokens = self._render(spelling, action, value)
            self._try(spelling, tokens)
            collected += tokens
        return collected

    def _find(
        self, name: str, actions: Mapping[str, tuple[str, argparse.Action]]
    ) -> tuple[str, argparse.Action]:
        key = _key(name)
        if key in self.owned:
            raise ConfigError(f"{self._flag(key)} is set by the run itself: {self.owned[key]}")
        if key not in actions:
            raise ConfigError(
                f"{self._flag(key)} is no option of {self._release()}{self._nearest(key, actions)}"
            )
        return actions[key]

    def _render(self, spelling: str, action: argparse.Action, value: Any) -> list[str]:
        if isinstance(action, argparse.BooleanOptionalAction):
            on = self._truth(spelling, value)
            return [spelling if on else "--no-" + spelling[2:].removeprefix("no-")]
        if action.nargs == 0:
            return [spelling] if self._truth(spelling, value) else []
        if isinstance(value, bool):
            raise ConfigError(f"{self._flag(spelling)} needs a value, found {value}")
        if action.nargs is None or isinstance(value, str | int | float):
            return [f"{spelling}={_text(value)}"]
        return [spelling, *map(_text, value)]

    def _truth(self, spelling: str, value: Any) -> bool:
        if value not in (*_TRUE, *_FALSE):
            raise ConfigError(f"{self._flag(spelling)} is true or false, found {value!r}")
        return value in _TRUE

    def _try(self, spelling: str, tokens: list[str]) -> None:
        try:
            _, unknown = self.parser.parse_known_args([*self.required, *tokens])
        except (_RefusedError, ValueError, TypeError) as error:
            reason = str(error).removeprefix(f"argument {spelling}: ")
            raise ConfigError(f"{self._flag(spelling)}: {reason} ({self._release()})") from None
        if unknown:
            raise ConfigError(f"{self._flag(spelling)}: cannot read {' '.join(unknown)}")

    def _nearest(self, key: str, known: Iterable[str]) -> str:
        close = difflib.get_close_matches(key, known, n=1)
        return f"; did you mean {self._flag(close[0])}?" if close else ""

    def _flag(self, name: str) -> str:
        return f"--{self.prefix}-{_key(name).replace('_', '-')}"

    def _release(self) -> str:
        name = {"sglang": "sglang", "router": "sglang-router"}[self.prefix]
        return f"{name} {importlib.metadata.version(name)}"


def _key(name: str) -> str:
    return name.lstrip("-").replace("-", "_")


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
