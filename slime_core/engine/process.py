"""Starts and stops the real servers: stock SGLang and the stock router."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import quote

from slime_hookspecs.errors import EngineError

from slime_core.engine import control
from slime_core.engine.child import Child
from slime_core.engine.control import Call
from slime_core.engine.health import Failure, Vigil
from slime_core.engine.ports import Lease, lease

SERVER: Final = (sys.executable, "-m", "slime_core.engine.cpu.launch_server")
ROUTER: Final = (sys.executable, "-m", "sglang_router.launch_router")
HOST: Final = "127.0.0.1"
#: Seconds that the router may take to answer what is asked about its servers.
ROUTER_TIMEOUT_S: Final = 5.0

#: Added to the router's options where the user set none of that name.
ROUTER_OPTIONS: Final = {
    # The only policy that keeps all turns of a sample on one server, by the routing key.
    "--policy": "manual",
    "--assignment-mode": "min_load",
    "--log-level": "warn",
    "--worker-startup-check-interval": "1",
}
ROUTER_FLAGS: Final = (
    "--disable-circuit-breaker",  # it would refuse a server that is only paused for new weights
    "--disable-retries",  # the client does it, under a new request id
)


@final
class ServerProcess:
    """One SGLang server on this machine.

    Args:
        model: Folder of the HF model.
        log_path: Where its output goes.
        port: Port on the loopback interface; a free one by default.
        tp: Tensor-parallel size.
        tokens: Further command-line options, from ``options.check_sglang``.
        gpus: The GPUs that it may see; ``None`` leaves the environment as it is.
        env: Further environment variables.

    Raises:
        EngineError: the port is in use.
    """

    def __init__(
        self,
        model: Path,
        *,
        log_path: Path,
        port: int | None = None,
        tp: int = 1,
        tokens: Sequence[str] = (),
        gpus: Sequence[int] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._leases = (lease(port), lease())
        port, nccl_port = (each.port for each in self._leases)
        self.url = f"http://{HOST}:{port}"
        fixed = ("--host", HOST, "--port", port, "--nccl-port", nccl_port)
        fixed += ("--tp-size", tp, "--weight-version", 0)  # type: ignore[assignment]
        command = [*SERVER, "--model-path", str(model), *map(str, fixed), *tokens]
        child_env = {**os.environ, **(env or {})}
        if gpus is not None:
            child_env["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, gpus))
        self._child = Child(f"SGLang server on port {port}", command, log_path, child_env)

    @property
    def pid(self) -> int | None:
        """Process id of the root of the server's tree; ``None`` before the start."""
        return self._child.pid

    def start(self) -> None:
        """Start it and return at once."""
        self._child.start()

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until it answers.

        Raises:
            EngineError: it ended or was too slow; with the end of its log.
        """
        self._child.wait_until(lambda: control.is_healthy(self.url), timeout_s)

    def alive(self) -> bool:
        """Whether it runs."""
        return self._child.alive()

    def kill(self) -> None:
        """End it, and everything that it started, to be started again: its ports stay its own."""
        self._child.stop()

    def stop(self) -> None:
        """Stop it, and everything that it started. Does nothing the second time."""
        _stop(self._child, self._leases)

    def ended(self) -> str:
        """How its process ended; empty while it runs."""
        return self._child.ended()

    def restart(self, model: Path) -> None:
        """Start anew on the same ports, and return at once.

        Args:
            model: Folder of the HF model to begin with.
        """
        self._child.stop()
        self._child.command[len(SERVER) + 1] = str(model)
        self._child.start()

    def log_tail(self) -> str:
        """The last lines of its log."""
        return self._child.log_tail()


@final
class RouterProcess:
    """The router in front of the servers; arguments as in ``ServerProcess``.

    It keeps all requests with the same ``X-SMG-Routing-Key`` on one server.
    """

    def __init__(
        self,
        *,
        log_path: Path,
        port: int | None = None,
        tokens: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._leases = (lease(port), lease())
        port, metrics_port = (each.port for each in self._leases)
        self.url = f"http://{HOST}:{port}"
        fixed = ["--host", HOST, "--port", str(port)]
        metrics = {"--prometheus-host": HOST, "--prometheus-port": str(metrics_port)}
        command = [*ROUTER, *fixed, *_completed(tokens, ROUTER_OPTIONS | metrics, ROUTER_FLAGS)]
        child_env = {**os.environ, **(env or {})}
        self._child = Child(f"router on port {port}", command, log_path, child_env)

    @property
    def pid(self) -> int | None:
        """Process id of the root of the router's tree; ``None`` before the start."""
        return self._child.pid

    def start(self) -> None:
        """Start it and return at once."""
        self._child.start()

    def wait_ready(self, server_urls: Sequence[str], timeout_s: float) -> None:
        """Give it these servers, and wait until it holds all of them for healthy.

        Raises:
            EngineError: it ended or was too slow; with the end of its log.
        """
        self._child.wait_until(lambda: control.is_healthy(self.url), timeout_s)
        for url in server_urls:
            self._add(url)
        self._child.wait_until(lambda: set(server_urls) <= self.healthy_servers(), timeout_s)

    def healthy_servers(self) -> set[str]:
        """URLs of the servers that it sends requests to."""
        return {worker["url"] for worker in self._workers() if worker["is_healthy"]}

    def serve(self, server_urls: Sequence[str]) -> bool:
        """See to it that it sends requests to these servers and no others. Whether it does now.

        A server that was left out gets no new requests; its samples go to others.

        Raises:
            EngineError: it does not answer.
        """
        workers = self._workers()
        known = {worker["url"] for worker in workers}
        for worker in workers:
            if worker["url"] not in server_urls:
                path = f"/workers/{quote(worker['id'])}"
                control.send(self.url, Call(path, delete=True), ROUTER_TIMEOUT_S)
        for url in server_urls:
            if url not in known:
                self._add(url)
        return known == set(server_urls)

    def restart(self) -> None:
        """Start anew on the same port, without servers."""
        self._child.stop()
        self._child.start()

    def ended(self) -> str:
        """How its process ended; empty while it runs."""
        return self._child.ended()

    def _workers(self) -> list[dict[str, Any]]:
        answer = control.send(self.url, Call("/workers", None), ROUTER_TIMEOUT_S)
        try:
            return [
                {key: each[key] for key in ("id", "url", "is_healthy")}
                for each in answer["workers"]
            ]
        except (KeyError, TypeError) as error:
            raise EngineError(f"{self.url}/workers: no list of servers: {answer!r:.500}") from error

    def _add(self, url: str) -> None:
        control.send(self.url, Call("/workers", {"url": url}), ROUTER_TIMEOUT_S)

    def alive(self) -> bool:
        """Whether it runs."""
        return self._child.alive()

    def stop(self) -> None:
        """Stop it. Does nothing the second time."""
        _stop(self._child, self._leases)

    def log_tail(self) -> str:
        """The last lines of its log."""
        return self._child.log_tail()


