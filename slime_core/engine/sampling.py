"""How a request's sampling parameters come about: the run's, overridden by the call's."""

from __future__ import annotations

import hashlib
from typing import Any

from slime_hookspecs.engine import Sampling

#: Of ``Sampling``, what SGLang calls by the same name.
_SAME = ("temperature", "top_p", "top_k")
_LISTS = ("stop", "stop_token_ids")


def merged(defaults: Sampling, override: Sampling | None) -> dict[str, Any]:
    """SGLang's ``sampling_params`` without ``max_new_tokens`` and seed."""
    layers = (defaults,) if override is None else (defaults, override)
    values: dict[str, Any] = {}
    for layer in layers:
        for name in _SAME:
            if (value := getattr(layer, name)) is not None:
                values[name] = value
        for name in _LISTS:
            if (value := getattr(layer, name)) is not None:
                values[name] = list(value)
    for layer in layers:
        values.update(layer.extra)
    return values


def budget(defaults: Sampling, override: Sampling | None) -> int | None:
    """Most tokens that a call may add; ``None`` where only the context limits them."""
    if override is not None and override.max_new_tokens is not None:
        return override.max_new_tokens
    return defaults.max_new_tokens


def call_seed(seed: int, call: int) -> int:
    """Seed of a session's n-th call, 31 bits.

    A server that honours seeds draws the same tokens from the same seed and position, so that two
    calls on copies of one trace must differ.
    """
    digest = hashlib.blake2b(f"{seed}/{call}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") >> 1
