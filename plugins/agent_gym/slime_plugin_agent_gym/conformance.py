"""What this plugin tells the conformance suite: a guessing game, first guesses, an episode."""

from __future__ import annotations

from typing import Final

from slime_hookspecs import Conformance, Example, Prompt

from slime_plugin_agent_gym.games.number_guessing import NumberGuessing
from slime_plugin_agent_gym.options import PLACEHOLDER

#: A guess, one without a number, an empty one, and more guesses.
REPLIES: Final = ("10", "I think it is 7", " ", "3", "17", "99999999999", "5", "12")
SEEDS: Final = range(4)
MOST: Final = 9


def conformance() -> Conformance:
    """Samples of no episode are scored by their response as the only guess."""
    return Conformance(
        capabilities=frozenset({"deterministic", "multi_turn"}),
        options={"env": "number_guessing", "env_args": {"most": MOST}, "size": 30, "eval_size": 5},
        gold=[_example(seed, f" {_number(seed)}\n") for seed in SEEDS],
        bad=[
            _example(seed, text)
            for seed in SEEDS
            for text in (str(_number(seed) + 1), f"{_number(seed)} or 3", "0", "-1", "one")
        ],
        reward_range=(0.0, 1.0),
        replies=REPLIES,
        exempt={
            "eval_sets.held_out": "what is held out is the seed, in the label: messages of all "
            "prompts are one template, and the environment fills it in the episode"
        },
    )


def _number(seed: int) -> int:
    """The number that the game of a seed has: found by guessing."""
    game = NumberGuessing(most=MOST, guesses=MOST)
    game.reset(seed)
    return next(guess for guess in range(1, MOST + 1) if game.step(guess)[2])


def _example(seed: int, response: str) -> Example:
    return Prompt(f"example/{seed}", [{"role": "user", "content": PLACEHOLDER}], seed), response
