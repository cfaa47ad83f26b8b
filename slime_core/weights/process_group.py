"""A process group of this process and ones that another program started, beside the default group.

``torch.distributed.new_group`` makes groups out of the default group's members only. This does what
SGLang's ``init_custom_process_group`` does, so that both meet in the same store.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from torch.distributed import distributed_c10d as c10d


def join(
    backend: str, host: str, port: int, *, world: int, rank: int, name: str, timeout_s: float
) -> Any:
    """Meet the others and return the group; rank 0 holds the store at ``host:port``.

    Args:
        backend: ``nccl`` or ``gloo``.
        host: Address of rank 0.
        port: Port of the store.
        world: Processes in the group.
        rank: This process's rank in it.
        name: The same for all members.
        timeout_s: Seconds that meeting, and later each collective, may take.
    """
    timeout = timedelta(seconds=timeout_s)
    store, rank, world = next(c10d.rendezvous(f"tcp://{host}:{port}", rank, world, timeout=timeout))
    store.set_timeout(timeout)
    group, _ = c10d._new_process_group_helper(
        world,
        rank,
        [],
        c10d.Backend(backend),
        c10d.PrefixStore(name, store),
        group_name=name,
        timeout=timeout,
    )
    c10d._world.pg_group_ranks[group] = {i: i for i in range(world)}
    return group
