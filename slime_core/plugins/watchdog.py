"""A plugin that hangs while it is imported ends the process with a message, not never."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from slime_core.plugins.installed import Plugin

VARIABLE: Final = "SLIME_IMPORT_TIMEOUT_S"
"""Environment variable with the seconds that importing one plugin may take; 0 is for ever."""

DEFAULT_S: Final = 120.0
STATUS: Final = 2


def limit_s() -> float:
    """Seconds that importing one plugin may take.

    Raises:
        ConfigError: the environment variable is no number.
    """
    text = os.environ.get(VARIABLE, "")
    try:
        seconds = float(text) if text else DEFAULT_S
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= threading.TIMEOUT_MAX:
        from slime_hookspecs import ConfigError

        raise ConfigError(f"{VARIABLE}={text}: expected seconds, at least 0; 0 waits for ever")
    return seconds


@contextmanager
def import_limit(plugin: Plugin, seconds: float) -> Iterator[None]:
    """End the process with status 2 if the body takes longer; costs a thread, no process.

    An import cannot be interrupted safely from outside, so nothing less than ending the process is
    honest. A hang in C code that keeps the interpreter's lock is not seen here; ``slime plugins
    doctor``, which imports in a process of its own, sees that too.
    """
    if not seconds:
        yield
        return
    timer = threading.Timer(seconds, _give_up, (plugin, seconds))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def message(plugin: Plugin, seconds: float) -> str:
    """What is said in the end."""
    return (
        f"slime: error: plugin {plugin.display} does not finish importing: {seconds:g} s have "
        f"passed\n"
        f"  entry point {plugin.name} = {plugin.value} (module {plugin.module})\n"
        f"  to look into it: slime plugins doctor {plugin.spelling}; "
        f"to allow more: {VARIABLE}=SECONDS\n"
        f"  it is here, the innermost call first:\n"
    )


def _give_up(plugin: Plugin, seconds: float) -> None:
    # Straight to the file descriptor: the hung import may hold the stream's lock.
    os.write(2, message(plugin, seconds).encode())
    faulthandler.dump_traceback(file=2, all_threads=True)
    sys.stdout.flush()
    os._exit(STATUS)
