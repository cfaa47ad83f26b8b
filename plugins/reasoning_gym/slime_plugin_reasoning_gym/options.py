"""What a user can set for this task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from slime_hookspecs import ConfigError
from slime_hookspecs.options import check_ranges
from slime_hookspecs.spelling import suggestion

PLACEHOLDER: Final = "{question}"
#: Keys of a table ``[plugin.reasoning_gym.datasets.NAME]``.
KEYS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "task": str,
    "weight": (int, float),
    "config": Mapping,
    "level": int,
}
#: What the core of this plugin sets itself, by item.
RESERVED: Final = ("seed", "size")


def _opt(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class Options:
    """Options of ``reasoning_gym``; each field's help says what it does."""

    tasks: list[str] = field(
        default_factory=list,
        metadata={"help": 'tasks of the package, or categories like "arithmetic", or "all"'},
    )
    datasets: dict[str, dict[str, Any]] = field(
        default_factory=dict,
        metadata={"help": "tables by name, with task, weight, config and level of each data set"},
    )
    size: int = _opt(0, "problems of each data set before they come again; 0 is without end")
    seed: int | None = _opt(None, "seed of the problems; the run's by default")
    template: str = _opt(
        PLACEHOLDER + "\n\nWrite the final answer between <answer> and </answer>.",
        "what the model is told, with {question} in it",
    )
    answer: Literal["tag", "response"] = _opt(
        "tag", "the answer is what the last pair of tags holds, or the whole response"
    )
    answer_tag: str = _opt("answer", "name of the tag around the answer")
    partial_credit: bool = _opt(True, "rewards are the package's scores; else 1 or 0")
    format_reward: float = _opt(0.0, "part of the reward that is for giving an answer at all")
    eval_size: int = _opt(50, "held-out problems of each data set; 0 is none")
    eval_levels: list[int] = field(
        default_factory=list,
        metadata={"help": "levels to hold out problems of; by default that of the first step"},
    )
    eval_seed: int = _opt(0, "seed of the held-out problems, the same in every run")
    curriculum: bool = _opt(False, "raise and lower the level of each data set by success")
    curriculum_scope: Literal["inclusive", "upper_bound"] = _opt(
        "inclusive", "a level has what lower ones have as well, or only its own"
    )
    curriculum_window: int = _opt(32, "groups at one level before it may change")
    raise_at: float = _opt(0.8, "part of right answers from which the level goes up")
    lower_at: float = _opt(0.1, "part of right answers below which the level goes down")
    timeout_s: float = _opt(60.0, "seconds that making one problem may take")
    max_failures: int = _opt(10, "problems of a data set that may fail in a row")

    def __post_init__(self) -> None:
        """Refuse values that no task can serve."""
        if PLACEHOLDER not in self.template:
            raise ConfigError(f"reasoning_gym.template is {self.template!r}, without {PLACEHOLDER}")
        if not self.answer_tag.isidentifier():
            raise ConfigError(f"reasoning_gym.answer_tag is {self.answer_tag!r}, not a tag's name")
        check_ranges("reasoning_gym", self, **_RANGES)
        if not self.lower_at < self.raise_at:
            raise ConfigError(
                f"reasoning_gym.lower_at is {self.lower_at}, "
                f"not below raise_at, which is {self.raise_at}"
            )
        for level in self.eval_levels:
            if level < 0:
                raise ConfigError(f"reasoning_gym.eval_levels has {level}; each must be 0 or more")
        for name, table in self.datasets.items():
            _check_table(name, table)


_RANGES: Final[dict[str, tuple[float, float]]] = {
    "size": (0, 2**30),
    "format_reward": (0.0, 1.0),
    "eval_size": (0, 100_000),
    "curriculum_window": (1, 100_000),
    "raise_at": (0.0, 1.0),
    "lower_at": (0.0, 1.0),
    "timeout_s": (0.01, 86_400.0),
    "max_failures": (0, 100_000),
}


def _check_table(name: str, table: Mapping[str, Any]) -> None:
    where = f"reasoning_gym.datasets.{name}"
    if not name.replace("-", "_").isidentifier():
        raise ConfigError(f"{where}: a name has letters, digits, _ and -")
    for key, value in table.items():
        if key not in KEYS:
            known = ", ".join(KEYS)
            raise ConfigError(f"{where} has no {key!r}{suggestion(key, KEYS)}; it has {known}")
        if not isinstance(value, KEYS[key]) or isinstance(value, bool):
            raise ConfigError(f"{where}.{key} is {value!r}, which is not {_KINDS[key]}")
    if not 0 < table.get("weight", 1) < float("inf"):
        raise ConfigError(f"{where}.weight is {table['weight']}; it must be above 0")
    if table.get("level", 0) < 0:
        raise ConfigError(f"{where}.level is {table['level']}; it must be 0 or more")
    for key in RESERVED:
        if key in table.get("config", {}):
            raise ConfigError(f"{where}.config has {key!r}; set reasoning_gym.{key} instead")


_KINDS: Final = {
    "task": "the name of a task",
    "weight": "a number",
    "config": "a table of the task's parameters",
    "level": "a whole number",
}
