"""Whatever a plugin does at import, a probe reports it and the host lives on."""

from __future__ import annotations

from typing import Any

import pytest

from slime_core.plugins import find
from slime_core.plugins.finding import pick
from slime_core.plugins.probe import Probe, probe, probe_all


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


def test_heavy_modules_and_cuda_are_reported_with_hooks_and_options(site: Any) -> None:
    site.write("torch.py", "class cuda:\n    is_initialized = staticmethod(lambda: True)\n")
    site.plugin("fat", "import torch\n@hookimpl\ndef slime_reward(sample): return 1.0")
    found = probe(pick("fat", find()))
    assert found == Probe("ok", "", found.import_s, ("torch",), True, ("slime_reward",), None)
    assert 0 < (found.import_s or 0) < 30


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
