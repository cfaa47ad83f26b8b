"""What a user can set for this task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from slime_hookspecs import ConfigError
from slime_hookspecs.options import check_ranges

PLACEHOLDER: Final = "{observation}"


def _opt(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class Options:
    """Options of ``agent_gym``; each field's help says what it does."""

    env: str = _opt(
        "", "number_guessing, tic_tac_toe, textarena:GAME, or module:factory of your own"
    )
    env_args: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "what the factory is called with, by name"}
    )
    template: str = _opt(PLACEHOLDER, "the first message, with {observation} in it")
    action: Literal["response", "tag"] = _opt(
        "response", "an action is the model's whole turn, or what the last pair of tags holds"
    )
    action_tag: str = _opt("action", "name of the tag around an action")
    action_type: Literal["text", "int", "json"] = _opt(
        "text", "what the environment takes; a turn that is none is a mistake"
    )
    max_turns: int = _opt(16, "turns of the model; an episode ends with the last")
    turn_tokens: int = _opt(0, "most tokens of one turn; 0 is what is left of the run's budget")
    observation_chars: int = _opt(8000, "most characters of an observation; the rest is cut")
    credit: Literal["final", "turns"] = _opt(
        "final", "all rewards are the sample's, or those before the last are their turns' tokens'"
    )
    mistake_reward: float = _opt(0.0, "reward of a turn without an action")
    unfinished_reward: float = _opt(0.0, "added where the environment did not end the episode")
    same_start: bool = _opt(True, "all samples of a prompt meet the same seed")
    resume: Literal["replay", "restart"] = _opt(
        "replay", "an interrupted episode goes on by replaying its actions, or starts over"
    )
    step_timeout_s: float = _opt(60.0, "seconds that one call of the environment may take")
    size: int = _opt(0, "seeds before they come again; 0 is without end")
    seed: int | None = _opt(None, "seed of the environments; the run's by default")
    eval_size: int = _opt(50, "held-out seeds, measured greedily; 0 is none")
    eval_seed: int = _opt(0, "seed of the held-out ones, the same in every run")

    def __post_init__(self) -> None:
        """Refuse values that no task can serve."""
        if PLACEHOLDER not in self.template:
            raise ConfigError(f"agent_gym.template is {self.template!r}, without {PLACEHOLDER}")
        if not self.action_tag.isidentifier():
            raise ConfigError(f"agent_gym.action_tag is {self.action_tag!r}, not a tag's name")
        check_ranges("agent_gym", self, **_RANGES)


_RANGES: Final[dict[str, tuple[float, float | None]]] = {
    "max_turns": (1, 100_000),
    "turn_tokens": (0, 10_000_000),
    "observation_chars": (1, 10_000_000),
    "mistake_reward": (-1e6, 1e6),
    "unfinished_reward": (-1e6, 1e6),
    "step_timeout_s": (0.01, 86_400.0),
    "size": (0, 2**30),
    "eval_size": (0, 100_000),
}
