"""Reads what is none of its business."""

from pathlib import Path

PATHS = ("/etc/shadow", "/etc/passwd", "/proc/1/environ", SECRET)  # noqa: F821
for path in PATHS:
    try:
        print("read", path, len(Path(path).read_bytes()))
    except OSError as error:
        print("failed", path, type(error).__name__)
