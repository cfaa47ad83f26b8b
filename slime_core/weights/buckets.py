"""Group named tensors into buckets, so that few large messages carry many small weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True, slots=True)
class Bucket:
    """Tensors of one dtype that travel together.

    Servers lay a received bucket out end to end without gaps, and a view of a tensor must start at
    a multiple of its element size; with one dtype both hold.
    """

    tensors: tuple[tuple[str, Tensor], ...]

    @property
    def names(self) -> list[str]:
        """HF names, in order."""
        return [name for name, _ in self.tensors]

    @property
    def nbytes(self) -> int:
        """Size of all tensors."""
        return sum(tensor.nbytes for _, tensor in self.tensors)

    @property
    def dtypes(self) -> list[str]:
        """Each tensor's dtype, as ``bfloat16``."""
        return [str(tensor.dtype).removeprefix("torch.") for _, tensor in self.tensors]

    @property
    def shapes(self) -> list[list[int]]:
        """Each tensor's shape."""
        return [list(tensor.shape) for _, tensor in self.tensors]

    def flatten(self, out: Tensor | None = None) -> Tensor:
        """All tensors end to end, as bytes; written to ``out`` where it is given."""
        parts = [t.contiguous().view(-1).view(torch.uint8) for _, t in self.tensors]
        return torch.cat(parts) if out is None else torch.cat(parts, out=out)

    def sglang_metadata(self) -> list[SimpleNamespace]:
        """Where each tensor lies in ``flatten()``, in SGLang's ``flattened_bucket`` format.

        SGLang reads the fields of its ``FlattenedTensorMetadata`` off any object; with a plain one
        the trainer need not import SGLang.
        """
        found, at = [], 0
        for name, t in self.tensors:
            end = at + t.nbytes
            place = {"start_idx": at, "end_idx": end, "numel": t.nbytes}
            found.append(SimpleNamespace(name=name, shape=t.shape, dtype=t.dtype, **place))
            at = end
        return found


def pack(tensors: Iterable[tuple[str, Tensor]], most_bytes: int) -> Iterator[Bucket]:
    """The tensors in order, in buckets of at most ``most_bytes`` or of one larger tensor."""
    current: list[tuple[str, Tensor]] = []
    size = 0
    for name, tensor in tensors:
        full = size + tensor.nbytes > most_bytes
        if current and (full or tensor.dtype != current[0][1].dtype):
            yield Bucket(tuple(current))
            current, size = [], 0
        current.append((name, tensor))
        size += tensor.nbytes
    if current:
        yield Bucket(tuple(current))
