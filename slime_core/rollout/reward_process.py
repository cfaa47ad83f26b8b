"""A reward worker: a process of its own that scores samples one after another and may be killed."""

from __future__ import annotations

import os
import pickle
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from slime_hookspecs.places import place_of

from slime_core.plugins import Bound, BoundHook, Plan, bind_plan
from slime_core.rollout import frames
from slime_core.rollout.live_checks import LiveChecks
from slime_core.rollout.values import as_reward, as_rewards

Loader: TypeAlias = Callable[[], Bound]
#: What a worker answers to a job: the value, or type and text of an exception.
Answer: TypeAlias = tuple[bool, Any]


def bind_json(plan_json: str, secrets: Mapping[str, Mapping[str, Any]], checks: int) -> Bound:
    """The plugins of a frozen plan, with the first calls of their rewards checked."""
    return LiveChecks(checks).watch_pooled(bind_plan(Plan.from_json(plan_json), secrets))


def main() -> None:
    """Serve the socket that the parent left as a file descriptor."""
    _die_with(os.getppid())
    sock = socket.socket(fileno=int(sys.argv[1]))
    sys.path[:] = frames.receive(sock)
    try:
        functions = _functions(frames.receive(sock)())
    except Exception as error:
        sock.sendall(frames.pack(f"{type(error).__name__}: {error}"))
        return
    sock.sendall(frames.pack(None))
    try:
        while True:
            for job in frames.receive(sock):
                sock.sendall(frames.pack(run(functions, job)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def run(functions: dict[tuple[str, str], BoundHook], job: bytes) -> Answer:
    """Score one pickled job ``(hook, plugin, subject, context)``."""
    one: BoundHook | None = None
    try:
        hook, plugin, subject, context = pickle.loads(job)
        one = functions[hook, plugin]
        value = one.call(subject, context)
        if hook == "slime_reward":
            return True, as_reward(value)
        return True, as_rewards(value, len(subject.samples))
    except BaseException as error:
        place = place_of(error, one.function) if one else ""
        return False, (type(error).__name__, f"{error} (at {place})" if place else str(error))


def _functions(bound: Bound) -> dict[tuple[str, str], BoundHook]:
    hooks = (*bound.all("slime_reward"), *bound.all("slime_group_reward"))
    return {(hook.hook, hook.plugin): hook for hook in hooks}


def _die_with(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main()
