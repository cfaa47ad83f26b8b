"""Weights through files, for servers that share nothing with the trainer but a file system."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import final

from torch import Tensor

from slime_core.weights import hf
from slime_core.weights.servers import Server, ask_all
from slime_core.weights.transports.base import KEEP_CACHE, Sent


@final
class DiskTransport:
    """Writes safetensors and posts their folder to ``/update_weights_from_disk``.

    After it, servers name the removed folder as their model path; nothing reads it again.
    """

    def __init__(self, servers: Sequence[Server], work_dir: Path, bucket_bytes: int) -> None:
        self._servers = tuple(servers)
        self._work_dir = work_dir
        self._bucket_bytes = bucket_bytes

    def send(self, tensors: Iterable[tuple[str, Tensor]]) -> Sent:
        """As ``Transport.send``; a bucket is a file."""
        self._work_dir.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="weights-", dir=self._work_dir)).resolve()
        sent = Sent()
        try:
            # Servers may run as another user.
            folder.chmod(0o755)
            hf.write_tensors(folder, _counted(tensors, sent), self._bucket_bytes)
            sent.buckets = sum(1 for _ in folder.glob("*.safetensors"))
            body = {"model_path": str(folder), "load_format": "safetensors", **KEEP_CACHE}
            ask_all(self._servers, "/update_weights_from_disk", body)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return sent

    def close(self) -> None:
        """Nothing is kept between updates."""


def _counted(tensors: Iterable[tuple[str, Tensor]], sent: Sent) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors:
        sent.add(1, tensor.nbytes)
        yield name, tensor
