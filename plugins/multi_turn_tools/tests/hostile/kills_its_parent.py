"""Kills whoever watches it, and everybody else whom it can, and lives on."""

import os
import signal
import time

for pid in (os.getppid(), 1):
    for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except OSError as error:
            print(type(error).__name__, flush=True)
time.sleep(3600)
