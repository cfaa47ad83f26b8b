"""Asks once, complains, and ends with a status; a negative one is a signal to itself."""

import os
import sys

from asking import TASK, ask

ask(TASK["messages"])
print("this is its output")
print("this is its complaint", file=sys.stderr)
sys.stdout.flush()
status = int(sys.argv[1])
if status < 0:
    os.kill(os.getpid(), -status)
sys.exit(status)
