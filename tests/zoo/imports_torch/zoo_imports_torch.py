"""Imports an engine at module level; a stand-in here, so that the zoo needs none."""

from __future__ import annotations

import sys
import types

from slime_hookspecs import hookimpl

sys.modules.setdefault("vllm", types.ModuleType("vllm"))


@hookimpl
def slime_on_run_end() -> None:
    """Do nothing."""