@final
class ServerActor:
    """A server as a Ray actor holds it: made on the machine where it is to run.

    Arguments as in ``ServerProcess``; with Ray, ``gpus`` may stay ``None``, since Ray sets the
    environment.
    """

    def __init__(
        self,
        model: Path,
        *,
        timeout_s: float,
        health_every_s: float = 5.0,
        health_timeout_s: float = 60.0,
        **arguments: Any,
    ) -> None:
        self._server = ServerProcess(model, **arguments)
        self._timeout_s = timeout_s
        self._health = {"every_s": health_every_s, "timeout_s": health_timeout_s}
        self._vigil = self._new_vigil()

    def start(self) -> str:
        """Start the server, wait until it answers, and return its URL.

        Raises:
            EngineError: it did not become ready.
        """
        self._server.start()
        return self._wait_ready()

    def restart(self, model: Path) -> str:
        """Start the server anew on the same port; otherwise as ``start``."""
        self._vigil.end()
        self._vigil = self._new_vigil()
        self._server.restart(model)
        return self._wait_ready()

    def failure(self) -> Failure | None:
        """Wait until the server fails, and say why; ``None`` when it is stopped or restarted."""
        reason = self._vigil.keep()
        return Failure(reason, self._server.log_tail()) if reason else None

    def quiet(self, on: bool) -> None:
        """Whether weights are being sent, so that it writes nothing."""
        self._vigil.quiet(on)

    def check(self) -> Failure | None:
        """Look at once, without waiting for the limit that ``failure`` gives it."""
        reason = self._vigil.check()
        return Failure(reason, self._server.log_tail()) if reason else None

    def token_s(self) -> float | None:
        """Seconds that it took to write one token when last asked."""
        return self._vigil.token_s

    def pid(self) -> int | None:
        """Process id of the root of the server's tree."""
        return self._server.pid

    def alive(self) -> bool:
        """Whether it runs."""
        return self._server.alive()

    def stop(self) -> None:
        """Stop it, and everything that it started."""
        self._vigil.end()
        self._server.stop()

    def log_tail(self) -> str:
        """The last lines of its log."""
        return self._server.log_tail()

    def _wait_ready(self) -> str:
        try:
            self._server.wait_ready(self._timeout_s)
        except EngineError:
            self._server.kill()
            raise
        return self._server.url

    def _new_vigil(self) -> Vigil:
        return Vigil(self._server.url, self._server.ended, **self._health)


def _completed(
    tokens: Sequence[str], options: Mapping[str, str], flags: Sequence[str]
) -> list[str]:
    given = {token.partition("=")[0] for token in tokens if token.startswith("--")}
    added = [token for pair in options.items() if pair[0] not in given for token in pair]
    return [*tokens, *added, *(flag for flag in flags if flag not in given)]


def _stop(child: Child, leases: Sequence[Lease]) -> None:
    child.stop()
    for each in leases:
        each.release()
