"""The other end of a probe: imports one plugin and writes down what that did."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from slime_hookspecs import PluginError

from slime_core.plugins import installed
from slime_core.plugins.loading import LoadedPlugin, has_cuda, import_plugin
from slime_core.plugins.options import options_type
from slime_core.plugins.probe import Probe
from slime_core.plugins.schemas import options_schema
from slime_core.plugins.verify import implementations

HEAVY: Final = (
    *("datasets", "jax", "megatron", "numpy", "pandas", "pyarrow", "ray", "scipy", "sglang"),
    *("sklearn", "sympy", "tensorflow", "torch", "transformers", "vllm"),
)
"""Modules that take long to import, or that a plugin should leave to whoever needs them."""


def main(distribution: str, name: str, report: str) -> None:
    """Import the plugin, write the report as JSON, and end without waiting for its threads."""
    found = observe(distribution, name)
    draft = Path(f"{report}.part")
    draft.write_text(json.dumps(asdict(found)), "utf-8")
    draft.rename(report)
    os._exit(0)


def observe(distribution: str, name: str) -> Probe:
    """What importing the plugin does to this process."""
    plugin = installed.entry(distribution, name)
    if plugin is None:
        return Probe("raised", f"{distribution} has no plugin {name!r}")
    before = set(sys.modules)
    start = time.perf_counter()
    loaded, error = _imported(plugin)
    seconds = round(time.perf_counter() - start, 4)
    fresh = {module.partition(".")[0] for module in set(sys.modules) - before}
    known: dict[str, Any] = {
        "import_s": seconds,
        "heavy": tuple(module for module in HEAVY if module in fresh),
        "cuda": has_cuda(),
    }
    if loaded is None:
        return Probe("raised", error, **known)
    return _verified(loaded, known)


def _imported(plugin: installed.Plugin) -> tuple[LoadedPlugin | None, str]:
    try:
        return import_plugin(plugin), ""
    except PluginError as error:
        return None, str(error)
    except BaseException as error:  # also KeyboardInterrupt: nothing may escape the report
        return None, f"it raised {type(error).__name__}: {error}"


def _verified(loaded: LoadedPlugin, known: dict[str, Any]) -> Probe:
    try:
        hooks = tuple(implementations(loaded))
        return Probe("ok", "", hooks=hooks, options=options_schema(options_type(loaded)), **known)
    except PluginError as error:
        return Probe("refused", str(error), **known)
    except Exception as error:
        return Probe("refused", f"{type(error).__name__}: {error}", **known)
