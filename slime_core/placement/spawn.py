"""Runs plain classes as Ray actors, whose output goes to a file of the run.

A class is named rather than passed: only its own process imports it, and with it torch or
Megatron, while the driver stays light and goes on with the start of the other processes.
"""

from __future__ import annotations

import importlib
import inspect
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import ray


@final
@dataclass(frozen=True, slots=True)
class Actor:
    """A process with one object in it.

    Attributes:
        handle: Ray's.
        name: What messages call it.
        log_file: Where its standard output and error go.
    """

    handle: Any
    name: str
    log_file: Path

    def call(self, method: str, *args: Any) -> Any:
        """Call a method of the object; a reference to its result, at once.

        References among ``args`` arrive as the values that they stand for.
        """
        return self.handle.call.remote(method, *args)

    def free_address(self) -> Any:
        """A reference to the address of the actor's node and a port that is free on it."""
        return self.handle.free_address.remote()


def spawn(
    target: str,
    *args: Any,
    name: str,
    log_file: Path,
    coroutines: bool = False,
    threads: int = 1,
    num_gpus: float = 0,
    strategy: Any = None,
    env: Mapping[str, str] | None = None,
    **kwargs: Any,
) -> Actor:
    """Start a process with an object in it, without waiting for it.

    Args:
        target: ``package.module:Class``.
        args: Arguments of its constructor, as are ``kwargs``.
        name: What messages call it.
        log_file: Where its standard output and error go, on its node.
        coroutines: Whether methods are coroutines, to be run on one event loop.
        threads: Calls that may run at once where methods are no coroutines.
        num_gpus: Share of the GPU of its bundle.
        strategy: Scheduling strategy, or ``None`` for anywhere.
        env: Environment variables of its process.
    """
    options: dict[str, Any] = {"num_cpus": 0, "num_gpus": num_gpus, "max_restarts": 0}
    if not coroutines:
        options["max_concurrency"] = threads
    if strategy is not None:
        options["scheduling_strategy"] = strategy
    if env:
        options["runtime_env"] = {"env_vars": dict(env)}
    host = ray.remote(_AsyncHost if coroutines else _Host).options(**options)
    return Actor(host.remote(str(log_file), target, args, kwargs), name, log_file)


class _Host:
    """Holds the object in its process. The object is made at the first call, so that an error
    of its constructor reaches the caller as itself."""

    def __init__(
        self, log_file: str, target: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        redirect_output(Path(log_file))
        self._make = target, args, kwargs
        self._object: Any = None

    def call(self, method: str, *args: Any) -> Any:
        """Call a method of the object."""
        return getattr(self._get(), method)(*args)

    def free_address(self) -> tuple[str, int]:
        """This node's address and a port that is free on it now."""
        host = ray.util.get_node_ip_address()
        with socket.socket() as probe:
            probe.bind((host, 0))
            return host, int(probe.getsockname()[1])

    def _get(self) -> Any:
        if self._object is None:
            target, args, kwargs = self._make
            module, _, name = target.partition(":")
            self._object = getattr(importlib.import_module(module), name)(*args, **kwargs)
        return self._object


class _AsyncHost(_Host):
    """The same on an event loop."""

    async def call(self, method: str, *args: Any) -> Any:
        """Call a method of the object, and await it where it is a coroutine."""
        result = super().call(method, *args)
        return await result if inspect.isawaitable(result) else result


def redirect_output(path: Path) -> None:
    """Append this process's standard output and error to ``path``, children included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
