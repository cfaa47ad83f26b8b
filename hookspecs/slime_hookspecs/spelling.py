"""What to say to a misspelling."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggestion(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` with the nearest known names, or nothing."""
    folded = {_fold(one): one for one in sorted(known)}
    close = difflib.get_close_matches(_fold(name), folded, n=3, cutoff=0.6)
    return f"; did you mean {either(folded[one] for one in close)}?" if close else ""


def either(names: Iterable[str]) -> str:
    """Names as ``'a', 'b' or 'c'``."""
    quoted = [repr(name) for name in names]
    head, last = quoted[:-1], quoted[-1:]
    return " or ".join(part for part in (", ".join(head), "".join(last)) if part)


def _fold(name: str) -> str:
    return name.lower().replace("-", "_")
