"""``--use``, its short forms, and ``--reward-weight``: lists that layers merge by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from slime_core.config.fail import config_error, did_you_mean
from slime_core.config.layers import Layer
from slime_core.config.settings import Key, spell

SHORT_FORMS: Final = ("advantage", "loss")


def roles() -> tuple[str, ...]:
    """What ``--use`` can choose: the hooks that exactly one plugin serves."""
    from slime_hookspecs import HOOKS, Cardinality

    return tuple(h.role for h in HOOKS.values() if h.cardinality is Cardinality.EXACTLY_ONE)


def _pair(entry: str, form: str, where: str) -> tuple[str, str]:
    left, found, right = (part.strip() for part in entry.partition("="))
    if not (left and found and right):
        raise config_error(f'{where}: expected {form}, found "{entry}"')
    return left, right


def _uses(entries: list[str], where: str) -> Iterator[tuple[Key, str]]:
    for entry in entries:
        role, plugin = _pair(entry, "ROLE=PLUGIN", where)
        if role not in roles():
            hint = did_you_mean(role, roles())
            known = ", ".join(roles())
            raise config_error(f'{where}: no role is called "{role}"{hint} Roles: {known}')
        yield ("use", role), plugin


def _weights(entries: list[str], where: str) -> Iterator[tuple[Key, float]]:
    for entry in entries:
        plugin, number = _pair(entry, "PLUGIN=WEIGHT", where)
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not math.isfinite(weight):
            raise config_error(f'{where}: expected a number as weight, found "{entry}"')
        yield ("reward_weight", plugin), weight


def _choices(layer: Layer) -> Iterator[tuple[Key, Any, str]]:
    for name in ("use", "reward_weight"):
        where = spell((name,), layer.source)
        entries = layer.values.get((name,), [])
        pairs = _uses(entries, where) if name == "use" else _weights(entries, where)
        for key, value in pairs:
            yield key, value, where
    for role in SHORT_FORMS:
        if plugin := layer.values.get((role,)):
            yield ("use", role), plugin, spell((role,), layer.source)


def fold(layer: Layer) -> Layer:
    """The layer with one key a role and a reward, so that a stronger layer replaces only that one.

    Raises:
        ConfigError: An entry is malformed, names no role, or contradicts another of this layer.
    """
    lists = {("use",), ("reward_weight",), *((role,) for role in SHORT_FORMS)}
    values = {key: value for key, value in layer.values.items() if key not in lists}
    said: dict[Key, tuple[Any, str]] = {}
    for key, value, where in _choices(layer):
        before = said.setdefault(key, (value, where))
        if before[0] != value:
            raise config_error(
                f"{where}: {key[1]} is to be {value}, but {before[1]} says {before[0]}; keep one"
            )
    return Layer(layer.source, {**values, **{key: value for key, (value, _) in said.items()}})


def unfold(flat: Mapping[Key, Any]) -> dict[Key, Any]:
    """The opposite of ``fold``: one list for all roles, one for all reward weights."""
    folded = {k for k in flat if k[0] in ("use", "reward_weight") and len(k) > 1}
    plain = {k: v for k, v in flat.items() if k not in folded}
    for name in ("use", "reward_weight"):
        pairs = [f"{k[1]}={flat[k]}" for k in folded if k[0] == name]
        if pairs:
            plain[(name,)] = sorted(pairs)
    return plain
