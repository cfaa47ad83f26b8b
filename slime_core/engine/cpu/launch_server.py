"""Starts a stock SGLang server on any machine: ``python -m slime_core.engine.cpu.launch_server``.

Takes SGLang's own options. Without an accelerator it adds the stand-ins and the options that a CPU
needs; with one it is ``python -m sglang.launch_server``.
"""

from __future__ import annotations

import runpy
import sys

from slime_core.engine import cpu

# SGLang's child processes import this module anew before they import sglang: not under `main`.
cpu.install()


def main() -> None:
    """Complete the command line and run SGLang's own entry point."""
    if cpu.on_cpu():
        from slime_core.engine.cpu import defaults

        defaults.refuse(sys.argv[1:])
        defaults.set_environment(sys.argv[1:])
        sys.argv[1:] = defaults.complete(sys.argv[1:])
    # Not alter_sys: the child processes must import this module as their main one.
    runpy.run_module("sglang.launch_server", run_name="__main__")


if __name__ == "__main__":
    main()
