"""What stock SGLang needs on a machine without an accelerator, put in place at run time.

Nothing here does anything where PyTorch sees an accelerator.
"""

from __future__ import annotations

import functools
import os

#: SGLang's own switch. A server on a CPU sets it, so that its child processes need not ask again.
CPU_ENGINE = "SGLANG_USE_CPU_ENGINE"


def install() -> None:
    """Make ``import sglang`` work in this process. Call it before the import, as often as you like.

    Does nothing where there is an accelerator, and a package that is really installed always wins.
    """
    if on_cpu():
        from slime_core.engine.cpu import standins

        standins.install()


def on_cpu() -> bool:
    """Whether this process has no accelerator to run SGLang on."""
    return os.environ.get(CPU_ENGINE) == "1" or not _accelerator()


@functools.cache
def _accelerator() -> bool:
    import torch

    return bool(torch.cuda.is_available() or torch.accelerator.is_available())
