"""A plugin that never finishes importing ends the process, with its name."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any


def test_a_hanging_import_exits_with_2_and_names_the_plugin(site: Any) -> None:
    site.plugin("slow", "import time\ntime.sleep(60)")
    done = subprocess.run(
        [sys.executable, "-c", "from slime_core.plugins import load; load(['slow'])"],
        env={**os.environ, "PYTHONPATH": str(site.folder), "SLIME_IMPORT_TIMEOUT_S": "0.5"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "slime: error: plugin slow (slime-plugin-slow 1.0) does not finish importing: 0.5 s"
    )
    assert "slime_plugin_slow.py" in done.stderr
