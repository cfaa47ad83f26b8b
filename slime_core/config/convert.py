"""Checks one value against its setting: the type, the range, and that it is not empty."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slime_core.config.fail import config_error, did_you_mean
from slime_core.config.settings import COMMAND_LINE, Key, Setting, settings, spell

_TYPE_NAMES: dict[Any, str] = {
    int: "a whole number",
    int | None: "a whole number",
    float: "a number",
    bool: "true or false",
    list[str]: "a list of texts",
    Path | None: "a path",
    str | None: "a text",
}


def expected(setting: Setting) -> str:
    """What values the setting takes, for messages."""
    if setting.choices:
        return "one of " + ", ".join(setting.choices)
    return _TYPE_NAMES[setting.type]


def _shown(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _refuse(setting: Setting, source: str, value: Any, wanted: str, more: str = "") -> Exception:
    where = spell(setting.key, source)
    return config_error(f"{where}: expected {wanted}, found {_shown(value)}{more}")


def _path(_: type, value: Any) -> Any:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return Path(value)


def _typed(setting: Setting, value: Any, source: str) -> Any:
    import msgspec

    lax = source == COMMAND_LINE
    try:
        return msgspec.convert(value, setting.type, strict=not lax, dec_hook=_path)
    except msgspec.ValidationError:
        more = did_you_mean(str(value), setting.choices)
        raise _refuse(setting, source, value, expected(setting), more) from None


def _range(setting: Setting) -> str:
    limits = (
        ("at least", setting.at_least),
        ("above", setting.above),
        ("at most", setting.at_most),
    )
    return " and ".join(f"{word} {limit:g}" for word, limit in limits if limit is not None)


def _check_range(setting: Setting, value: Any, source: str) -> None:
    inside = (
        math.isfinite(value)
        and (setting.at_least is None or value >= setting.at_least)
        and (setting.above is None or value > setting.above)
        and (setting.at_most is None or value <= setting.at_most)
    )
    if not inside:
        wanted = f"{expected(setting)} {_range(setting)}".rstrip()
        raise _refuse(setting, source, value, wanted)


def convert(key: Key, value: Any, source: str) -> Any:
    """The value with its setting's type.

    Raises:
        ConfigError: It has another type, is out of range, or is empty.
    """
    setting = settings()[key]
    if value == "" or (setting.is_list and isinstance(value, list) and "" in value):
        raise config_error(f"{spell(key, source)}: is empty; give a value, or leave it out")
    typed = _typed(setting, value, source)
    if isinstance(typed, int | float) and not isinstance(typed, bool):
        _check_range(setting, typed, source)
    return typed


def check_raw(key: Key, value: Any, source: str) -> None:
    """Refuses pass-through values that JSON cannot hold, such as TOML's dates."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            check_raw((*key, str(name)), inner, source)
    elif isinstance(value, list | tuple):
        for inner in value:
            check_raw(key, inner, source)
    elif not isinstance(value, str | bool | int | float) or (
        isinstance(value, float) and not math.isfinite(value)
    ):
        wanted = "a text, number, true, false, list or table"
        raise config_error(f"{spell(key, source)}: expected {wanted}, found {value}")
