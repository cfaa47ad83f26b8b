"""Asks once, and writes its reward file as it is told: any text, or what is no file."""

import os
import sys
from pathlib import Path

from asking import TASK, ask

ask(TASK["messages"])
path, kind, text = Path(os.environ["SLIME_REWARD_FILE"]), *sys.argv[1:3]
if kind == "text":
    path.write_text(text)
elif kind == "folder":
    path.mkdir()
elif kind == "pipe":
    os.mkfifo(path)
elif kind == "big":
    path.write_bytes(b" " * (2 << 20))
elif kind == "binary":
    path.write_bytes(b"\xff\xfe\x00")
