"""Search-R1's ``/retrieve``, as JSON: what is asked, and what comes back."""

from __future__ import annotations

import json
from typing import Any, Final

from slime_plugin_search_r1.passages import Passage, RetrievalError, read_passage

PATH: Final = "/retrieve"
SHAPE: Final = '{"result": [[{"document": {"contents": "..."}, "score": 1.0}]]}'
#: A longer answer is not read to its end.
MAX_ANSWER_BYTES: Final = 4 << 20


def question(query: str, top_k: int) -> dict[str, Any]:
    """The body of a request."""
    return {"queries": [query], "topk": top_k, "return_scores": True}


def read_answer(body: bytes, top_k: int) -> list[Passage]:
    """The passages in an answer to one query.

    Args:
        body: JSON.
        top_k: Passages beyond so many are left out.

    Raises:
        RetrievalError: it is something else.
    """
    try:
        (documents,) = json.loads(body)["result"]
        return [_passage(entry, number) for number, entry in enumerate(documents[:top_k], 1)]
    except (ValueError, KeyError, TypeError, RecursionError):
        found = body[:120].decode(errors="replace")
        raise RetrievalError(f"it answered {found!r}, which is not of the form {SHAPE}") from None


def _passage(entry: Any, number: int) -> Passage:
    """Servers that are not asked for scores leave out the frame around the document."""
    document = entry.get("document", entry) if isinstance(entry, dict) else entry
    if not isinstance(document, dict):
        raise TypeError("a document is no object")
    found = read_passage(document, number)
    if not isinstance(found, Passage):
        raise RetrievalError(f"document {number} of its answer is wrong: {found}")
    return found
