"""What a user can set for this task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from slime_hookspecs import ConfigError
from slime_hookspecs.options import check_ranges

PLACEHOLDER: Final = "{question}"
#: Most passages that a search may ask for.
MAX_TOP_K: Final = 100


def _opt(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class Options:
    """Options of ``search_r1``; each field's help says what it does."""

    data: list[str] = field(
        default_factory=list,
        metadata={"help": "files to train on, .jsonl or .parquet, with questions and answers"},
    )
    eval_data: list[str] = field(
        default_factory=list, metadata={"help": "held-out files, each measured greedily"}
    )
    question_column: str = _opt("question", "column with the question")
    answers_column: str = _opt("golden_answers", "column with the right answer, or a list of them")
    template: str = _opt("", "what the model is told, with {question} in it; empty is Search-R1's")
    shuffle: bool = _opt(True, "shuffle each epoch")
    seed: int | None = _opt(None, "seed of the shuffle; the run's by default")
    url: str = _opt("", "retrieval server, e.g. http://127.0.0.1:8000")
    corpus: str = _opt("", "instead of a server: passages as .jsonl, or a folder with their index")
    max_bad_lines: int = _opt(0, "bad lines of the corpus to leave out; one more is an error")
    top_k: int = _opt(3, "passages that a search finds")
    max_replies: int = _opt(4, "replies to searches and mistakes; then the model must answer")
    turn_tokens: int = _opt(0, "most tokens of one turn; 0 is what is left of the run's budget")
    information_tokens: int = _opt(500, "most tokens of passages in one reply; the rest is cut")
    reply_as: Literal["text", "user", "tool"] = _opt(
        "text", "replies continue the model's own turn as text, or are messages of that role"
    )
    format_reward: float = _opt(0.0, "part of the reward that is for the format; Search-R1 has 0.2")
    think: bool = _opt(True, "a turn of the right format begins with <think>...</think>")
    timeout_s: float = _opt(30.0, "seconds that the server may take for an answer")
    retries: int = _opt(3, "times that a search is sent again when the server does not answer")
    connections: int = _opt(64, "most searches under way at once")

    def __post_init__(self) -> None:
        """Refuse values that no task can serve."""
        if self.template and PLACEHOLDER not in self.template:
            raise ConfigError(f"search_r1.template is {self.template!r}, without {PLACEHOLDER}")
        if self.url and self.corpus:
            raise ConfigError("search_r1.url and search_r1.corpus are both set; choose one")
        if self.url:
            _check_url(self.url)
        check_ranges("search_r1", self, **_RANGES)


_RANGES: Final[dict[str, tuple[float, float | None]]] = {
    "max_bad_lines": (0, None),
    "top_k": (1, MAX_TOP_K),
    "max_replies": (0, None),
    "turn_tokens": (0, None),
    "information_tokens": (1, None),
    "format_reward": (0, 1),
    "timeout_s": (0.001, None),
    "retries": (0, None),
    "connections": (1, None),
}


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname)
        whole = whole and (parts.port is None or parts.port > 0)
    except ValueError:
        whole = False
    if not whole:
        raise ConfigError(f"search_r1.url is {url!r}; it must be like http://127.0.0.1:8000")
