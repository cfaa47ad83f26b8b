"""Games of textarena."""

from __future__ import annotations

import asyncio
import importlib
import random
import sys
import types
from typing import Any

import pytest
from slime_hookspecs import ConfigError
from slime_plugin_agent_gym import Options
from slime_plugin_agent_gym.loading import check
from slime_plugin_agent_gym.world import EnvironmentFailed, opened


@pytest.fixture(autouse=True)
def textarena(monkeypatch: pytest.MonkeyPatch, life: list[str]) -> Any:
    """The stand-in under the package's name."""
    module = importlib.import_module("textarena_stand_in")
    registration = types.ModuleType("textarena.envs.registration")
    registration.ENV_REGISTRY = module.REGISTRY  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "textarena", module)
    monkeypatch.setitem(sys.modules, "textarena.envs.registration", registration)
    return module


TWO = {"players": 2, "opponent": "textarena_stand_in:opponent"}


async def play(seed: int, moves: str, game: str = "Die-v0", **args: Any) -> list[Any]:
    found: list[Any] = []
    async with opened(Options(env=f"textarena:{game}", env_args=args), seed) as world:
        found.append(await world.reset())
        for move in moves:
            outcome = await world.step(move)
            found.append((outcome.text, outcome.reward, outcome.terminated))
            if outcome.terminated:
                break
    return found


async def test_a_game_tells_what_is_new_and_pays_at_its_end() -> None:
    first, *steps, last = await play(3, "123456")
    assert first == "[GAME] Guess 1 to 6."
    for move, (text, reward, over) in enumerate(steps, 1):
        assert text.startswith(f"[Player 0] {move} 0.")
        assert "\n" not in text
        assert (reward, over) == (0.0, False)
    assert last == ("The game is over.", 1.0, True)


async def test_rows_are_read_like_texts() -> None:
    assert await play(3, "12", "Die-v0-raw") == await play(3, "12")


async def test_arguments_go_to_the_game() -> None:
    assert (await play(3, "", sides=20))[0] == "[GAME] Guess 1 to 20."


@pytest.mark.parametrize("args", [{}, TWO])
async def test_a_seed_is_a_game_however_many_are_played_side_by_side(args: dict[str, Any]) -> None:
    alone = [await play(seed, "123456", **args) for seed in range(8)]
    random.seed(99)
    together = await asyncio.gather(*(play(seed % 8, "123456", **args) for seed in range(40)))
    assert together == alone * 5
    assert len({str(game) for game in alone}) > 4


async def test_a_game_leaves_the_global_generator_as_it_was() -> None:
    random.seed(5)
    before = random.getstate()
    await play(3, "123456", **TWO)
    assert random.getstate() == before


async def test_the_opponent_moves_in_between_and_may_win() -> None:
    games = [await play(seed, "555555", **TWO) for seed in range(12)]
    ends = {game[-1][1:] for game in games}
    assert (-1.0, True) in ends
    assert any("[Player 1]" in game[1][0] for game in games)
    losing = await play(3, "0", players=2, opponent="textarena_stand_in:loser")
    assert losing[1][0].split("\n")[1].startswith("[Player 1] 0 ")


@pytest.mark.parametrize(
    ("env", "args", "message"),
    [
        ("textarena:Dei-v0", {}, "textarena has no game 'Dei-v0'; did you mean 'Die-v0'"),
        ("textarena:Die-v0", {"players": 2}, "Die-v0 with 2 players needs env_args.opponent"),
        ("textarena:Die-v0", {"players": 2, "opponent": "nowhere:f"}, "importing 'nowhere'"),
        ("textarena:Die-v0", {"side": 2}, "raised TypeError"),
    ],
)
def test_games_that_cannot_be_made_are_refused(
    env: str, args: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check(Options(env=env, env_args=args))


def test_without_the_package_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "textarena", None)
    with pytest.raises(ConfigError, match=r"pip install 'slime-plugin-agent-gym\[textarena\]'"):
        check(Options(env="textarena:Die-v0"))


async def test_a_game_that_fails_is_the_samples_failure(
    textarena: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(self: Any, action: str) -> Any:
        raise KeyError("no such move")

    monkeypatch.setattr(textarena.Game, "step", step)
    with pytest.raises(EnvironmentFailed, match=r"'textarena:Die-v0' .* KeyError"):
        await play(3, "1")
