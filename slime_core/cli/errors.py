"""Shows an error: one line for what the user can mend, a traceback for what we must."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from slime_hookspecs.errors import ConfigError, SlimeError

from slime_core.config.layers import Raw
from slime_core.config.settings import PASS_THROUGH, Key, spell

BUG = "slime: this is a bug in slime or a plugin; please report it with the lines above"


def _is_about(text: str, key: Key) -> bool:
    """Whether a message speaks of an option that engines or plugins check, in their spelling."""
    if key[0] == "plugin":
        return f"[plugin.{key[1]}]" in text or (key[1] in text and f"'{key[2]}'" in text)
    flag = "--" + "-".join(key).replace("_", "-")
    return key[0] in PASS_THROUGH and bool(re.search(rf"{re.escape(flag)}(?![\w-])", text))


@contextmanager
def told_where(raw: Raw) -> Iterator[None]:
    """Adds to an error about an option of an engine or plugin the place where it was set."""
    try:
        yield
    except ConfigError as error:
        for key, source in raw.sources.items():
            where = spell(key, source)
            if _is_about(str(error), key) and where not in str(error):
                error.add_note(f"set by {where}")
        raise


def report(error: Exception) -> int:
    """Print an error to stderr. Returns the exit status that it stands for."""
    if not isinstance(error, SlimeError):
        traceback.print_exception(error)
        print(BUG, file=sys.stderr)
        return 1
    first, *rest = str(error).splitlines() or [type(error).__name__]
    print(f"slime: error: {first}", file=sys.stderr)
    for line in (*rest, *getattr(error, "__notes__", ())):
        print(f"  {line}" if not line.startswith(" ") else line, file=sys.stderr)
    return error.exit_status
