"""Asks once, ignores SIGTERM, leaves children and daemons, and does not end."""

import os
import signal
import subprocess
import sys
import time

from asking import TASK, ask

signal.signal(signal.SIGTERM, signal.SIG_IGN)
for session in (False, True):
    subprocess.Popen(
        [sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=session
    )
if os.fork() == 0:
    # A daemon: in a session of its own, and without its parent.
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
if "quiet" not in sys.argv:
    ask(TASK["messages"])
print("it lingers", flush=True)
if "leave" not in sys.argv:
    time.sleep(600)
