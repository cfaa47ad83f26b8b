"""Asks once, and prints what it was given: words, environment, files, task."""

import json
import os
import sys
from pathlib import Path

from asking import TASK, ask

ask(TASK["messages"])
files = {str(p): p.read_text() for p in sorted(Path().rglob("*")) if p.is_file()}
print(
    json.dumps(
        {
            "argv": sys.argv[1:],
            "env": dict(os.environ),
            "files": files,
            "task": TASK,
            "cwd": str(Path.cwd()),
            "stdin": sys.stdin.read(),
        }
    )
)
