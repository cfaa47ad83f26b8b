"""Looks after servers and router while the driver waits for others.

A server is *up* (the router sends it requests), *starting* anew, or *stale*: it runs again and
waits for the trainer's weights. ``look`` finds what failed and starts it anew; ``Updates`` brings
weights to what is stale. Everything here returns at once, so that it fits between two looks at a
result that the driver waits for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final, Literal, Protocol, final

from slime_hookspecs.errors import EngineError

from slime_core.engine.health import Failure

LOG = logging.getLogger("slime.watch")

#: Seconds between two looks at the router.
ROUTER_EVERY_S: Final = 1.0
#: Seconds in which a router that was started anew must answer.
ROUTER_TIMEOUT_S: Final = 60.0
#: A server is slow that takes so many times as long for a token as the others, ...
SLOW: Final = 5.0
#: ... and longer than this.
SLOW_S: Final = 1.0


class Server(Protocol):
    """A server as the driver knows it. Nothing waits but ``check``."""

    name: str
    url: str

    def failure(self) -> Failure | None:
        """Why it failed, if it did since it was started."""

    def check(self) -> Failure | None:
        """Look at it now, and wait for what is found."""

    def restart(self) -> None:
        """Begin to start it anew on the same port."""

    def restarted(self) -> bool | Failure:
        """Whether that is done; or why it cannot be."""

    def quiet(self, on: bool) -> None:
        """Whether weights are sent to it."""

    def token_s(self) -> float | None:
        """Seconds that it took for one token when last asked."""


class Router(Protocol):
    """The router as the driver knows it."""

    url: str

    def ended(self) -> str:
        """How its process ended; empty while it runs."""

    def serve(self, server_urls: Sequence[str]) -> bool:
        """Send requests to these servers and no others; whether it does."""

    def restart(self) -> None:
        """Start it anew on the same port."""

    def log_tail(self) -> str:
        """The last lines of its log."""


@final
@dataclass(slots=True)
class _Watched:
    server: Server
    state: Literal["up", "starting", "stale"] = "up"
    restarts: int = 0
    down_since: float = 0.0
    slow: bool = False


@final
@dataclass(slots=True)
class Watch:
    """Servers and router of a run.

    Args:
        servers: All of them, up.
        router: In front of them.
        max_restarts: Times that each of them, and the router, may be started anew.
        timeout_s: Seconds in which the router must have answered.
        say: Shows a line to the user.
    """

    servers: Sequence[Server]
    router: Router
    max_restarts: int
    timeout_s: float
    say: Callable[[str], None]
    _watched: list[_Watched] = field(default_factory=list, init=False)
    _router_restarts: int = 0
    _router_looked: float = 0.0
    _router_answered: float = 0.0
    _down_s: float = 0.0

    def __post_init__(self) -> None:
        self._watched = [_Watched(server) for server in self.servers]
        self._router_answered = time.monotonic()

    def look(self) -> None:
        """Find what failed since the last look, take it out of the router, start it anew.

        Raises:
            EngineError: something failed more often than it may.
        """
        for one in self._watched:
            if one.state == "starting":
                self._see_start(one)
            elif failure := one.server.failure():
                self._fell(one, failure)
        if time.monotonic() - self._router_looked >= ROUTER_EVERY_S:
            self._see_router()

    def check(self) -> None:
        """Look at every server that runs, now, and wait for what is found. Raises as ``look``."""
        self.look()
        for one in self._watched:
            if one.state != "starting" and (failure := one.server.check()):
                self._fell(one, failure)

    def running(self) -> tuple[str, ...]:
        """URLs of the servers that weights can be sent to."""
        return tuple(one.server.url for one in self._watched if one.state != "starting")

    def lives(self) -> dict[str, int]:
        """How often each server was started anew, by URL: another life has other weights."""
        return {one.server.url: one.restarts for one in self._watched}

    def stale(self) -> tuple[str, ...]:
        """URLs of the servers that run again and wait for weights."""
        return tuple(one.server.url for one in self._watched if one.state == "stale")

    def admit(self, urls: Iterable[str]) -> None:
        """These servers have the current weights: send them requests."""
        urls = set(urls)
        for one in self._watched:
            if one.server.url in urls and one.state == "stale":
                seconds = time.monotonic() - one.down_since
                self._down_s += seconds
                one.state = "up"
                self._tell(f"{one.server.name} serves again, {seconds:.0f} s after it failed")
        self._see_router()

    def quiet(self, urls: Iterable[str], on: bool) -> None:
        """Whether weights are being sent to these servers, so that they write nothing."""
        for one in self._watched:
            if one.server.url in urls:
                one.server.quiet(on)

    def metrics(self) -> dict[str, float]:
        """What there is to say about the servers, as ``engine/...``; names those that are slow."""
        self._find_slow()
        return {
            "engine/restarts": float(sum(one.restarts for one in self._watched)),
            "engine/router_restarts": float(self._router_restarts),
            "engine/servers_up": float(sum(one.state == "up" for one in self._watched)),
            "engine/servers_slow": float(sum(one.slow for one in self._watched)),
            "engine/down_s": self._down_s,
        }

    def _see_start(self, one: _Watched) -> None:
        found = one.server.restarted()
        if isinstance(found, Failure):
            self._fell(one, found)
        elif found:
            one.state = "stale"

    def _fell(self, one: _Watched, failure: Failure) -> None:
        if one.state == "up":
            one.down_since = time.monotonic()
        one.state, one.slow = "starting", False
        one.restarts += 1
        self._see_router()
        name = f"{one.server.name} ({one.server.url})"
        self._spend(name, one.restarts, failure)
        one.server.restart()

    def _see_router(self) -> None:
        self._router_looked = now = time.monotonic()
        reason = self.router.ended()
        try:
            if not reason:
                self.router.serve([o.server.url for o in self._watched if o.state == "up"])
                self._router_answered = now
        except EngineError as error:
            if now - self._router_answered >= self.timeout_s:
                reason = f"did not answer for {self.timeout_s:g} s ({error})"
        if reason:
            self._router_restarts += 1
            failure = Failure(reason, self.router.log_tail())
            self._spend(f"the router ({self.router.url})", self._router_restarts, failure)
            self.router.restart()
            self._router_answered = now + ROUTER_TIMEOUT_S

    def _spend(self, name: str, restarts: int, failure: Failure) -> None:
        LOG.info("%s %s. End of its log:\n%s", name, failure.reason, failure.log)
        if restarts > self.max_restarts:
            raise EngineError(
                f"{name} failed {restarts} times in this run, and may be restarted "
                f"{self.max_restarts} times (--engine-max-restarts). The last time it "
                f"{failure.reason}. End of its log:\n{failure.log}"
            )
        self._tell(
            f"{name} {failure.reason}; it is restarted ({restarts} of {self.max_restarts} times)"
        )

    def _tell(self, text: str) -> None:
        LOG.info("%s", text)
        self.say(text)

    def _find_slow(self) -> None:
        found = [(one, one.server.token_s()) for one in self._watched if one.state == "up"]
        known = [(one, seconds) for one, seconds in found if seconds is not None]
        for one, own in known:
            peers = [seconds for other, seconds in known if other is not one]
            usual = median(peers) if peers else own
            slow = own > max(SLOW_S, SLOW * usual)
            if slow and not one.slow:
                self._tell(
                    f"{one.server.name} ({one.server.url}) is slow: {own:.1f} s for one token, "
                    f"where the others take {usual:.1f} s"
                )
            one.slow = slow
