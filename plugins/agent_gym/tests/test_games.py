"""The two games that come with the package."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slime_plugin_agent_gym.games.number_guessing import NumberGuessing
from slime_plugin_agent_gym.games.tic_tac_toe import LINES, TicTacToe, free, won


def number(seed: int, most: int = 20) -> int:
    game = NumberGuessing(most, most)
    game.reset(seed)
    return next(n for n in range(1, most + 1) if game.step(n)[0] == "correct")


def test_the_number_is_told_to_be_higher_or_lower_until_it_is_found() -> None:
    secret = number(4)
    game = NumberGuessing()
    assert game.reset(4) == ("Guess a number from 1 to 20.", {})
    assert game.step(str(secret - 1)) == ("higher", 0.0, False, False, {})
    assert game.step(secret + 1) == ("lower", 0.0, False, False, {})
    assert game.step(f" {secret}\n") == ("correct", 1.0, True, False, {})


def test_the_last_guess_ends_the_game() -> None:
    game = NumberGuessing(20, 2)
    game.reset(4)
    assert game.step("0")[2:4] == (False, False)
    assert game.step("0")[2:4] == (False, True)
    game.reset(4)
    game.step("0")
    assert game.step(number(4))[1:4] == (1.0, True, False)


@pytest.mark.parametrize("action", ["", "x", "1.5", "-3", "٣", "1e1", "9" * 10, None, [1], "1 2"])
def test_what_is_no_number_is_a_guess_lost(action: Any) -> None:
    game = NumberGuessing()
    game.reset(4)
    assert game.step(action) == ("not a number", 0.0, False, False, {})


def test_numbers_depend_on_the_seed_and_are_spread_evenly() -> None:
    assert [number(seed) for seed in range(5)] == [number(seed) for seed in range(5)]
    counts = Counter(number(seed, 5) for seed in range(500))
    assert set(counts) == {1, 2, 3, 4, 5}
    assert min(counts.values()) > 60


@given(st.integers(), st.lists(st.integers(-5, 30), max_size=12))
def test_shaped_rewards_add_up_to_1_where_the_number_is_found(
    seed: int, guesses: list[int]
) -> None:
    secret = number(seed)
    game = NumberGuessing(20, 99, shaped=True)
    game.reset(seed)
    rewards = [game.step(guess)[1] for guess in guesses if guess != secret]
    assert all(0 <= reward < 1 for reward in rewards)
    assert sum(rewards) + game.step(secret)[1] == pytest.approx(1.0)


def test_a_useless_guess_is_worth_nothing() -> None:
    game = NumberGuessing(20, 9, shaped=True)
    game.reset(4)
    low = number(4) - 1
    assert game.step(low)[1] > 0
    assert game.step(low)[1] == 0.0
    assert game.step("x")[1] == 0.0


def board(text: str) -> list[str]:
    return list(text.replace(" ", ""))


@pytest.mark.parametrize(
    ("text", "winner"),
    [
        ("XXX OO. ...", "X"),
        ("O.X O.X OX.", "O"),
        ("X.. .X. ..X", "X"),
        ("..O .O. O..", "O"),
        ("XOX XOO OXX", ""),
        ("... ... ...", ""),
    ],
)
def test_three_in_a_line_win(text: str, winner: str) -> None:
    assert won(board(text)) == winner
    assert len(set(LINES)) == 8


def play(seed: int, policy: random.Random) -> tuple[list[str], float]:
    game = TicTacToe()
    shown = [game.reset(seed)[0]]
    while True:
        fields = free(list("".join(shown[-1].split("\n")[-3:])))
        text, reward, over, cut, _ = game.step(str(policy.choice(fields) + 1))
        assert not cut
        shown.append(text)
        if over:
            return shown, reward


def test_a_game_is_played_to_its_end_by_the_rules() -> None:
    rewards = Counter[float]()
    for seed in range(300):
        shown, reward = play(seed, random.Random(seed))
        last = list(shown[-1].replace("\n", ""))
        assert reward == {"X": 1.0, "O": 0.0, "": 0.5}[won(last)]
        assert won(last) or not free(last)
        assert 0 <= last.count("X") - last.count("O") <= 1
        rewards[reward] += 1
    assert rewards[1.0] > rewards[0.0] > rewards[0.5] > 0


def test_the_other_player_moves_the_same_for_the_same_seed() -> None:
    first, second = (play(3, random.Random(1)) for _ in range(2))
    assert first == second
    assert len({str(play(seed, random.Random(1))[0]) for seed in range(20)}) > 10


@pytest.mark.parametrize("action", ["0", "10", "x", "", "5 ", "-1", "1.0", "٥"])
def test_a_move_that_is_none_loses(action: str) -> None:
    game = TicTacToe()
    game.reset(1)
    game.step("5")
    text, reward, over, _, info = game.step(action)
    assert (text, reward, over, info) == (
        "That is no free field. You lose.",
        0.0,
        True,
        {"winner": "O"},
    )


def test_a_draw_is_worth_what_is_said() -> None:
    class Obliging(random.Random):
        def choice(self, fields: Any) -> Any:
            return next(place for place in (1, 4, 6, 5) if place in fields)

    game = TicTacToe(draw=0.25)
    game.reset(0)
    game._random = Obliging()
    moves = [game.step(str(place + 1)) for place in (0, 2, 3, 7, 8)]
    assert [step[1:3] for step in moves] == [*[(0.0, False)] * 4, (0.25, True)]
