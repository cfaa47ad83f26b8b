"""Conversations to imitate, in the form that ``sft`` reads: whole episodes of a simple teacher.

The teacher of ``number_guessing`` guesses at random among the numbers that are still possible, and
the one of ``tic_tac_toe`` moves at random to a free field; both are far from the best, so that
reinforcement learning has something to win.

``python -m slime_plugin_agent_gym.tasks conversations.jsonl --env number_guessing``
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from slime_hookspecs import ConfigError, Message

from slime_plugin_agent_gym.games.tic_tac_toe import free
from slime_plugin_agent_gym.loading import factory
from slime_plugin_agent_gym.options import PLACEHOLDER, Options
from slime_plugin_agent_gym.seeds import teacher_seed

Teacher: TypeAlias = Callable[[Sequence[str], random.Random], str]
"""Chooses an action by the observations so far, first to last."""


def guesser(seen: Sequence[str], rng: random.Random) -> str:
    """A number that is still possible. Its own guesses it keeps in mind as it makes them."""
    low, high = 1, int(seen[0].rstrip(".").rpartition(" ")[2])
    for guess, told in zip(seen[1::2], seen[2::2], strict=False):
        if told == "higher":
            low = int(guess) + 1
        elif told == "lower":
            high = int(guess) - 1
    return str(rng.randint(low, high))


def mover(seen: Sequence[str], rng: random.Random) -> str:
    """A free field."""
    board = list("".join(seen[-1].split("\n")[-3:]))
    return str(rng.choice(free(board)) + 1)


TEACHERS: Final[Mapping[str, Teacher]] = {"number_guessing": guesser, "tic_tac_toe": mover}


def conversations(options: Options, count: int, *, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Rows with messages, an episode each, of seeds that are not held out.

    Args:
        options: Which game, and how actions are written.
        count: How many rows.
        seed: Of games and teacher.

    Raises:
        ConfigError: the environment has no teacher.
    """
    if options.env not in TEACHERS:
        known = ", ".join(TEACHERS)
        raise ConfigError(f"agent_gym.env is {options.env!r}; there are teachers of {known}")
    rng = random.Random(f"{seed}/teacher")
    for place in range(count):
        yield {"messages": _episode(options, teacher_seed(seed, place), rng)}


def write(path: Path, options: Options, count: int, *, seed: int = 0) -> Path:
    """Write conversations as JSON Lines, for ``--sft.data``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for row in conversations(options, count, seed=seed):
            file.write(json.dumps(row) + "\n")
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Write conversations from the command line."""
    parser = argparse.ArgumentParser(prog="python -m slime_plugin_agent_gym.tasks")
    parser.add_argument("file", type=Path, help="where to write")
    parser.add_argument("--env", choices=sorted(TEACHERS), required=True, help="which game")
    parser.add_argument("--env-args", type=json.loads, default={}, help="its arguments, as JSON")
    parser.add_argument("--count", type=int, default=2000, help="how many episodes")
    parser.add_argument("--seed", type=int, default=0, help="seed of all of it")
    found = parser.parse_args(arguments)
    options = Options(env=found.env, env_args=found.env_args)
    print(write(found.file, options, found.count, seed=found.seed))


def _episode(options: Options, seed: int, rng: random.Random) -> list[Message]:
    env, teacher = factory(options.env)(**options.env_args), TEACHERS[options.env]
    observation = env.reset(seed)[0]
    seen = [observation]
    messages: list[Message] = [
        {"role": "user", "content": options.template.replace(PLACEHOLDER, observation)}
    ]
    for _ in range(options.max_turns):
        action = teacher(seen, rng)
        messages.append({"role": "assistant", "content": _written(action, options)})
        observation, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            break
        seen += [action, observation]
        messages.append({"role": "user", "content": observation})
    while messages[-1]["role"] == "user":
        messages.pop()
    return messages


def _written(action: str, options: Options) -> str:
    if options.action == "response":
        return action
    return f"<{options.action_tag}>{action}</{options.action_tag}>"


if __name__ == "__main__":
    main()
