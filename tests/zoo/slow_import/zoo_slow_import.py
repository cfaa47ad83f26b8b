"""Works for more than a second when it is imported."""

from __future__ import annotations

import time

from slime_hookspecs import hookimpl

time.sleep(1.1)


@hookimpl
def slime_on_run_end() -> None:
    """Do nothing."""
