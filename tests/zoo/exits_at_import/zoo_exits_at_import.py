"""Calls sys.exit when it is imported."""

from __future__ import annotations

import sys

from slime_hookspecs import hookimpl


@hookimpl
def slime_on_run_end() -> None:
    """Do nothing."""


sys.exit(3)
