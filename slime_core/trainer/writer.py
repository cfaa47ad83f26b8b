"""Megatron's ``torch_dist`` writer without its helper processes."""

from __future__ import annotations

import queue
from typing import Any, final

from megatron.core.dist_checkpointing.strategies import filesystem_async
from megatron.core.dist_checkpointing.strategies.torch import TorchDistSaveShardedStrategy


@final
class InProcessWriter(TorchDistSaveShardedStrategy):
    """Plans as Megatron's does; ``finish`` then writes in the calling process."""

    def __init__(self) -> None:
        super().__init__("torch_dist", 1, thread_count=1)

    def async_save(self, sharded_state_dict: Any, checkpoint_dir: Any) -> Any:
        """What is to be written. Megatron would start a process for the queue of its results."""
        filesystem_async._results_queue = queue.SimpleQueue()
        return super().async_save(sharded_state_dict, checkpoint_dir)


def finish(request: Any) -> None:
    """Write what a request of ``InProcessWriter`` asks for, and the metadata. Collective.

    Raises:
        CheckpointException: on all ranks, where one could not write.
    """
    if request.async_fn is not None:
        _, _, results = request.async_fn_args
        results.put(_write(request.async_fn.args[0], request.preload_fn()))
    for finalize in request.finalize_fns:
        finalize()


def _write(transforms: list[Any], buckets: list[Any]) -> dict[int, Any] | Exception:
    """What was written by bucket, or the first error."""
    done: dict[int, Any] = {}
    for number, bucket in enumerate(buckets):
        # Two queues, because that is how Megatron's function answers its parent process.
        answers: queue.Queue[Any] = queue.Queue()
        running: queue.Queue[Any] = queue.Queue()
        running.put(number)
        filesystem_async.FileSystemWriterAsync.write_preloaded_data(
            transforms, number, bucket, answers, running, use_fsync=True
        )
        _, answer = answers.get()
        if isinstance(answer, Exception):
            return answer
        done[number] = answer
    return done
