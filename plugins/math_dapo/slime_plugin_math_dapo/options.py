"""What a user can set for this task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from slime_hookspecs import ConfigError
from slime_hookspecs.datasets import PLACEHOLDER
from slime_hookspecs.options import check_ranges

TASKS: Final = ("", "addition")


def _opt(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class Options:
    """Options of ``math_dapo``; each field's help says what it does."""

    task: str = _opt("", 'built-in task "addition", or empty to train on data')
    data: str = _opt("", "file to train on, .jsonl or .parquet, with prompts and labels")
    eval_data: list[str] = field(
        default_factory=list,
        metadata={"help": "held-out files, each measured greedily and by sampling"},
    )
    eval_samples_per_prompt: int = _opt(8, "k of mean@k and pass@k on held-out sets; 0 is none")
    prompt_column: str = _opt("prompt", "column with the prompt: a string, or chat messages")
    label_column: str = _opt("label", "column with the right answer")
    template: str = _opt(PLACEHOLDER, "text around prompts that are strings; has {prompt} in it")
    verifier: Literal["auto", "exact", "math"] = _opt(
        "auto", "how answers are compared; auto is exact for addition, math for data"
    )
    wrong: float = _opt(0.0, "reward of a wrong answer while training; DAPO's own runs use -1")
    overlong_buffer: int = _opt(
        0, "tokens before the budget in which a response is penalised more and more; 0 is none"
    )
    overlong_penalty: float = _opt(1.0, "penalty of a response that uses the whole budget")
    dynamic_sampling: Literal["off", "refill"] = _opt(
        "off", "refill drops groups whose rewards are all equal and draws others instead"
    )
    shuffle: bool = _opt(True, "shuffle each epoch")
    seed: int | None = _opt(None, "seed of the shuffle; the run's by default")

    def __post_init__(self) -> None:
        """Refuse values that no task can serve."""
        if self.task not in TASKS:
            raise ConfigError(f'math_dapo.task is {self.task!r}; the built-in one is "addition"')
        if self.task and self.data:
            raise ConfigError("math_dapo.task and math_dapo.data are both set; choose one")
        if PLACEHOLDER not in self.template:
            raise ConfigError(f"math_dapo.template is {self.template!r}, without {PLACEHOLDER}")
        check_ranges("math_dapo", self, **_RANGES)

    @property
    def exact(self) -> bool:
        """Whether answers are compared as strings."""
        return self.verifier == "exact" or (self.verifier == "auto" and bool(self.task))


_RANGES: Final[dict[str, tuple[float, None]]] = {
    "eval_samples_per_prompt": (0, None),
    "overlong_buffer": (0, None),
    "overlong_penalty": (0, None),
}
