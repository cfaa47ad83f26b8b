"""The conformance suite: proves that a plugin keeps its promises, without the framework.

``slime-conformance NAME`` and ``pytest --slime-plugin NAME`` run it; ``run`` is the same in
Python. Needs ``slime-hookspecs[testing]``; importing this package imports none of it yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from slime_hookspecs.testing.certificate import Certificate, Outcome, Status
    from slime_hookspecs.testing.checks import CheckFailed, NotApplicable, check
    from slime_hookspecs.testing.runner import run
    from slime_hookspecs.testing.subject import Subject

SUITE_VERSION: Final = "0.1.0"
"""Version of the suite; a certificate carries it."""

__all__ = [
    "SUITE_VERSION",
    "Certificate",
    "CheckFailed",
    "NotApplicable",
    "Outcome",
    "Status",
    "Subject",
    "check",
    "run",
]

_HOMES: Final = {
    "Certificate": "certificate",
    "CheckFailed": "checks",
    "NotApplicable": "checks",
    "Outcome": "certificate",
    "Status": "certificate",
    "Subject": "subject",
    "check": "checks",
    "run": "runner",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
