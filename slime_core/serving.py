"""The servers of a run, each under a Ray actor, behind one router."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from slime_core.config.schema import Config
from slime_core.engine.address import ServingAddress
from slime_core.engine.options import check_router, check_sglang
from slime_core.engine.process import RouterProcess
from slime_core.placement.cluster import Cluster
from slime_core.placement.results import results, wait_quietly
from slime_core.placement.spawn import Actor, spawn

_STOP_TIMEOUT_S = 30.0


@final
@dataclass(frozen=True, slots=True)
class Starting:
    """Servers and router under way.

    Attributes:
        config: For the time that they may take.
        actors: One a server.
        started: References to the servers' URLs.
        router: ``None`` in a run without servers.
    """

    config: Config
    actors: tuple[Actor, ...]
    started: tuple[Any, ...]
    router: RouterProcess | None

    def wait(self) -> ServingAddress | None:
        """Wait until the router lists all servers; ``None`` in a run without servers.

        Raises:
            EngineError: one did not become ready; with the end of its log.
        """
        if self.router is None:
            return None
        urls = results(self.started, "server start", self.actors[0].log_file)
        self.router.wait_ready(urls, self.config.engine.start_timeout_s)
        return ServingAddress(self.router.url, tuple(urls))


@contextlib.contextmanager
def servers_starting(
    ray_cluster: Cluster, config: Config, logs: Path, model: Path
) -> Iterator[Starting]:
    """Begin to start servers and router, and stop them at the end.

    Args:
        ray_cluster: Where the servers go.
        config: Number of servers, their options.
        logs: Folder for ``server_<i>.log`` and ``router.log``.
        model: HF folder that they load.
    """
    count = len(ray_cluster.layout.servers)
    if not count:
        yield Starting(config, (), (), None)
        return
    tokens = server_tokens(config)
    router = RouterProcess(log_path=logs / "router.log", tokens=check_router(config.router))
    with contextlib.ExitStack() as stack:
        actors = [_spawn(ray_cluster, config, logs, model, i, tokens) for i in range(count)]
        stack.callback(_stop, actors)
        stack.callback(router.stop)
        started = [actor.call("start") for actor in actors]
        router.start()
        yield Starting(config, tuple(actors), tuple(started), router)


def server_tokens(config: Config) -> list[str]:
    """Command-line options of every server: the user's, and the trainer's dtype if that was set."""
    chosen = "dtype" in {name.replace("-", "_") for name in config.sglang}
    dtype = [] if chosen or config.train.dtype == "auto" else ["--dtype", config.train.dtype]
    return [*check_sglang(config.sglang), *dtype]


def _spawn(
    ray_cluster: Cluster, config: Config, logs: Path, model: Path, index: int, tokens: list[str]
) -> Actor:
    bundles = ray_cluster.layout.servers[index]
    return spawn(
        "slime_core.engine.process:ServerActor",
        model,
        name=f"server {index}",
        log_file=logs / f"server_{index}_actor.log",
        threads=2,  # so that it can be stopped while it starts
        num_gpus=(0.2 if config.colocate else 1.0) if bundles else 0,
        strategy=ray_cluster.strategy(bundles[0]) if bundles else None,
        timeout_s=config.engine.start_timeout_s,
        log_path=logs / f"server_{index}.log",
        tp=config.engine.tp,
        tokens=tokens,
        gpus=[ray_cluster.slots[bundle].gpu for bundle in bundles] if bundles else None,
    )


def _stop(actors: Sequence[Actor]) -> None:
    wait_quietly([actor.call("stop") for actor in actors], _STOP_TIMEOUT_S)
