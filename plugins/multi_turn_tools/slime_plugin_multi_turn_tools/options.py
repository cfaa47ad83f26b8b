"""What a user can set for this task."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from slime_hookspecs import ConfigError
from slime_hookspecs.datasets import PLACEHOLDER
from slime_hookspecs.options import check_ranges

TOOLS: Final = ("calculator", "python")
TASKS: Final = ("", "products")


def _opt(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class Options:
    """Options of ``multi_turn_tools``; each field's help says what it does."""

    task: str = _opt("", 'built-in task "products", or empty to train on data')
    data: str = _opt("", "file to train on, .jsonl or .parquet, with prompts and labels")
    eval_data: list[str] = field(
        default_factory=list,
        metadata={"help": "held-out files, each measured greedily and by sampling"},
    )
    eval_samples_per_prompt: int = _opt(4, "k of mean@k and pass@k on held-out sets; 0 is none")
    prompt_column: str = _opt("prompt", "column with the prompt: a string, or chat messages")
    label_column: str = _opt("label", "column with the right answer: a text or a number")
    template: str = _opt(PLACEHOLDER, "text around prompts that are strings; has {prompt} in it")
    shuffle: bool = _opt(True, "shuffle each epoch")
    seed: int | None = _opt(None, "seed of the shuffle; the run's by default")

    tools: list[str] = field(
        default_factory=lambda: ["calculator"],
        metadata={"help": "tools that the model may call: calculator, python"},
    )
    max_turns: int = _opt(8, "turns of the model, the last answer included")
    max_tokens: int | None = _opt(
        None, "tokens that the model may write in all turns; the run's budget by default"
    )
    max_calls_per_turn: int = _opt(8, "calls of one turn that are run; others get an error")
    max_answer_characters: int = _opt(
        4000, "characters of a tool's answer that the model is shown; the middle is left out"
    )

    wrong: float = _opt(0.0, "reward of a wrong answer while training")
    tool_bonus: float = _opt(
        0.0, "added to a right answer that took a call without an error; only while training"
    )

    require_isolation: Literal["bubblewrap", "namespaces", "rlimits"] = _opt(
        "namespaces", "weakest isolation in which programs of the tool python may run"
    )
    python: str = _opt("", "interpreter of those programs; the one that slime runs with by default")
    python_concurrency: int = _opt(0, "programs that run at once; 0 is one a processor core")
    python_wall_s: float = _opt(10.0, "seconds that a program may take")
    python_cpu_s: int = _opt(5, "seconds of processor time that each of its processes may take")
    python_memory_mb: int = _opt(512, "MiB of memory that a program may take")
    python_processes: int = _opt(32, "processes and threads that a program may have")
    python_disk_mb: int = _opt(64, "MiB of files that a program may write")

    def __post_init__(self) -> None:
        """Refuse values that no task can serve."""
        if self.task not in TASKS:
            raise ConfigError(
                f'multi_turn_tools.task is {self.task!r}; the built-in one is "products"'
            )
        if self.task and self.data:
            raise ConfigError("multi_turn_tools.task and multi_turn_tools.data are both set")
        if PLACEHOLDER not in self.template:
            raise ConfigError(
                f"multi_turn_tools.template is {self.template!r}, without {PLACEHOLDER}"
            )
        self._check_tools()
        check_ranges("multi_turn_tools", self, **_RANGES)

    def _check_tools(self) -> None:
        if not self.tools:
            raise ConfigError(f"multi_turn_tools.tools is empty; there is {', '.join(TOOLS)}")
        for name in self.tools:
            if name not in TOOLS:
                near = difflib.get_close_matches(name, TOOLS, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ConfigError(
                    f"multi_turn_tools.tools: no {name!r} among {', '.join(TOOLS)}{hint}"
                )


_RANGES: Final[dict[str, tuple[float, None]]] = {
    "eval_samples_per_prompt": (0, None),
    "max_turns": (1, None),
    "max_tokens": (1, None),
    "max_calls_per_turn": (1, None),
    "max_answer_characters": (1, None),
    "python_concurrency": (0, None),
    "python_wall_s": (0.1, None),
    "python_cpu_s": (1, None),
    "python_memory_mb": (32, None),
    "python_processes": (1, None),
    "python_disk_mb": (1, None),
}
