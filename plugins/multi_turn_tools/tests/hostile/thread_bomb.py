"""Starts threads until it may no more."""

import threading
import time

try:
    while True:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
except RuntimeError as error:
    print(threading.active_count(), error)
