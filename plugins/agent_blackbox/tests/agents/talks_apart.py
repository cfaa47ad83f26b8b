"""Holds several conversations, side by side, and is worth 1."""

import sys
from threading import Thread

from asking import ask, reward, user

threads = [Thread(target=ask, args=([user(f"topic {n}")],)) for n in range(int(sys.argv[1]))]
for one in threads:
    one.start()
for one in threads:
    one.join()
reward(1)
