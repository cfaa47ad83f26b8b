"""Files of saved rollouts: what they are called, and their lines, compressed or not.

Imports nothing but the standard library until a compressed file is opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Literal, TypeAlias, get_args

from slime_hookspecs.errors import ConfigError, DataError

Format: TypeAlias = Literal["jsonl.zst", "jsonl"]
"""``jsonl.zst`` is the other one, compressed; ``zstdcat`` shows it."""

UNFINISHED: Final = ".tmp"
"""Suffix of a file that is being written, or whose writer was killed."""

LEVEL: Final = 1
"""Of zstd: what a higher one does is to cost time, because digits are what there is to compress."""

CHUNK: Final = 1 << 18
"""Bytes that are read at once."""

_NAME: Final = re.compile(rf"step_(\d{{6,}})\.(jsonl(?:\.zst)?)({re.escape(UNFINISHED)})?")


def path_of(folder: Path, step: int, form: Format = "jsonl.zst") -> Path:
    """The file of a step, e.g. ``step_000012.jsonl.zst``."""
    return folder / f"step_{step:06d}.{form}"


def found(folder: Path, *, unfinished: bool = False) -> dict[int, Path]:
    """The file of each step that was saved, by step.

    Args:
        unfinished: Also those that a killed run left, where there is no whole one.
    """
    files: dict[int, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match and (not match[3] or unfinished) and (not match[3] or int(match[1]) not in files):
            files[int(match[1])] = path
    return dict(sorted(files.items()))


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write lines into; it gets its name when it is whole, and others of the step go."""
    partial = path.with_name(path.name + UNFINISHED)
    with partial.open("wb") as file:
        if path.suffix == ".zst":
            with _zstd(path).ZstdCompressor(level=LEVEL).stream_writer(file) as compressed:
                yield compressed
        else:
            yield file
    partial.replace(path)
    for form in get_args(Format):
        other = path.with_name(f"{path.name.partition('.')[0]}.{form}")
        if other != path:
            other.unlink(missing_ok=True)


def lines(path: Path) -> Iterator[bytes]:
    """All lines of a file; the last has no newline where the file was cut off.

    Raises:
        DataError: a compressed file is damaged or cut off, after the lines that could be read.
        ConfigError: it cannot be unpacked here.
    """
    rest = b""
    with path.open("rb") as file:
        chunks = iter(lambda: file.read(CHUNK), b"")
        for chunk in _unpacked(path, chunks) if ".zst" in path.suffixes else chunks:
            *whole, rest = (rest + chunk).split(b"\n")
            yield from (line + b"\n" for line in whole)
    if rest:
        yield rest


def _unpacked(path: Path, chunks: Iterator[bytes]) -> Iterator[bytes]:
    zstd = _zstd(path)
    frame = zstd.ZstdDecompressor().decompressobj()
    try:
        for chunk in chunks:
            yield frame.decompress(chunk)
            while frame.eof and frame.unused_data:  # several files that were joined into one
                following = frame.unused_data
                frame = zstd.ZstdDecompressor().decompressobj()
                yield frame.decompress(following)
    except zstd.ZstdError as error:
        raise DataError(f"{path}: is damaged: {error}") from error
    if not frame.eof:
        raise DataError(f"{path}: was cut off")


def get_ready(form: Format) -> None:
    """Load what a form needs, which takes a while, before there is anything to write.

    Raises:
        ConfigError: it is not installed.
    """
    if form == "jsonl.zst":
        _zstd("--rollout-save-format jsonl.zst")


def _zstd(what: object) -> Any:
    try:
        import zstandard
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{what}: is compressed, which needs the package zstandard: pip install zstandard "
            "(SGLang brings it); or save with --rollout-save-format jsonl, and unpack with zstd -d"
        ) from error
    return zstandard
