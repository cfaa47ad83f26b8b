"""Whatever a plugin does at import, a probe reports it and the host lives on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from slime_core.plugins import find
from slime_core.plugins.finding import pick
from slime_core.plugins.probe import Probe, probe, probe_all

FAT = """
import torch
from dataclasses import dataclass
@dataclass(frozen=True)
class Options:
    size: int = 1
@hookimpl
def slime_reward(sample): return 1.0
@hookimpl
def slime_options(): return Options
"""


@pytest.mark.parametrize(
    ("source", "outcome", "error"),
    [
        ("raise RuntimeError('no luck')", "raised", "RuntimeError: no luck"),
        ("import sys; sys.exit(3)", "raised", "it called sys.exit(3)"),
        ("raise KeyboardInterrupt", "raised", "KeyboardInterrupt"),
        ("import os; os._exit(0)", "exited", "ended the process with status 0"),
        ("import os; os.kill(os.getpid(), 11)", "killed", "SIGSEGV at import"),
        ("import ctypes; ctypes.string_at(0)", "killed", "SIGSEGV at import"),
        ("import time; time.sleep(60)", "timeout", "still importing after 3 s"),
        ("x = 1", "refused", "it implements no hook"),
    ],
)
def test_a_plugin_that_breaks_at_import_is_reported(
    site: Any, source: str, outcome: str, error: str
) -> None:
    site.plugin("wild", source)
    found = probe(pick("wild", find()), timeout_s=3)
    assert found.outcome == outcome
    assert error in found.error
    assert not found.well


def test_heavy_modules_are_reported_with_hooks_and_options(site: Any) -> None:
    site.write("torch.py", "class cuda:\n    is_initialized = staticmethod(lambda: False)\n")
    site.plugin("fat", FAT)
    found = probe(pick("fat", find()))
    assert found == Probe(
        "ok",
        "",
        found.import_s,
        ("torch",),
        False,
        ("slime_options", "slime_reward"),
        {
            "title": "Options",
            "type": "object",
            "properties": {"size": {"type": "integer", "default": 1}},
            "required": [],
            "additionalProperties": False,
        },
    )
    assert 0 < (found.import_s or 0) < 30


def test_a_plugin_that_initialises_cuda_is_reported(site: Any) -> None:
    site.write("torch.py", "class cuda:\n    is_initialized = staticmethod(lambda: True)\n")
    site.plugin("fat", FAT)
    found = probe(pick("fat", find()))
    assert (found.outcome, found.cuda, found.heavy) == ("raised", True, ("torch",))
    assert found.error.split("\n")[0] == (
        "plugin fat (slime-plugin-fat 1.0) initialises CUDA when it is imported, in every process"
    )


def test_a_process_that_a_hanging_plugin_started_is_ended_with_it(site: Any) -> None:
    site.plugin(
        "wild",
        """
        import pathlib, subprocess, time
        child = subprocess.Popen(["sleep", "300"])
        pathlib.Path(__file__).with_name("child").write_text(str(child.pid))
        time.sleep(60)
        """,
    )
    assert probe(pick("wild", find()), timeout_s=3).outcome == "timeout"
    assert _has_ended(int((site.folder / "child").read_text()))


def test_a_thread_that_a_plugin_leaves_behind_holds_up_nothing(site: Any) -> None:
    site.plugin(
        "busy",
        """
        import threading, time
        threading.Thread(target=time.sleep, args=(60,)).start()
        @hookimpl
        def slime_reward(sample): return 1.0
        """,
    )
    assert probe(pick("busy", find()), timeout_s=20).well


def test_what_a_plugin_writes_is_kept_apart_and_its_last_line_is_quoted(
    site: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    site.plugin(
        "loud",
        """
        import os, sys
        print("x" * 1_000_000)
        print("y" * 1_000_000, file=sys.stderr)
        print("out of memory", file=sys.stderr, flush=True)
        assert sys.stdin.read() == ""
        os._exit(9)
        """,
    )
    assert probe(pick("loud", find())) == Probe(
        "exited",
        "it ended the process with status 9 at import; it said last: out of memory",
    )
    assert capfd.readouterr() == ("", "")


def test_only_the_probe_keeps_the_time(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIME_IMPORT_TIMEOUT_S", "0.2")
    site.plugin("slow", "import time\ntime.sleep(0.6)\n" + FAT.replace("import torch", ""))
    assert probe(pick("slow", find())).well


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("@hookimpl\ndef slime_options(): return 3", "must return a dataclass, the class itself"),
        ("@hookimpl\ndef slime_options(): raise OSError('no disk')", "it raised OSError: no disk"),
        ("@hookimpl\ndef slime_rewards(): ...", "there is no hook 'slime_rewards'"),
    ],
)
def test_a_plugin_that_imports_and_breaks_the_contract_is_refused(
    site: Any, source: str, error: str
) -> None:
    site.plugin("wrong", source)
    found = probe(pick("wrong", find()))
    assert (found.outcome, found.well, found.options) == ("refused", False, None)
    assert error in found.error
    assert found.import_s is not None


def test_a_plugin_that_is_gone_when_it_is_looked_at_is_reported(site: Any) -> None:
    info = site.plugin("brief", FAT)
    plugin = pick("brief", find())
    (info / "entry_points.txt").unlink()
    assert probe(plugin) == Probe("raised", "slime-plugin-brief has no plugin 'brief'")


def _has_ended(pid: int) -> bool:
    """Whether a process is gone, or is a zombie that nobody has waited for yet."""
    for _ in range(50):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_many_probes_come_in_the_order_of_the_plugins(site: Any) -> None:
    for name in ("b", "a", "c"):
        site.plugin(name, f"raise RuntimeError('it is {name}')")
    plugins = [pick(name, find()) for name in ("c", "a", "b")]
    assert [
        f"it is {name}" in one.error for name, one in zip("cab", probe_all(plugins), strict=True)
    ] == [
        True,
        True,
        True,
    ]
