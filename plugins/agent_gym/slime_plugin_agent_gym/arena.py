"""Games of textarena as environments; the package is imported when first needed.

Its games draw from Python's global random generator. Each gets a state of its own here, and they
play one at a time, so that a seed is a game even where many are played side by side.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any, Final, TypeAlias, final

from slime_hookspecs import ConfigError

Step: TypeAlias = tuple[str, float, bool, bool, dict[str, Any]]

#: Only one game draws from the global generator at a time.
_LOCK: Final = threading.Lock()


@final
class Arena:
    """One game. The model is player 0; others are played by ``opponent``.

    Args:
        game: Its name, e.g. ``GuessTheNumber-v0``.
        players: How many play.
        opponent: ``module:function`` that is given an observation and returns an action.
        more: Passed to the game.
    """

    def __init__(self, game: str, players: int = 1, opponent: str = "", **more: Any) -> None:
        from slime_plugin_agent_gym.loading import factory

        if players > 1 and not opponent:
            raise ConfigError(f"{game} with {players} players needs env_args.opponent")
        self._players = players
        self._opponent: Callable[[str], str] | None = factory(opponent) if opponent else None
        self._random = random.Random().getstate()
        self._seen = self._latest = ""
        self._env = self._alone(lambda: _package().make(game, **more))

    def reset(self, seed: int) -> str:
        """Begin the game of a seed."""
        self._random = random.Random(seed).getstate()
        self._seen = ""
        self._alone(lambda: self._env.reset(num_players=self._players, seed=seed))
        done = self._alone(self._until_mine)
        return self._news() if not done else "The game is over."

    def step(self, action: str) -> Step:
        """One move of the model, and those of its opponents."""
        found: Step = self._alone(lambda: self._step(action))
        return found

    def _step(self, action: str) -> Step:
        done, info = self._env.step(action=action)
        done = done or self._until_mine()
        if not done:
            return self._news(), 0.0, False, False, dict(info or {})
        rewards, facts = self._env.close()
        own = (rewards or {}).get(0, 0.0)
        return "The game is over.", float(own), True, False, dict((facts or {}).get(0) or {})

    def _until_mine(self) -> bool:
        """Let the others play until it is the model's turn; whether the game is over."""
        while True:
            player, observation = self._env.get_observation()
            if player == 0:
                self._latest = _text(observation)
                return False
            if self._opponent is None:
                raise ConfigError(f"player {player} is to move, and env_args has no opponent")
            done, _ = self._env.step(action=self._opponent(_text(observation)))
            if done:
                return True

    def _news(self) -> str:
        """What was not yet said: the games repeat all of their history in each observation."""
        news = self._latest.removeprefix(self._seen).strip()
        self._seen = self._latest
        return news or self._latest

    def _alone(self, work: Callable[[], Any]) -> Any:
        with _LOCK:
            outside = random.getstate()
            random.setstate(self._random)
            try:
                return work()
            finally:
                self._random = random.getstate()
                random.setstate(outside)


def games() -> list[str]:
    """Names of all games.

    Raises:
        ConfigError: the package is not installed.
    """
    from importlib import import_module

    _package()
    return sorted(import_module("textarena.envs.registration").ENV_REGISTRY)


def _package() -> Any:
    try:
        import textarena
    except ImportError as error:
        raise ConfigError(
            f"games of textarena need the package: pip install 'slime-plugin-agent-gym[textarena]'"
            f" ({error})"
        ) from error
    return textarena


def _text(observation: Any) -> str:
    if isinstance(observation, str):
        return observation
    return "\n".join(str(message[1]) for message in observation)
