"""The beginning and the end of a stream of any length."""

from __future__ import annotations


class Kept:
    """Keeps so many bytes of a stream: half from its beginning, half from its end.

    Args:
        most: Bytes to keep.
    """

    def __init__(self, most: int) -> None:
        self._half = most // 2
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def add(self, data: bytes) -> None:
        """Take what came next."""
        self.total += len(data)
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[max(room, 0) :]
        if len(self._tail) > 2 * self._half:
            del self._tail[: len(self._tail) - self._half]

    def text(self) -> str:
        """What was kept, with a note where something is missing."""
        tail = self._tail[-self._half :] if self._half else bytearray()
        missing = self.total - len(self._head) - len(tail)
        if not missing:
            return (self._head + tail).decode("utf-8", "replace")
        note = f"\n[... {missing} bytes left out ...]\n"
        return self._head.decode("utf-8", "replace") + note + tail.decode("utf-8", "replace")
