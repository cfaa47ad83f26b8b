"""Which rank and which server gets which accelerator, decided before anything starts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import final

from slime_hookspecs.errors import ConfigError

from slime_core.config.schema import Config


@final
@dataclass(frozen=True, slots=True)
class Layout:
    """Bundles are numbered in the order of (node, accelerator).

    Attributes:
        accelerated: Whether a bundle is a GPU; else it is a CPU, and servers need none.
        bundles: How many bundles to reserve.
        ranks: The bundle of each trainer rank.
        servers: The bundles of each server, one for each of its tensor-parallel ranks; empty
            tuples where servers need no bundle.
    """

    accelerated: bool
    bundles: int
    ranks: tuple[int, ...]
    servers: tuple[tuple[int, ...], ...]


def rank_count(config: Config) -> int:
    """Trainer ranks of the run; none for ``--debug-rollout-only``."""
    if config.debug_rollout_only:
        return 0
    return config.train.tp * config.train.pp * config.train.dp


def server_count(config: Config) -> int:
    """Servers of the run; none for ``--debug-train-only``."""
    return 0 if config.debug_train_only else config.engine.servers


def plan_layout(config: Config, *, gpus: int) -> Layout:
    """Lay out a run on a cluster with ``gpus`` GPUs; with none, ranks take a CPU each.

    Raises:
        ConfigError: servers do not fit beside, or for ``--colocate`` onto, the trainer's GPUs.
    """
    ranks, servers, tp = rank_count(config), server_count(config), config.engine.tp
    if gpus == 0:
        return Layout(False, ranks, tuple(range(ranks)), ((),) * servers)
    first = 0 if config.colocate else ranks
    taken = tuple(tuple(range(first + i * tp, first + (i + 1) * tp)) for i in range(servers))
    bundles = max(ranks, first + servers * tp)
    return Layout(True, bundles, tuple(range(ranks)), taken)


def local_gpus() -> int:
    """GPUs of this machine that this process may use, without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([entry for entry in visible.split(",") if entry.strip() not in ("", "-1")])
    return len([p for p in Path("/dev").glob("nvidia*") if p.name[6:].isdigit()])


def check_local(config: Config) -> None:
    """Refuse, before Ray is started, what a Ray on this machine alone could not hold.

    Raises:
        ConfigError: as ``check_resources``; a cluster that is joined answers for itself.
    """
    if config.ray_address:
        return
    has = {"CPU": float(config.ray_cpus or os.cpu_count() or 1), "GPU": float(local_gpus())}
    check_resources(plan_layout(config, gpus=int(has["GPU"])), config, has)


def check_resources(layout: Layout, config: Config, resources: dict[str, float]) -> None:
    """Refuse a layout that the cluster cannot hold, before anything waits for it.

    Raises:
        ConfigError: with what the run needs, what Ray has, and which options to lower.
    """
    kind = "GPU" if layout.accelerated else "CPU"
    has = int(resources.get(kind, 0))
    if layout.bundles <= has:
        return
    train, ranks = config.train, _count(len(layout.ranks), "trainer rank")
    parts = [f"{ranks} (tp {train.tp} x pp {train.pp} x dp {train.dp})"]
    if layout.accelerated:
        shared = "on the same GPUs" if config.colocate else "on GPUs of their own"
        servers = _count(len(layout.servers), "server")
        parts.append(f"{servers} of tp {config.engine.tp} {shared}")
    cure = (
        "lower --train-tp, --train-pp, --train-dp or --engine-servers, use --colocate, or add nodes"
        if layout.accelerated
        else "lower --train-tp, --train-pp or --train-dp, or let ranks share cores: --ray-cpus N"
    )
    raise ConfigError(
        f"the run needs {_count(layout.bundles, kind)} for {' and '.join(parts)}; "
        f"Ray has {has}: {cure}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
