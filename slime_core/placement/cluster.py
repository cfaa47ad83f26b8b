"""Starts or joins a Ray cluster, and leaves nothing of it behind."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import ray
from ray._private import ray_constants
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from slime_hookspecs.errors import ConfigError, RunError

from slime_core.config.schema import Config
from slime_core.placement.layout import Layout, check_resources, plan_layout

_PLACEMENT_TIMEOUT_S = 120.0
#: Enough for the shards of a step; Ray would take a third of the memory.
_OBJECT_STORE_BYTES = 512 * 1024 * 1024


@final
@dataclass(frozen=True, slots=True)
class Slot:
    """An accelerator (or a CPU) that the run holds.

    Attributes:
        bundle: Index in the placement group.
        node_ip: Address of its node.
        gpu: Index of the GPU on that node, or ``None``.
    """

    bundle: int
    node_ip: str
    gpu: int | None


@final
@dataclass(frozen=True, slots=True)
class Cluster:
    """A connected Ray with the run's bundles reserved, sorted by node and GPU."""

    layout: Layout
    group: PlacementGroup | None
    slots: tuple[Slot, ...]

    def strategy(self, index: int) -> PlacementGroupSchedulingStrategy:
        """Where an actor goes that takes the ``index``-th slot."""
        return PlacementGroupSchedulingStrategy(
            self.group, placement_group_bundle_index=self.slots[index].bundle
        )


@contextlib.contextmanager
def cluster(config: Config) -> Iterator[Cluster]:
    """Connect to Ray and reserve what the run needs; on exit give it back.

    Raises:
        ConfigError: the cluster is unreachable or too small.
    """
    # Ray takes SIGTERM over and would exit without unwinding; the run's own handler stays.
    handler = signal.getsignal(signal.SIGTERM)
    _connect(config)
    signal.signal(signal.SIGTERM, handler)
    group = None
    try:
        resources = ray.cluster_resources()
        layout = plan_layout(config, gpus=int(resources.get("GPU", 0)))
        check_resources(layout, config, resources)
        group, slots = _reserve(layout)
        yield Cluster(layout, group, slots)
    finally:
        with contextlib.suppress(Exception):
            if group is not None and config.ray_address:
                remove_placement_group(group)
        ray.shutdown()


def _connect(config: Config) -> None:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # SGLang turns it off in its servers; NCCL fails where members of a group differ in it.
    os.environ.setdefault("NCCL_CUMEM_ENABLE", "0")
    common: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "namespace": "slime",
    }
    if config.ray_address:
        try:
            ray.init(address=config.ray_address, **common)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"--ray-address {config.ray_address}: no Ray cluster answers there ({error}); "
                "start one with `ray start --head`, or leave the option out"
            ) from error
        return
    # Ray replaces a loopback address by the machine's own. This constant, which it sets on macOS
    # and Windows, is its only switch to stay on loopback, where no other machine can reach it.
    ray_constants.ENABLE_RAY_CLUSTER = False
    ray.init(
        num_cpus=config.ray_cpus or os.cpu_count(),
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        **common,
    )


def _reserve(layout: Layout) -> tuple[PlacementGroup | None, tuple[Slot, ...]]:
    if layout.bundles == 0:
        return None, ()
    bundle = {"GPU": 1.0, "CPU": 1.0} if layout.accelerated else {"CPU": 1.0}
    group = placement_group([bundle] * layout.bundles, strategy="PACK")
    if not group.wait(_PLACEMENT_TIMEOUT_S):
        raise RunError(
            f"Ray did not grant {layout.bundles} bundles of {bundle} within "
            f"{_PLACEMENT_TIMEOUT_S:.0f} s; other jobs hold them (see `ray status`)"
        )
    where = ray.get([_locate(group, i, layout.accelerated) for i in range(layout.bundles)])
    slots = (Slot(i, ip, gpu) for i, (ip, gpu) in enumerate(where))
    return group, tuple(sorted(slots, key=_by_node))


def _by_node(slot: Slot) -> tuple[tuple[int, ...], int, int]:
    octets = tuple(int(part) for part in slot.node_ip.split(".") if part.isdigit())
    return octets, -1 if slot.gpu is None else slot.gpu, slot.bundle


def _locate(group: PlacementGroup, index: int, accelerated: bool) -> Any:
    probe = ray.remote(_where).options(
        num_cpus=0,
        num_gpus=0.01 if accelerated else 0,
        scheduling_strategy=PlacementGroupSchedulingStrategy(
            group, placement_group_bundle_index=index
        ),
    )
    return probe.remote()


def _where() -> tuple[str, int | None]:
    gpus = ray.get_gpu_ids()
    return ray.util.get_node_ip_address(), int(gpus[0]) if gpus else None
