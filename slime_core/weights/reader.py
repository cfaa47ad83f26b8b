"""Lazy reading of an HF folder's safetensors: only the rows or columns asked for leave the disk."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from slime_hookspecs.errors import ConfigError
from torch import Tensor

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


def weight_files(model_dir: Path) -> list[Path]:
    """The safetensors files of a folder: those that its index names, or the single one."""
    index = model_dir / INDEX
    if index.is_file():
        names = set(json.loads(index.read_text())["weight_map"].values())
        return [model_dir / name for name in sorted(names)]
    single = model_dir / SINGLE
    return [single] if single.is_file() else sorted(model_dir.glob("*.safetensors"))


@final
class TensorReader:
    """Open files of one HF folder; a context manager."""

    def __init__(self, model_dir: Path) -> None:
        self._dir = model_dir
        self._stack = ExitStack()
        self._where: dict[str, Any] = {}

    def __enter__(self) -> Self:
        from safetensors import safe_open

        for path in weight_files(self._dir):
            file = self._stack.enter_context(safe_open(path, framework="pt"))
            self._where.update(dict.fromkeys(file.keys(), file))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stack.close()

    def names(self) -> tuple[str, ...]:
        """All tensors in the folder."""
        return tuple(self._where)

    def _file(self, name: str) -> Any:
        if name not in self._where:
            raise ConfigError(f"{self._dir}: its weights hold no tensor {name!r}")
        return self._where[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without reading it."""
        return tuple(self._file(name).get_slice(name).get_shape())

    def read(self, name: str, dim: int | None = None, first: int = 0, last: int = 0) -> Tensor:
        """A tensor, or its part ``first:last`` along ``dim``."""
        file = self._file(name)
        if dim is None:
            whole: Tensor = file.get_tensor(name)
            return whole
        part = file.get_slice(name)
        found: Tensor = part[first:last] if dim == 0 else part[:, first:last]
        return found
