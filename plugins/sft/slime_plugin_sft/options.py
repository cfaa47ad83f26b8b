"""What a user can set for supervised fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from slime_hookspecs.options import check_ranges


def _opt(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class Options:
    """Options of ``sft``; each field's help says what it does."""

    data: list[str] = field(
        default_factory=list,
        metadata={"help": "files to train on, .jsonl or .parquet, with one conversation a row"},
    )
    messages_column: str = _opt("messages", "column with a conversation, as chat messages")
    prompt_column: str = _opt("prompt", "column with a string or messages, where none has messages")
    response_column: str = _opt("response", "column with the answer to the prompt")
    train_on: Literal["assistant", "last"] = _opt(
        "assistant", "imitate every assistant message, or the last one of each conversation"
    )
    shuffle: bool = _opt(True, "shuffle each epoch")
    seed: int | None = _opt(None, "seed of the shuffle; the run's by default")
    cache_tokens: int = _opt(4_000_000, "most tokens to keep in memory between epochs")

    def __post_init__(self) -> None:
        """Refuse values that nothing can serve."""
        check_ranges("sft", self, cache_tokens=(0, None))
