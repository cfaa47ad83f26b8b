"""Implements no hook."""

from __future__ import annotations

from slime_hookspecs import hookimpl

X = 1


def unmarked() -> None:
    """Not a hook."""


_ = hookimpl
