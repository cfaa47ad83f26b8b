"""Checks of option values that most plugins need."""

from __future__ import annotations

from typing import Any

from slime_hookspecs.errors import ConfigError


def check_ranges(plugin: str, options: Any, **ranges: tuple[float, float | None]) -> None:
    """Refuse numbers outside their range, NaN among them; for the options' ``__post_init__``.

    Args:
        plugin: Name of the entry point, for messages.
        options: The options. One that is ``None`` is not set, and right.
        ranges: Least and greatest value by option; no greatest one where it is ``None``.

    Raises:
        ConfigError: names the option, its value and its range.
    """
    for name, (least, most) in ranges.items():
        value = getattr(options, name)
        if value is None or (least <= value and (most is None or value <= most)):
            continue
        right = f"{least} or more" if most is None else f"{least} to {most}"
        raise ConfigError(f"{plugin}.{name} is {value}; it must be {right}")
