"""Rewards for the worker processes: some hang, some die, some raise."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from typing import Any

from rollout_fakes import bound_of, hook
from slime_hookspecs import Group, Reward, Sample

from slime_core.plugins import Bound
from slime_core.rollout.live_checks import LiveChecks


def reward(sample: Sample, ctx: Any) -> Any:
    what = sample.prompt.label
    if what == "hang":
        subprocess.Popen(["sleep", "60"])
        time.sleep(60)
    if what == "die":
        os._exit(7)
    if what == "segfault":
        ctypes.string_at(0)
    if what == "exit":
        sys.exit(3)
    if what == "memory":
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does where memory runs out
    if what == "stuck":
        while True:  # no signal handler, no await, nothing that could be asked to stop
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
    if what == "change":
        sample.metadata["seen"] = True
    if what == "raise":
        raise LookupError("no such answer")
    if what == "text":
        return "good"
    if what == "pid":
        return os.getpid()
    if what == "seed":
        return Reward(float(ctx.seed), {"step": float(ctx.step)})
    if isinstance(what, float):
        time.sleep(what)
    return 1


def group_reward(group: Group, ctx: Any) -> list[float]:
    return [float(len(group.samples))] * len(group.samples)


def load() -> Bound:
    return bound_of(hook("slime_reward", reward), hook("slime_group_reward", group_reward))


def load_checked() -> Bound:
    return LiveChecks(2).watch_pooled(load())


def load_nothing() -> Bound:
    raise ImportError("no module named sympy")
