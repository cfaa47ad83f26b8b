"""What runs in this process, to compare before and after."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Final, final

from slime_hookspecs.testing.kit.clock import children

#: Steps of the event loop that what is about to end gets to end.
SETTLE: Final = 5


@final
class Running:
    """The tasks, threads and processes of now."""

    def __init__(self) -> None:
        self.tasks = asyncio.all_tasks()
        self.threads = set(threading.enumerate())
        self.children = children()

    def since(self, *known: asyncio.Future[Any]) -> str:
        """What runs now and did not then, in words, or nothing."""
        tasks = {one for one in asyncio.all_tasks() - self.tasks if one not in known}
        if tasks:
            names = sorted(getattr(one.get_coro(), "__qualname__", "?") for one in tasks)
            return f"tasks running: {', '.join(names)}"
        threads = [one.name for one in set(threading.enumerate()) - self.threads]
        # The event loop keeps a pool, and a thread that waits for a process ends a moment later.
        if own := sorted(name for name in threads if not name.startswith(("asyncio_", "asyncio-"))):
            return f"threads running: {', '.join(own)}"
        if processes := children() - self.children:
            return f"{len(processes)} processes running"
        return ""


async def steps(count: int = SETTLE) -> None:
    """Let the event loop go round some times."""
    for _ in range(count):
        await asyncio.sleep(0)
