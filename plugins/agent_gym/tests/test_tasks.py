"""Conversations to imitate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import ConfigError
from slime_plugin_agent_gym import Options
from slime_plugin_agent_gym.tasks import conversations, main, write


def options(env: str = "number_guessing", **more: Any) -> Options:
    return Options(env=env, **more)


@pytest.mark.parametrize("env", ["number_guessing", "tic_tac_toe"])
def test_conversations_are_whole_episodes_that_end_with_the_model(env: str) -> None:
    rows = [row["messages"] for row in conversations(options(env), 50)]
    assert len(rows) == 50
    for messages in rows:
        roles = [message["role"] for message in messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
    assert len({len(messages) for messages in rows}) > 1


def test_the_guesser_guesses_what_is_still_possible_and_finds_it_more_or_less_soon() -> None:
    turns = []
    for row in conversations(options(env_args={"guesses": 20}, max_turns=20), 100):
        low, high = 1, 20
        said = [message["content"] for message in row["messages"]]
        for guess, told in zip(said[1::2], [*said[2::2], "correct"], strict=True):
            assert low <= int(guess) <= high
            low = int(guess) + 1 if told == "higher" else low
            high = int(guess) - 1 if told == "lower" else high
        turns.append(len(said) // 2)
    assert 3 < sum(turns) / len(turns) < 6


def test_the_mover_moves_to_free_fields() -> None:
    for row in conversations(options("tic_tac_toe"), 50):
        said = [message["content"] for message in row["messages"]]
        for shown, move in zip(said[::2], said[1::2], strict=True):
            assert "".join(shown.split("\n")[-3:])[int(move) - 1] == "."


def test_they_are_the_same_twice_and_others_with_another_seed() -> None:
    first = list(conversations(options(), 20))
    assert first == list(conversations(options(), 20))
    assert first != list(conversations(options(), 20, seed=1))


def test_messages_stand_as_the_options_say() -> None:
    given = options(action="tag", template="Hi.\n{observation}", max_turns=1)
    (row,) = conversations(given, 1)
    asked, said = (message["content"] for message in row["messages"])
    assert asked == "Hi.\nGuess a number from 1 to 20."
    assert said.startswith("<action>")
    assert said.endswith("</action>")


def test_other_environments_have_no_teacher() -> None:
    with pytest.raises(ConfigError, match="there are teachers of number_guessing, tic_tac_toe"):
        next(conversations(options("agent_worlds:Echo"), 1))


def test_the_sft_plugin_reads_what_is_written(tmp_path: Path) -> None:
    from slime_plugin_sft import Options as SftOptions
    from slime_plugin_sft.conversations import read_conversations

    path = write(tmp_path / "made" / "c.jsonl", options(), 5)
    read = read_conversations(path, SftOptions())
    assert len(read) == 5
    assert all(len(one.metadata["trained"]) == len(one.messages) // 2 for one in read)


def test_the_command_writes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.jsonl"
    main([str(path), "--env", "number_guessing", "--env-args", '{"most": 3}', "--count", "4"])
    assert capsys.readouterr().out == f"{path}\n"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["messages"][0]["content"] for row in rows] == ["Guess a number from 1 to 3."] * 4
