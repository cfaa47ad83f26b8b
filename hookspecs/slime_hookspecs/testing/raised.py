"""What a plugin raised, in words: its kind, its message, and the line of the plugin's own code."""

from __future__ import annotations

import traceback
from collections.abc import Collection
from pathlib import Path

from slime_hookspecs.errors import SlimeError
from slime_hookspecs.places import place_in


class ChildDied(Exception):  # noqa: N818
    """The child ended, or was killed after its time was up, before it answered."""


class ChildRaised(Exception):  # noqa: N818
    """What was called in the child raised.

    Args:
        told: The exception there, in words.
        mistake: What tells the mistake from others, as ``mistake`` gives it.
    """

    def __init__(self, told: str, mistake: str = "") -> None:
        super().__init__(told)
        self.mistake = mistake


def told(error: BaseException, own: Collection[Path], limit: int | None = None) -> str:
    """``KeyError: 'x' (at slime_plugin_x/episode.py:42)``.

    Args:
        error: What was raised.
        own: Files and folders of the plugin.
        limit: Most letters of the message; all where there is no limit.
    """
    if isinstance(error, ChildRaised):
        return str(error)
    if isinstance(error, ChildDied):
        return f"another process of the plugin {error}"
    place = place_in(error, own)
    return f"{type(error).__name__}: {str(error)[:limit]}{f' (at {place})' if place else ''}"


def mistake(error: BaseException, own: Collection[Path]) -> str:
    """What two exceptions share that one mistake caused; nothing where that cannot be told.

    A file that is not there, or a wrong line of it, is one mistake wherever it is met; another
    exception is the same only where the same line raised it.
    """
    if isinstance(error, ChildRaised):
        return error.mistake
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, OSError | SlimeError) and str(error):
        return what
    place = place_in(error, own)
    return f"{what} (at {place})" if place else ""


def uncaught(error: BaseException, own: Collection[Path]) -> str:
    """The same of what nobody expected: with the line of other code, where none is the plugin's."""
    text = told(error, own)
    if isinstance(error, ChildRaised):
        return f"in another process it raised {text}"
    if isinstance(error, ChildDied) or place_in(error, own):
        return text
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"{text} ({Path(last.filename).name}:{last.lineno})"
