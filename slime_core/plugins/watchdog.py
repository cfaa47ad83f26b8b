"""A plugin that hangs or crashes while it is imported is named, whatever becomes of the process."""

from __future__ import annotations

import faulthandler
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from slime_core.plugins.faults import by_origin
from slime_core.plugins.installed import Plugin

VARIABLE: Final = "SLIME_IMPORT_TIMEOUT_S"
"""Environment variable with the seconds that importing one plugin may take; 0 is no watch."""

DEFAULT_S: Final = 120.0
STATUS: Final = 2

#: Speaks when its input ends before a line came: nobody who crashed can speak for himself.
_WITNESS: Final = 'read -r line || printf "%s" "$1" >&2'


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

        raise ConfigError(f"{VARIABLE}={text}: expected seconds, at least 0; 0 is no watch")
    return seconds


@contextmanager
def import_limit(plugin: Plugin, seconds: float) -> Iterator[None]:
    """End the process with status 2 if the body takes longer; say so if it ends the process.

    An import cannot be interrupted safely from outside, so nothing less than ending the process is
    honest. A hang in C code that keeps the interpreter's lock is not seen here; ``slime plugins
    doctor``, which imports in a process of its own, sees that too. Costs a thread and a shell.
    """
    if not seconds:
        yield
        return
    witness = subprocess.Popen(
        ["/bin/sh", "-c", _WITNESS, "sh", crash_message(plugin)],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is not for it
    )
    timer = threading.Timer(seconds, _give_up, (plugin, seconds, witness))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with suppress(BrokenPipeError):
            witness.communicate(b"over\n")


def crash_message(plugin: Plugin) -> str:
    """What is said where the process did not survive."""
    cure = by_origin(plugin, f"to mend it: pip install --force-reinstall {plugin.distribution}")
    return (
        f"slime: error: plugin {plugin.display} ended the process while it was imported\n"
        f"  entry point {plugin.name} = {plugin.value} (module {plugin.module})\n"
        f"  to look into it: slime plugins doctor {plugin.spelling}; {cure}\n"
    )


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


def _give_up(plugin: Plugin, seconds: float, witness: subprocess.Popen[bytes]) -> None:
    witness.kill()
    # Straight to the file descriptor: the hung import may hold the stream's lock.
    os.write(2, message(plugin, seconds).encode())
    faulthandler.dump_traceback(file=2, all_threads=True)
    sys.stdout.flush()
    os._exit(STATUS)
