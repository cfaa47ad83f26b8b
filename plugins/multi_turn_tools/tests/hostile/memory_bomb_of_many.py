"""Takes memory in many processes, each of which stays below the limit of one."""

import os
import time

for _ in range(6):
    if os.fork() == 0:
        held = b"x" * (48 << 20)
        time.sleep(60)
time.sleep(60)
