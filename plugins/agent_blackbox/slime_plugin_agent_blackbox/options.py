"""What a user can set for this task."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from slime_hookspecs import ConfigError
from slime_hookspecs.options import check_ranges

EXIT_STATUS: Final = "exit-status"
FILE: Final = "file"
TASKS: Final = ("", "sums")
#: Agent and reward of the built-in task.
AGENT: Final = "slime_plugin_agent_blackbox.examples.openai_agent:agent"
SCORE: Final = "slime_plugin_agent_blackbox.examples.sums:score"
PASSED: Final = ("PATH", "HOME", "USER", "SHELL", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV")


def _opt(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class Options:
    """Options of ``agent_blackbox``; each field's help says what it does."""

    task: str = _opt("", 'built-in task "sums", with data, agent and reward; or empty')
    data: str = _opt("", "file to train on, .jsonl or .parquet")
    eval_data: list[str] = field(
        default_factory=list, metadata={"help": "held-out files, each measured as a set of its own"}
    )
    eval_samples_per_prompt: int = _opt(1, "agents for each held-out task")
    prompt_column: str = _opt("prompt", "column with the task: a string, or chat messages")
    label_column: str = _opt("label", "column with what the reward needs to know")
    show_label: bool = _opt(False, "let the agent see the label, in its task file")
    shuffle: bool = _opt(True, "shuffle each epoch")
    seed: int | None = _opt(None, "seed of the shuffle; the run's by default")

    command: str = _opt("", "the agent as a command, in words as a shell has them; run without one")
    callable: str = _opt("", "the agent as a Python function, module:function")
    timeout_s: float = _opt(300.0, "seconds that an agent may take, from its start")
    grace_s: float = _opt(2.0, "seconds between SIGTERM and SIGKILL where the time is up")
    concurrency: int = _opt(64, "agents that run at once; others wait")
    max_calls: int = _opt(0, "calls of the model that an agent may make; 0 is no limit")
    max_tokens: int | None = _opt(
        None, "tokens that the model may write in all calls; the run's budget by default"
    )
    sampling: Literal["run", "agent"] = _opt(
        "run", "whose temperature, top_p, top_k and seed count, where the agent sends its own"
    )

    reward: str = _opt("file", "exit-status, file, or a Python function, module:function")
    reward_timeout_s: float = _opt(60.0, "seconds that a reward function may take")
    reward_range: list[float] = field(
        default_factory=list,
        metadata={"help": "lowest and highest reward; another fails its sample"},
    )
    limit_reward: float | None = _opt(
        None, "reward where a limit kept the agent from its own; without one the sample fails"
    )

    env: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "environment variables to set, no secrets"}
    )
    env_pass: list[str] = field(
        default_factory=lambda: list(PASSED),
        metadata={"help": "names of environment variables that agents inherit"},
    )
    output_chars: int = _opt(4000, "characters of output, and of errors, that are kept: the last")
    keep: Literal["never", "failed", "always"] = _opt("never", "which agents' folders are kept")
    folder: str = _opt("", "where agents get their folders; in the run's own folder by default")

    def __post_init__(self) -> None:
        """Refuse values that no task can serve."""
        if self.task not in TASKS:
            raise ConfigError(f'agent_blackbox.task is {self.task!r}; the built-in one is "sums"')
        if self.task and self.data:
            raise ConfigError("agent_blackbox.task and agent_blackbox.data are both set")
        if self.command and self.callable:
            raise ConfigError(
                "agent_blackbox.command and agent_blackbox.callable are both set; there is one "
                "agent a sample"
            )
        if self.callable and not is_function(self.callable):
            raise ConfigError(
                f"agent_blackbox.callable is {self.callable!r}; it must be module:function"
            )
        if self.reward not in (EXIT_STATUS, FILE) and not is_function(self.reward):
            raise ConfigError(
                f"agent_blackbox.reward is {self.reward!r}; it must be {EXIT_STATUS}, {FILE} or "
                f"module:function"
            )
        self._check_numbers()

    def _check_numbers(self) -> None:
        check_ranges("agent_blackbox", self, **_RANGES)
        if self.reward_range and not (
            len(self.reward_range) == 2 and self.reward_range[0] < self.reward_range[1]
        ):
            raise ConfigError(
                f"agent_blackbox.reward_range is {self.reward_range}; it must be [lowest, highest]"
            )

    @property
    def whole(self) -> Options:
        """The same, with agent and reward of a built-in task where none are given."""
        if not self.task:
            return self
        own = bool(self.command or self.callable)
        return dataclasses.replace(
            self,
            task="",
            callable=self.callable if own else AGENT,
            reward=SCORE if self.reward == FILE else self.reward,
        )


def is_function(name: str) -> bool:
    """Whether a name is like ``module:function``."""
    module, colon, path = name.partition(":")
    parts = [*module.split("."), *path.split(".")]
    return bool(colon) and all(part.isidentifier() for part in parts)


_RANGES: Final[dict[str, tuple[float, float | None]]] = {
    "eval_samples_per_prompt": (1, 10_000),
    "timeout_s": (0.1, 864_000.0),
    "grace_s": (0.0, 3600.0),
    "concurrency": (1, 100_000),
    "max_calls": (0, 1_000_000),
    "max_tokens": (1, 10**9),
    "reward_timeout_s": (0.1, 86_400.0),
    "limit_reward": (-1e6, 1e6),
    "output_chars": (0, 1_000_000),
}
