"""Weights through shared memory, for servers on the trainer's machine: only a handle is posted.

On a GPU the handle is CUDA's (IPC). On a CPU it is the path of an anonymous file (``memfd``) of
this process, which the server maps. PyTorch's own ways to share CPU memory do not serve:
``file_descriptor`` needs a common parent process, and ``file_system`` leaves a manager process and,
after a crash, files in ``/dev/shm``. An anonymous file has no name to leave over, and goes when its
last user does.
"""

from __future__ import annotations

import base64
import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler
from typing import Any, final

import torch
import torch.multiprocessing  # teaches ForkingPickler CUDA's handles
from torch import Tensor

from slime_core.weights.buckets import Bucket, pack
from slime_core.weights.servers import Server, ask, at_once
from slime_core.weights.transports.base import KEEP_CACHE, Sent


@final
class _Mapped:
    """Unpickles, in another process of this machine, as the bytes of a file of this one."""

    def __init__(self, path: str, size: int) -> None:
        self._path, self._size = path, size

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(torch.from_file, dtype=torch.uint8), (self._path, True, self._size)


@contextmanager
def shared_memory(bucket: Bucket) -> Iterator[Any]:
    """A bucket's bytes in an anonymous file, which ends with the context."""
    descriptor = os.memfd_create("slime-weights")
    try:
        os.ftruncate(descriptor, bucket.nbytes)
        path = f"/proc/{os.getpid()}/fd/{descriptor}"
        flat = torch.from_file(path, True, bucket.nbytes, dtype=torch.uint8)
        bucket.flatten(out=flat)
        yield _Mapped(path, bucket.nbytes)
    finally:
        os.close(descriptor)


@contextmanager
def cuda_memory(bucket: Bucket) -> Iterator[Any]:
    """A bucket's bytes in CUDA memory; PyTorch keeps them until the servers have let go of them."""
    from sglang.srt.utils.patch_torch import monkey_patch_torch_reductions

    monkey_patch_torch_reductions()
    flat = bucket.flatten()
    torch.cuda.current_stream().synchronize()
    yield flat


@final
class TensorTransport:
    """Posts handles of flattened buckets to ``/update_weights_from_tensor``."""

    def __init__(self, servers: Sequence[Server], bucket_bytes: int) -> None:
        self._servers = tuple(servers)
        self._bucket_bytes = bucket_bytes

    def send(self, tensors: Iterable[tuple[str, Tensor]]) -> Sent:
        """As ``Transport.send``."""
        sent = Sent()
        for bucket in pack(tensors, self._bucket_bytes):
            self._send_bucket(bucket)
            sent.add(len(bucket.tensors), bucket.nbytes)
        if torch.cuda.is_available():
            torch.cuda.ipc_collect()  # frees what the servers have let go of
        return sent

    def close(self) -> None:
        """Nothing is kept between updates."""

    def _send_bucket(self, bucket: Bucket) -> None:
        metadata = bucket.sglang_metadata()
        memory = cuda_memory if bucket.tensors[0][1].is_cuda else shared_memory
        with memory(bucket) as flat:
            payload = {"flattened_tensor": flat, "metadata": metadata}
            at_once(self._servers, lambda server: _post(server, payload))


def _post(server: Server, payload: dict[str, Any]) -> None:
    # Each rank gets its own: CUDA counts the consumers of a handle.
    ranks = [_serialized(payload) for _ in range(server.tp)]
    body = {"serialized_named_tensors": ranks, "load_format": "flattened_bucket", **KEEP_CACHE}
    ask(server.url, "/update_weights_from_tensor", body, server.timeout_s)


def _serialized(payload: dict[str, Any]) -> str:
    """As SGLang's ``MultiprocessingSerializer`` writes it."""
    return base64.b64encode(bytes(ForkingPickler.dumps(payload))).decode()
