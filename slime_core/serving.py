"""The servers of a run, each under a Ray actor, behind one router."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import urlsplit

from slime_hookspecs.errors import EngineError, RunError

from slime_core.config.schema import Config
from slime_core.engine.health import Failure
from slime_core.engine.options import check_router, check_sglang
from slime_core.engine.process import RouterProcess
from slime_core.placement.cluster import Cluster
from slime_core.placement.results import poll, result, results, wait_quietly
from slime_core.placement.spawn import Actor, spawn
from slime_core.watch import Watch

_STOP_TIMEOUT_S: Final = 30.0


@final
class RunningServer:
    """A server as the driver knows it: what was asked of its actor, and whether an answer is there.

    Args:
        spawn: Makes its actor, given the port (``None`` is any).
        model: Folder to start it with anew.
    """

    def __init__(self, spawn: Callable[[int | None], Actor], model: Path) -> None:
        self._spawn = spawn
        self._model = model
        self._gone = False
        self._failing: Any = None
        self._asked: Any = None
        self._token_s: float | None = None
        self.actor = spawn(None)
        self.name = self.actor.name
        self.starting = self.actor.call("start")
        self.url = ""

    def started(self, url: str) -> None:
        """It answers at this URL; look after it from now on."""
        self.url = url
        self._failing = self.actor.call("failure")

    def failure(self) -> Failure | None:
        """Why it failed, if it did since it was started."""
        done, found = poll(self._failing)
        if not done:
            return None
        return found if isinstance(found, Failure) else self._actor_died(found)

    def check(self) -> Failure | None:
        """Look at it now, and wait for what is found."""
        try:
            found: Failure | None = result(self.actor.call("check"), self.name)
        except RunError as error:
            return self._actor_died(error)
        return found

    def restart(self) -> None:
        """Begin to start it anew on the same port."""
        if self._gone:
            self.actor, self._gone = self._spawn(urlsplit(self.url).port), False
            self.starting = self.actor.call("start")
        else:
            self.starting = self.actor.call("restart", self._model)

    def restarted(self) -> bool | Failure:
        """Whether that is done; or why it cannot be."""
        done, found = poll(self.starting)
        if not done:
            return False
        if isinstance(found, EngineError):
            reason, _, log = str(found).partition("\n")
            return Failure(reason, log)
        if not isinstance(found, str):
            return self._actor_died(found)
        self.started(found)
        return True

    def quiet(self, on: bool) -> None:
        """Whether weights are sent to it, so that it writes nothing."""
        self.actor.call("quiet", on)

    def token_s(self) -> float | None:
        """Seconds that it took for one token when last asked."""
        done, found = (True, None) if self._asked is None else poll(self._asked)
        if done:
            self._token_s = found if isinstance(found, float) else self._token_s
            self._asked = self.actor.call("token_s")
        return self._token_s

    def _actor_died(self, error: Any) -> Failure:
        self._gone = True
        return Failure(f"lost the process that started it ({type(error).__name__})")


@final
@dataclass(frozen=True, slots=True)
class Starting:
    """Servers and router under way.

    Attributes:
        config: For the time that they may take, and how often they may be started.
        servers: One a server.
        router: ``None`` in a run without servers.
    """

    config: Config
    servers: tuple[RunningServer, ...]
    router: RouterProcess | None

    def wait(self, say: Callable[[str], None]) -> Watch | None:
        """Wait until the router lists all servers; ``None`` in a run without servers.

        Args:
            say: Shows a line to the user.

        Raises:
            EngineError: one did not become ready; with the end of its log.
        """
        if self.router is None:
            return None
        started = [server.starting for server in self.servers]
        urls = results(started, "server start", self.servers[0].actor.log_file)
        self.router.wait_ready(urls, self.config.engine.start_timeout_s)
        for server, url in zip(self.servers, urls, strict=True):
            server.started(url)
        engine = self.config.engine
        return Watch(self.servers, self.router, engine.max_restarts, engine.health_timeout_s, say)


@contextlib.contextmanager
def servers_starting(
    ray_cluster: Cluster, config: Config, logs: Path, model: Path, again: Path
) -> Iterator[Starting]:
    """Begin to start servers and router, and stop them at the end.

    Args:
        ray_cluster: Where the servers go.
        config: Number of servers, their options.
        logs: Folder for ``server_<i>.log`` and ``router.log``.
        model: HF folder that they load.
        again: The folder that a server loads which failed; it is there as long as the run lasts.
    """
    count = len(ray_cluster.layout.servers)
    if not count:
        yield Starting(config, (), None)
        return
    tokens = server_tokens(config)
    router = RouterProcess(log_path=logs / "router.log", tokens=check_router(config.router))
    with contextlib.ExitStack() as stack:
        servers = [
            RunningServer(partial(_spawn, ray_cluster, config, logs, model, i, tokens), again)
            for i in range(count)
        ]
        stack.callback(_stop, servers)
        stack.callback(router.stop)
        router.start()
        yield Starting(config, tuple(servers), router)


def server_tokens(config: Config) -> list[str]:
    """Command-line options of every server: the user's, and the trainer's dtype if that was set."""
    chosen = "dtype" in {name.replace("-", "_") for name in config.sglang}
    dtype = [] if chosen or config.train.dtype == "auto" else ["--dtype", config.train.dtype]
    return [*check_sglang(config.sglang), *dtype]


def _spawn(
    ray_cluster: Cluster,
    config: Config,
    logs: Path,
    model: Path,
    index: int,
    tokens: list[str],
    port: int | None,
) -> Actor:
    bundles = ray_cluster.layout.servers[index]
    return spawn(
        "slime_core.engine.process:ServerActor",
        model,
        name=f"server {index}",
        log_file=logs / f"server_{index}_actor.log",
        threads=6,  # so that it can be asked and stopped while it starts
        num_gpus=(0.2 if config.colocate else 1.0) if bundles else 0,
        strategy=ray_cluster.strategy(bundles[0]) if bundles else None,
        timeout_s=config.engine.start_timeout_s,
        health_every_s=config.engine.health_every_s,
        health_timeout_s=config.engine.health_timeout_s,
        port=port,
        log_path=logs / f"server_{index}.log",
        tp=config.engine.tp,
        tokens=tokens,
        gpus=[ray_cluster.slots[bundle].gpu for bundle in bundles] if bundles else None,
    )


def _stop(servers: Sequence[RunningServer]) -> None:
    wait_quietly([server.actor.call("stop") for server in servers], _STOP_TIMEOUT_S)
