"""Where the driver's log lines go: all into a file, only what a person must see to the terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

OURS: Final = "slime"
"""Root of our own loggers: ``slime.rollout``, ``slime.plugin.math_dapo``, ..."""

NOISY: Final = (
    "ray",
    "sglang",
    "sglang_router",
    "megatron",
    "transformers",
    "torch",
    "py.warnings",
)
"""Libraries that bring handlers of their own, which write to the terminal."""

_FILE_FORMAT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


@contextmanager
def driver_logging(logs: Path) -> Iterator[Path]:
    """Log to ``driver.log`` while the block lasts, then put everything back.

    The file gets our lines from INFO on and other libraries' from INFO on too; the terminal gets
    our warnings and errors, and other libraries' errors.

    Args:
        logs: Folder for the file.

    Yields:
        The file.
    """
    logs.mkdir(parents=True, exist_ok=True)
    file = logs / "driver.log"
    handlers = [_file_handler(file), _Terminal()]
    root, level = logging.getLogger(), logging.getLogger().level
    before = list(root.handlers)
    root.handlers[:] = handlers
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    take_over()
    try:
        yield file
    finally:
        logging.captureWarnings(False)
        root.handlers[:] = before
        root.setLevel(level)
        for handler in handlers:
            handler.close()


def take_over() -> None:
    """Remove the handlers that libraries brought, so that their lines go where ours go.

    Call it again after the import or start of a library that adds one, as ``ray.init`` does.
    """
    for name in NOISY:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


@final
class _Terminal(logging.Handler):
    """Standard error as it is at each line: a progress display replaces it while it draws."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))

    def filter(self, record: logging.LogRecord) -> bool:
        ours = record.name == OURS or record.name.startswith(f"{OURS}.")
        return record.levelno >= (logging.WARNING if ours else logging.ERROR)

    def emit(self, record: logging.LogRecord) -> None:
        # Tracebacks go to the file only.
        message = f"{record.levelname.lower()}: {record.getMessage()}"
        print(message, file=sys.stderr, flush=True)


def _file_handler(file: Path) -> logging.Handler:
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter(_FILE_FORMAT))
    return handler
