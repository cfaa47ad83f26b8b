"""The servers of a run, each under a Ray actor, behind one router."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from slime_core.config.schema import Config
from slime_core.engine.address import ServingAddress
from slime_core.engine.options import check_router, check_sglang
from slime_core.engine.process import RouterProcess, ServerActor
from slime_core.placement.cluster import Cluster
from slime_core.placement.results import results, wait_quietly
from slime_core.placement.spawn import spawn

_STOP_TIMEOUT_S = 30.0


@contextlib.contextmanager
def serving(
    ray_cluster: Cluster, config: Config, logs: Path, model: Path
) -> Iterator[ServingAddress]:
    """Start servers and router, wait until the router lists all servers, and stop them at the end.

    Args:
        ray_cluster: Where the servers go.
        config: Number of servers, their options.
        logs: Folder for ``server_<i>.log`` and ``router.log``.
        model: HF folder that they load.

    Raises:
        EngineError: one did not become ready; with the end of its log.
    """
    tokens = server_tokens(config)
    count = len(ray_cluster.layout.servers)
    with contextlib.ExitStack() as stack:
        actors = [_spawn(ray_cluster, config, logs, model, i, tokens) for i in range(count)]
        stack.callback(_stop, actors)
        router = RouterProcess(log_path=logs / "router.log", tokens=check_router(config.router))
        stack.callback(router.stop)
        router.start()
        urls = results([actor.start.remote() for actor in actors], "server start")
        router.wait_ready(urls, config.engine.start_timeout_s)
        yield ServingAddress(router.url, tuple(urls))


def server_tokens(config: Config) -> list[str]:
    """Command-line options of every server: the user's, and the trainer's dtype if that was set."""
    chosen = "dtype" in {name.replace("-", "_") for name in config.sglang}
    dtype = [] if chosen or config.train.dtype == "auto" else ["--dtype", config.train.dtype]
    return [*check_sglang(config.sglang), *dtype]


def _spawn(
    ray_cluster: Cluster, config: Config, logs: Path, model: Path, index: int, tokens: list[str]
) -> Any:
    bundles = ray_cluster.layout.servers[index]
    slots = [ray_cluster.slots[bundle] for bundle in bundles]
    return spawn(
        ServerActor,
        model,
        log_file=logs / f"server_{index}_actor.log",
        num_gpus=(0.2 if config.colocate else 1.0) if bundles else 0,
        strategy=ray_cluster.strategy(bundles[0]) if bundles else None,
        arguments={
            "timeout_s": config.engine.start_timeout_s,
            "log_path": logs / f"server_{index}.log",
            "tp": config.engine.tp,
            "tokens": tokens,
            "gpus": [slot.gpu for slot in slots] if bundles else None,
        },
    )


def _stop(actors: Sequence[Any]) -> None:
    wait_quietly([actor.stop.remote() for actor in actors], _STOP_TIMEOUT_S)
