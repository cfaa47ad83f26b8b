"""Loopback ports that no other process of ours will take before the server binds them."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterable
from typing import Final, final

from slime_hookspecs.errors import EngineError

#: Below the range from which Linux gives ports to outgoing connections.
RANGE: Final = range(15_000, 30_000)


@final
class Lease:
    """A port that belongs to this process until ``release``.

    The claim is a socket in Linux's abstract namespace: no file, and it ends with the process.
    """

    __slots__ = ("_claim", "port")

    def __init__(self, port: int, claim: socket.socket) -> None:
        self.port = port
        self._claim = claim

    def release(self) -> None:
        """Let others have the port."""
        self._claim.close()


def lease(port: int | None = None) -> Lease:
    """Claim a port, or a free one.

    Raises:
        EngineError: the port is in use, or none is free.
    """
    candidates: Iterable[int] = [port] if port else random.Random(os.urandom(8)).sample(RANGE, 200)
    for candidate in candidates:
        if (claim := _claim(candidate)) is not None:
            return Lease(candidate, claim)
    raise EngineError(
        f"port {port} on 127.0.0.1 is in use; stop what listens there or choose another"
        if port
        else f"no free port on 127.0.0.1 between {RANGE.start} and {RANGE.stop}"
    )


def _claim(port: int) -> socket.socket | None:
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claim.bind(f"\0slime-port-{port}")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError:
        claim.close()
        return None
    return claim
