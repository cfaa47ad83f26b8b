"""Refuses to be imported twice, for it registers itself in the interpreter."""

from __future__ import annotations

import sys

from slime_hookspecs import hookimpl

if hasattr(sys, "zoo_registered"):
    raise RuntimeError("registered already")
sys.zoo_registered = True  # type: ignore[attr-defined]


@hookimpl
def slime_on_run_end() -> None:
    """Do nothing."""
