"""Brings the trainer's weights to the servers that run, whichever these are just now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

from slime_hookspecs.errors import WeightSyncError

from slime_core.engine.address import ServingAddress
from slime_core.watch import Watch

#: How often it is looked whether a server runs again.
_LOOK_S: Final = 0.2

#: Calls a method on all ranks and returns their answers.
CallRanks: TypeAlias = Callable[..., Sequence[Any]]


@final
@dataclass(slots=True)
class Updates:
    """Sends weights, and mends what failed meanwhile.

    Args:
        router_url: Where requests go.
        connected: The servers that the ranks are ready to send to, as ``Watch.lives`` tells them.
        watch: Looks after these servers.
        ranks: Calls the trainer; ``None`` in a run without one, whose servers keep their weights.
        verifies: Whether servers that were started anew are compared with what was sent.
        version: Of the weights that servers hold; 0 before the first update.
        trained: The trainer took a step since: what it holds is the version after that.
    """

    router_url: str
    connected: dict[str, int]
    watch: Watch
    ranks: CallRanks | None = None
    verifies: bool = True
    version: int = 0
    trained: bool = False

    def send(self, version: int, verify: bool) -> dict[str, float]:
        """Bring the weights to all servers that run, as ``version``.

        A server that fails meanwhile is left out and gets them when it runs again.

        Raises:
            WeightSyncError: a server refuses them that works otherwise, or holds others.
            EngineError: servers failed more often than they may.
        """
        if self.ranks is None:
            return {}
        while True:
            while not (urls := self.watch.running()):
                self.watch.look()
                time.sleep(_LOOK_S)
            found = self._send(urls, version, verify)
            if found is not None:
                self.version, self.trained = version, False
                return found

    def mend(self) -> None:
        """Start anew what failed, and bring the trainer's weights to what runs again.

        Where the trainer is a step ahead of the servers, these are newer than the others', and are
        told so: tokens carry the version of the server that wrote them. To be called while the
        ranks have nothing to do. Raises as ``send``.
        """
        self.watch.look()
        urls = self.watch.stale()
        if urls and self.ranks is None:
            self.watch.admit(urls)
        elif urls and self.version:
            self._send(urls, self.version + self.trained, verify=False)

    def _send(self, urls: tuple[str, ...], version: int, verify: bool) -> dict[str, float] | None:
        """Send to these servers; ``None`` where one of them failed."""
        lives = self.watch.lives()
        # A server that was started anew has never held the trainer's weights.
        verify = verify or (self.verifies and bool(self.watch.stale()))
        wanted = {url: lives[url] for url in urls}
        try:
            if wanted != self.connected:
                self._call("connect", ServingAddress(self.router_url, urls))
                self.connected = wanted
            with self._quiet(urls):
                found: dict[str, float] = self._call("sync_weights", version, verify)[0]
        except WeightSyncError:
            self.watch.check()
            if not self._fell(wanted):
                raise
            return None
        self.watch.admit(url for url in urls if not self._fell({url: wanted[url]}))
        return found

    def _fell(self, lives: Mapping[str, int]) -> bool:
        """Whether one of these servers has another life by now."""
        return any(self.watch.lives()[url] != life for url, life in lives.items())

    @contextmanager
    def _quiet(self, urls: Iterable[str]) -> Iterator[None]:
        self.watch.quiet(urls, True)
        try:
            yield
        finally:
            self.watch.quiet(urls, False)

    def _call(self, method: str, *args: Any) -> Sequence[Any]:
        assert self.ranks is not None
        return self.ranks(method, *args)
