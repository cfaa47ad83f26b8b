"""Writes one file until it may no more."""

import errno
import signal
from pathlib import Path

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = 0
try:
    with Path("file").open("wb", buffering=0) as file:
        while True:
            size += file.write(b"x" * (1 << 16))
except OSError as error:
    print("stopped at", size >> 20, "MiB:", errno.errorcode[error.errno])
