"""Closes all that it was given, and lives on."""

import os
import time

os.closerange(0, 256)
time.sleep(3600)
