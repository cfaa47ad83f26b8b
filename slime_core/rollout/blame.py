"""Whose code raised an exception: written on it where it passes, read where it is counted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, final

from slime_hookspecs import SampleError
from slime_hookspecs.places import place_of

from slime_core.plugins import BoundHook

CORE: Final = "core"
_MARK: Final = "_slime_origin"


@final
@dataclass(frozen=True, slots=True)
class Origin:
    """The plugin, hook and line that an exception came from."""

    plugin: str
    hook: str
    place: str = ""


def blame(error: BaseException, hook: BoundHook, where: str) -> None:
    """Note plugin, hook and sample on an exception, unless somebody further in was blamed."""
    # Not setattr and add_note: an exception that is a frozen dataclass refuses both.
    attributes = vars(error)
    if _MARK not in attributes:
        place = place_of(error, hook.function)
        attributes[_MARK] = Origin(hook.plugin, hook.hook, place)
        note = f"in plugin {hook.plugin} {hook.version}, hook {hook.hook}, {where}"
        note += f", at {place}" if place else ""
        attributes["__notes__"] = [*attributes.get("__notes__", ()), note]


def cancelled_itself(hook: BoundHook) -> SampleError | None:
    """The record of a ``CancelledError`` that nobody asked for; ``None`` where somebody did.

    One that was asked for passes untouched. One that a plugin lets escape by mistake would end the
    step as if it had been stopped.
    """
    task = asyncio.current_task()
    if task is None or task.cancelling():
        return None
    return SampleError(hook.plugin, hook.hook, "CancelledError", "the plugin cancelled itself")


def sample_error(error: BaseException, hook: str) -> SampleError:
    """The record of a failure; ``hook`` is where it was caught, if nobody was blamed."""
    origin: Origin = getattr(error, _MARK, None) or Origin(CORE, hook)
    kind = getattr(error, "kind", None) or type(error).__name__
    place = f" (at {origin.place})" if origin.place else ""
    return SampleError(origin.plugin, origin.hook, kind, f"{error}{place}")


def reason_of(error: SampleError) -> str:
    """The word under which a failure is counted, e.g. ``reward`` for ``slime_reward``."""
    return error.hook.removeprefix("slime_").removeprefix("wrap_")
