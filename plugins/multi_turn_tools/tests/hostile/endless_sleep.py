"""Does nothing, for long."""

import time

print("good night", flush=True)
time.sleep(3600)
