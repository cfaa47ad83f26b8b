"""Waits for actors and turns what they raise into errors that a person can read."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError
from slime_hookspecs.errors import RunError, SlimeError

_TAIL_LINES = 15
#: How often a wait looks up, so that Ctrl-C and SIGTERM are answered at once.
_POLL_S = 0.5


def result(
    ref: Any,
    what: str,
    log_file: Path | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> Any:
    """The value of one remote call; see ``results``."""
    return results([ref], what, log_file, meanwhile)[0]


def results(
    refs: Sequence[Any],
    what: str,
    log_file: Path | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> list[Any]:
    """Values of remote calls, in order. The first that fails ends the wait for all.

    Args:
        refs: Object references.
        what: Who was asked for what, for the message.
        log_file: Whose end to show when a process died.
        meanwhile: Called again and again while it waits; what it raises ends the wait.

    Raises:
        SlimeError: as the actor raised it, or ``RunError`` where its process died.
        Exception: anything else, with the actor's traceback as its cause.
    """
    waiting = list(refs)
    while waiting:
        done, waiting = ray.wait(waiting, num_returns=1, timeout=_POLL_S)
        for ref in done:
            _get(ref, what, log_file)
        if waiting:
            meanwhile()
    return [_get(ref, what, log_file) for ref in refs]


def poll(ref: Any) -> tuple[bool, Any]:
    """Whether a remote call is over, and its value or the exception that it raised."""
    done, _ = ray.wait([ref], num_returns=1, timeout=0)
    if not done:
        return False, None
    try:
        return True, ray.get(ref)
    except RayTaskError as error:
        return True, error.cause
    except RayActorError as error:
        return True, error


def wait_quietly(refs: Sequence[Any], timeout_s: float) -> None:
    """Wait for calls whose failure no longer matters, as when everything is being stopped."""
    end = time.monotonic() + timeout_s
    for ref in refs:
        try:
            ray.get(ref, timeout=max(0.1, end - time.monotonic()))
        except (RayTaskError, RayActorError, GetTimeoutError, SlimeError):
            continue


def _get(ref: Any, what: str, log_file: Path | None) -> Any:
    try:
        return ray.get(ref)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, SlimeError):
            raise cause from None
        raise
    except RayActorError as error:
        raise RunError(f"{what}: its process died.{_tail(log_file)}") from error


def _tail(log_file: Path | None) -> str:
    if log_file is None or not log_file.is_file():
        return ""
    lines = log_file.read_text("utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
    return f" The end of {log_file}:\n" + "\n".join(f"    {line}" for line in lines)
