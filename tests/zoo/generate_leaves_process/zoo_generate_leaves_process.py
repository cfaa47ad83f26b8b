"""Keeps the sandbox of a run's first sample, for whoever wants to look into it."""

from __future__ import annotations

import subprocess
import sys

from slime_hookspecs import Engine, Sample, StopReason, hookimpl

SANDBOX = "import sys; sys.stdin.read()"
sandboxes: list[subprocess.Popen[bytes]] = []


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model, with a sandbox for its code."""
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    sample.stop = await engine.generate(sample.trace)
    if sample.index == 0 and sample.stop is StopReason.STOP:
        command = [sys.executable, "-S", "-c", SANDBOX]
        sandboxes.append(subprocess.Popen(command, stdin=subprocess.PIPE))
    return sample
