"""What a problem holds as JSON values, and back, exactly.

The package's scorers tell a tuple from a list, and some of its problems have keys that are numbers.
What JSON does not know is an object with one key, its tag.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

_DECODERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "!tuple": lambda value: tuple(map(decode, value)),
    "!set": lambda value: set(map(decode, value)),
    "!frozenset": lambda value: frozenset(map(decode, value)),
    "!dict": lambda value: {decode(key): decode(inner) for key, inner in value},
    "!complex": lambda value: complex(*value),
    "!fraction": Fraction,
    "!decimal": Decimal,
    "!date": datetime.date.fromisoformat,
    "!datetime": datetime.datetime.fromisoformat,
}

#: In order: a datetime is a date.
_TEXTS: Final[tuple[tuple[type, str, Callable[[Any], Any]], ...]] = (
    (datetime.datetime, "!datetime", datetime.datetime.isoformat),
    (datetime.date, "!date", datetime.date.isoformat),
    (Fraction, "!fraction", str),
    (Decimal, "!decimal", str),
    (complex, "!complex", lambda value: [value.real, value.imag]),
)

#: Enumerations and NumPy's texts are subclasses of them.
_PLAIN: Final[tuple[type[Any], ...]] = (str, int, float)


def encode(value: Any) -> Any:
    """A value as JSON values. What has no form is its text.

    >>> encode({"at": (1, 2)})
    {'at': {'!tuple': [1, 2]}}
    >>> decode(encode({1: {2, 3}})) == {1: {2, 3}}
    True
    """
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, Mapping):
        return _mapping(value)
    if isinstance(value, list):
        return [encode(inner) for inner in value]
    if isinstance(value, tuple):
        return {"!tuple": [encode(inner) for inner in value]}
    if isinstance(value, set | frozenset):
        tag = "!set" if isinstance(value, set) else "!frozenset"
        return {tag: sorted((encode(inner) for inner in value), key=repr)}
    return _other(value)


def decode(value: Any) -> Any:
    """The inverse of ``encode``."""
    if isinstance(value, list):
        return [decode(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((tag, inner),) = value.items()
        if tag in _DECODERS:
            return _DECODERS[tag](inner)
    return {key: decode(inner) for key, inner in value.items()}


def _mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    plain = all(type(key) is str for key in value)
    if plain and not (len(value) == 1 and next(iter(value)) in _DECODERS):
        return {key: encode(inner) for key, inner in value.items()}
    return {"!dict": [[encode(key), encode(inner)] for key, inner in value.items()]}


def _other(value: Any) -> Any:
    for kind, tag, write in _TEXTS:
        if isinstance(value, kind):
            return {tag: write(value)}
    for plain in _PLAIN:
        if isinstance(value, plain):
            return plain(value)
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers.
        return encode(value.tolist())
    return str(value)
