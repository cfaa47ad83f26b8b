"""Whether a server still works: its process runs, it answers, and what it writes can be read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

from slime_hookspecs.errors import EngineError

from slime_core.engine import answer, control
from slime_core.engine.control import Call, NoAnswerError, StatusError

#: How often it is looked whether the process runs.
LOOK_S: Final = 0.2
#: A server that cannot say a token in this time may only have many requests before it.
TOKEN_S: Final = 10.0
#: Answers in a row that cannot be read, after which a server is not used any more.
GARBAGE: Final = 2
#: What a server answers that has too much to do.
BUSY: Final = (429, 503)

#: Answers when anything comes from the scheduler, so that a busy server has nothing to wait for.
GENERATES: Final = Call("/health_generate", None)
GENERATES_S: Final = 25.0


@final
@dataclass(frozen=True, slots=True)
class Failure:
    """Why a server is not to be used any more.

    Attributes:
        reason: Goes on after its name, e.g. ``ended with status -9``.
        log: The last lines of its log.
    """

    reason: str
    log: str = ""


@final
@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one answer; ``garbage`` says that there was one."""

    text: str
    garbage: bool = False


@final
class Vigil:
    """Looks after one server until it fails.

    Args:
        url: Of the server.
        ended: Says how its process ended; empty while it runs.
        every_s: Seconds between two looks at what it answers.
        timeout_s: Seconds without a good answer after which it counts as hung.

    Attributes:
        token_s: Seconds that it took to write one token when last asked, queue included.
    """

    def __init__(
        self, url: str, ended: Callable[[], str], *, every_s: float, timeout_s: float
    ) -> None:
        self._url = url
        self._ended = ended
        self._every_s = every_s
        self._timeout_s = timeout_s
        self._over = threading.Event()
        self._quiet = False
        self._strikes = 0
        self._answered = 0.0
        self.token_s: float | None = None

    def keep(self) -> str:
        """Look after the server until it fails; the reason, or empty after ``end``."""
        self._answered = time.monotonic()
        while not self._over.is_set():
            if reason := self._ended() or self._asked():
                return reason
            self._wait()
        return ""

    def check(self) -> str:
        """What is wrong with it now; empty where nothing is."""
        if reason := self._ended():
            return reason
        fault = self._writes()
        return fault.text if fault else ""

    def end(self) -> None:
        """Look no further."""
        self._over.set()

    def quiet(self, on: bool) -> None:
        """While weights are sent a server writes nothing, and only has to answer at all."""
        self._quiet = on
        self._answered = time.monotonic()

    def _wait(self) -> None:
        end = time.monotonic() + self._every_s
        while time.monotonic() < end and not self._ended() and not self._over.wait(LOOK_S):
            pass

    def _asked(self) -> str:
        """What is wrong with its answers for longer than may be; empty otherwise."""
        quiet = self._quiet
        fault = answers(self._url, min(TOKEN_S, self._timeout_s)) if quiet else self._writes()
        if not fault or quiet != self._quiet:
            self._answered = time.monotonic()
            self._strikes = 0
        elif fault.garbage:
            self._strikes += 1
            return fault.text if self._strikes >= GARBAGE else ""
        elif time.monotonic() - self._answered >= self._timeout_s:
            return f"did not answer for {self._timeout_s:g} s ({fault.text})"
        return ""

    def _writes(self) -> Fault | None:
        began = time.monotonic()
        fault = writes(self._url, self._timeout_s)
        if not fault:
            self.token_s = time.monotonic() - began
        return fault


def answers(url: str, timeout_s: float) -> Fault | None:
    """Whether a server answers at all."""
    try:
        control.send(url, control.HEALTH, timeout_s)
    except EngineError as error:
        return Fault(str(error))
    return None


def writes(url: str, timeout_s: float) -> Fault | None:
    """Whether a server writes tokens that can be read."""
    body: dict[str, Any] = {
        "rid": f"health-{time.monotonic_ns()}",
        "input_ids": [0],
        "sampling_params": {"max_new_tokens": 1, "temperature": 0.0},
        "return_logprob": True,
    }
    try:
        answer.read(control.send(url, Call("/generate", body), min(TOKEN_S, timeout_s)))
    except NoAnswerError:
        return _only_busy(url, body["rid"], timeout_s)
    except StatusError as error:
        if error.status in BUSY:
            return _only_busy(url, body["rid"], timeout_s)
        return Fault(f"answers garbage: {error}", garbage=True)
    except EngineError as error:
        return Fault(f"answers garbage: {error}", garbage=True)
    return None


def _only_busy(url: str, rid: str, timeout_s: float) -> Fault | None:
    try:
        control.send(url, control.abort(rid), min(TOKEN_S, timeout_s))
        control.send(url, GENERATES, min(GENERATES_S, timeout_s))
    except EngineError as error:
        return Fault(str(error))
    return None
