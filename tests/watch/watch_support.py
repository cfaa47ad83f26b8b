"""Servers, a router and a trainer that fail when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from slime_hookspecs import EngineError, WeightSyncError

from slime_core.engine.health import Failure

KILLED = Failure("was killed by signal 9", "    last words")


@dataclass
class FakeServer:
    """A server whose state is a test's to set."""

    name: str
    url: str
    fails: Failure | None = None
    found: Failure | None = None
    start: bool | Failure = True
    seconds: float | None = None
    log: list[str] = field(default_factory=list)

    def failure(self) -> Failure | None:
        fails, self.fails = self.fails, None
        return fails

    def check(self) -> Failure | None:
        found, self.found = self.found, None
        return found

    def restart(self) -> None:
        self.log.append("restart")

    def restarted(self) -> bool | Failure:
        return self.start

    def quiet(self, on: bool) -> None:
        self.log.append("quiet" if on else "loud")

    def token_s(self) -> float | None:
        return self.seconds


@dataclass
class FakeRouter:
    """Knows what it serves; silent while ``silent`` is set."""

    url: str = "http://router"
    dead: str = ""
    silent: bool = False
    served: list[str] = field(default_factory=list)
    restarts: int = 0

    def ended(self) -> str:
        dead, self.dead = self.dead, ""
        return dead

    def serve(self, server_urls: Sequence[str]) -> bool:
        if self.silent:
            raise EngineError("no answer")
        self.served = list(server_urls)
        return True

    def restart(self) -> None:
        self.restarts += 1
        self.served = []

    def log_tail(self) -> str:
        return "    the router's last words"


@dataclass
class FakeRanks:
    """The trainer: what it sent to whom, and what goes wrong while it sends."""

    connected: tuple[str, ...] = ()
    sent: list[tuple[tuple[str, ...], int, bool]] = field(default_factory=list)
    meanwhile: list[Callable[[], None]] = field(default_factory=list)

    def __call__(self, method: str, *args: Any) -> list[Any]:
        if method == "connect":
            self.connected = args[0].server_urls
            return [None]
        assert method == "sync_weights"
        self.sent.append((self.connected, *args))
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return [{"sync/bytes": 1.0}]


def refused() -> None:
    raise WeightSyncError("http://0/update: status 400")
