"""Leaves folders that are deeper than a stack, and some that cannot be entered."""

import os
from pathlib import Path

for _ in range(1200):
    Path("deeper").mkdir()
    os.chdir("deeper")
Path("closed").mkdir()
Path("closed/within").mkdir()
Path("closed").chmod(0)
print("done")
