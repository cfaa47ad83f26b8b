"""Writes files until there is no more room."""

import errno
from pathlib import Path

try:
    for number in range(10_000):
        Path(f"file{number}").write_bytes(b"x" * (1 << 20))
except OSError as error:
    print("stopped at", number, "MiB:", errno.errorcode[error.errno])
