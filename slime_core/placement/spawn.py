"""Turns plain classes into Ray actors whose output goes to a file of the run."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import ray


def spawn(
    cls: type,
    *args: Any,
    log_file: Path,
    num_gpus: float = 0,
    strategy: Any = None,
    env: dict[str, str] | None = None,
    arguments: dict[str, Any] | None = None,
) -> Any:
    """Start ``cls(*args)`` as an actor and return its handle at once.

    Args:
        cls: A plain class; its methods become remote.
        args: Arguments of its constructor.
        log_file: Where its standard output and error go, on its node.
        num_gpus: Share of the GPU of its bundle.
        strategy: Scheduling strategy, or ``None`` for anywhere.
        env: Environment variables of its process.
        arguments: Keyword arguments of its constructor.
    """
    options: dict[str, Any] = {"num_cpus": 0, "num_gpus": num_gpus, "max_restarts": 0}
    if strategy is not None:
        options["scheduling_strategy"] = strategy
    if env:
        options["runtime_env"] = {"env_vars": env}
    actor = ray.remote(_logged(cls)).options(**options)
    return actor.remote(str(log_file), *args, **(arguments or {}))


def _logged(cls: type) -> type:
    """``cls`` with a constructor that first redirects the process's output."""

    class Logged(cls):
        def __init__(self, log_file: str, *args: Any, **kwargs: Any) -> None:
            redirect_output(Path(log_file))
            super().__init__(*args, **kwargs)

        def free_address(self) -> tuple[str, int]:
            """This node's address and a port that is free on it now."""
            host = ray.util.get_node_ip_address()
            with socket.socket() as probe:
                probe.bind((host, 0))
                return host, int(probe.getsockname()[1])

    Logged.__name__ = Logged.__qualname__ = cls.__name__
    return Logged


def redirect_output(path: Path) -> None:
    """Append this process's standard output and error to ``path``, children included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
