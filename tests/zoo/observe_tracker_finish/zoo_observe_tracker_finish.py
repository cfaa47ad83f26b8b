"""Calls its tracker's last method finish, so that nobody calls it."""

from __future__ import annotations

from slime_hookspecs import Tracker, hookimpl


class Printer:
    """Prints rows."""

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """One row."""
        print(step, metrics)

    def finish(self) -> None:
        """What another library calls it."""


@hookimpl
def slime_tracker() -> Tracker:
    """A printer."""
    return Printer()  # type: ignore[return-value]
