"""SGLang's own serialisers, for processes of ours that send tensors to a server."""

from __future__ import annotations

from typing import Any

from slime_core.engine import cpu


def serializers() -> tuple[Any, Any]:
    """``(MultiprocessingSerializer, FlattenedTensorBucket)``. Imports SGLang: some seconds.

    On a CPU the tensors travel in shared memory that a file backs, because the server is no child
    of this process.
    """
    cpu.install()
    from sglang.srt.utils import MultiprocessingSerializer
    from sglang.srt.weight_sync.tensor_bucket import FlattenedTensorBucket

    if cpu.on_cpu():
        import torch.multiprocessing

        torch.multiprocessing.set_sharing_strategy("file_system")
    return MultiprocessingSerializer, FlattenedTensorBucket
