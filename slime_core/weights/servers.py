"""The servers that weights are sent to: what each one is, and how it is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar, final

from slime_hookspecs.errors import EngineError, WeightSyncError

from slime_core.engine import control
from slime_core.engine.control import Call

T = TypeVar("T")
TIMEOUT_S: Final = 300.0
INFO_TIMEOUT_S: Final = 30.0


@final
@dataclass(frozen=True, slots=True)
class Server:
    """One SGLang server.

    Attributes:
        url: Without a trailing slash.
        tp: Tensor-parallel size.
        dtype: Type that it holds weights in, as ``bfloat16``, or ``auto``.
        model_path: Folder that it was started with, on its machine.
        plain: Only tensor parallelism cuts its weights: no pipeline, no expert parallelism.
        timeout_s: Seconds that it may take for one request.
    """

    url: str
    tp: int
    dtype: str
    model_path: str
    plain: bool = True
    timeout_s: float = TIMEOUT_S


def ask(url: str, path: str, body: dict[str, Any] | None, timeout_s: float = TIMEOUT_S) -> Any:
    """One request to one server.

    Raises:
        WeightSyncError: It did not answer as it must; names server, path, status and text.
    """
    try:
        return control.send(url, Call(path, body), timeout_s)
    except EngineError as error:
        raise WeightSyncError(str(error)) from error


def describe(url: str, timeout_s: float = TIMEOUT_S) -> Server:
    """What a server says about itself.

    Args:
        url: Of the server.
        timeout_s: Seconds that it may take for each request from here on.
    """
    info = ask(url, "/server_info", None, INFO_TIMEOUT_S)
    plain = int(info.get("pp_size") or 1) == 1 and int(info.get("ep_size") or 1) == 1
    return Server(
        url, int(info["tp_size"]), str(info["dtype"]), str(info["model_path"]), plain, timeout_s
    )


def at_once(servers: Sequence[Server], function: Callable[[Server], T]) -> list[T]:
    """Call a function for all servers at once; answers in their order.

    Raises:
        WeightSyncError: The first failure, once all are done; the others are its notes.
    """
    with ThreadPoolExecutor(max(1, len(servers))) as pool:
        futures = [pool.submit(function, server) for server in servers]
        failures = [e for f in futures if (e := f.exception()) is not None]
    if failures:
        for other in failures[1:]:
            failures[0].add_note(f"also: {other}")
        raise failures[0]
    return [f.result() for f in futures]


def ask_all(servers: Sequence[Server], path: str, body: dict[str, Any] | None) -> list[Any]:
    """The same request to all servers at once. Raises as ``ask``."""
    return at_once(servers, lambda server: ask(server.url, path, body, server.timeout_s))
