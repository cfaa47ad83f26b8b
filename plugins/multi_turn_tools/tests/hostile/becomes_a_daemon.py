"""Leaves a process behind that has no parent, no terminal and no session in common with it."""

import os
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 256)
        time.sleep(3600)
    os._exit(0)
os.wait()
print("left it")
