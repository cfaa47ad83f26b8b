"""A plugin that hangs or crashes while it is imported is named, whatever becomes of the process."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from slime_hookspecs import ConfigError

from slime_core.plugins.watchdog import DEFAULT_S, limit_s

LOAD = "from slime_core.plugins import load; load(['wild'])"


def run(
    site: Any, source: str, program: str = LOAD, limit: str = "30"
) -> subprocess.CompletedProcess[str]:
    """What a process does that imports a plugin of this source."""
    site.plugin("wild", source)
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(site.folder), "SLIME_IMPORT_TIMEOUT_S": limit},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_a_hanging_import_exits_with_2_and_names_the_plugin_and_the_line(site: Any) -> None:
    done = run(site, "import time\ntime.sleep(60)", limit="0.5")
    assert done.returncode == 2
    assert done.stderr.split("\n")[:4] == [
        "slime: error: plugin wild (slime-plugin-wild 1.0) does not finish importing: "
        "0.5 s have passed",
        "  entry point wild = slime_plugin_wild (module slime_plugin_wild)",
        "  to look into it: slime plugins doctor slime-plugin-wild:wild; "
        "to allow more: SLIME_IMPORT_TIMEOUT_S=SECONDS",
        "  it is here, the innermost call first:",
    ]
    assert f'File "{site.folder}/slime_plugin_wild.py", line 3' in done.stderr
    assert "ended the process" not in done.stderr


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("import os; os.kill(os.getpid(), 11)", -11),
        ("import ctypes; ctypes.string_at(0)", -11),
        ("import os; os.abort()", -6),
        ("import os; os._exit(7)", 7),
    ],
)
def test_an_import_that_takes_the_process_down_is_named(
    site: Any, source: str, status: int
) -> None:
    done = run(site, source)
    assert done.returncode == status
    assert done.stderr.strip().split("\n") == [
        "slime: error: plugin wild (slime-plugin-wild 1.0) ended the process while it was imported",
        "  entry point wild = slime_plugin_wild (module slime_plugin_wild)",
        "  to look into it: slime plugins doctor slime-plugin-wild:wild; "
        "to mend it: pip install --force-reinstall slime-plugin-wild",
    ]


def test_an_import_that_ends_in_time_is_never_heard_of_again(site: Any) -> None:
    done = run(site, "x = 1", f"{LOAD}; import time; time.sleep(1.5); print('on')", limit="0.7")
    assert (done.returncode, done.stdout, done.stderr) == (0, "on\n", "")


def test_an_import_that_raises_is_told_by_its_error_alone(site: Any) -> None:
    program = f"""
try:
    {LOAD}
except Exception as error:
    print(type(error).__name__)
"""
    done = run(site, "raise OSError", program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "PluginError\n", "")


def test_zero_is_no_watch_at_all(site: Any) -> None:
    done = run(site, "import time, os; time.sleep(0.3); os._exit(7)", limit="0")
    assert (done.returncode, done.stderr) == (7, "")


@pytest.mark.parametrize(
    ("text", "seconds"), [("", DEFAULT_S), ("0", 0.0), ("2.5", 2.5), ("1e3", 1000.0)]
)
def test_the_limit_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, text: str, seconds: float
) -> None:
    monkeypatch.setenv("SLIME_IMPORT_TIMEOUT_S", text)
    assert limit_s() == seconds


@pytest.mark.parametrize("text", ["soon", "-1", "inf", "nan", "1e12"])
def test_a_limit_that_is_no_number_of_seconds_is_refused(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("SLIME_IMPORT_TIMEOUT_S", text)
    with pytest.raises(ConfigError, match=f"^SLIME_IMPORT_TIMEOUT_S={text}: expected seconds"):
        limit_s()
