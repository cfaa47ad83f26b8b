"""Writes where it must not, and where it may."""

import os
from pathlib import Path

for folder in ("/", "/usr", "/etc", "/var/tmp", "/root", THEIRS, OTHERS, os.environ["HOME"]):  # noqa: F821
    path = Path(folder, MARK)  # noqa: F821
    try:
        path.write_text("x")
    except OSError as error:
        print("failed", folder, type(error).__name__)
    else:
        print("wrote", folder)
