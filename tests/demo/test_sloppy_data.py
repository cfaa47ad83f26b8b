"""The cold-start data: training problems only, and a teacher who is right three times in ten."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from slime_plugin_math_dapo import addition

from slime_core.demo.data import problems, sloppy_answer, split, write_sloppy_sft


def test_the_split_is_that_of_the_task() -> None:
    assert problems() == addition.problems()
    assert split() == addition.problems()


def test_training_and_held_out_problems_are_all_additions_and_never_the_same() -> None:
    train, held_out = problems()
    assert (len(train), len(held_out)) == (800, 200)
    assert set(train) | set(held_out) == {(a, b) for a in range(100) for b in range(10)}


def test_the_teacher_is_right_three_times_in_ten_and_mostly_one_too_high() -> None:
    rng = random.Random(0)
    errors = Counter(sloppy_answer((37, 5), rng) - 42 for _ in range(20_000))
    total = errors.total()
    assert errors[0] / total == pytest.approx(0.30, abs=0.015)
    # 2, 3, 10, -1 and -2 share what remains
    assert errors[1] / total == pytest.approx(0.55, abs=0.015)
    assert set(errors) == {0, 1, -1, -2, 2, 3, 10}
    assert errors[10] / total == pytest.approx(0.03, abs=0.006)


def test_no_answer_is_negative() -> None:
    rng = random.Random(0)
    assert min(sloppy_answer((0, 0), rng) for _ in range(2_000)) == 0


def test_rows_are_conversations_in_the_tasks_words(tmp_path: Path) -> None:
    file = write_sloppy_sft(tmp_path / "x.jsonl", rows=500, seed=3)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    questions = {addition.question(p): p for p in addition.problems()[0]}
    assert len(rows) == 500
    for row in rows:
        user, assistant = row["messages"]
        assert (user["role"], assistant["role"]) == ("user", "assistant")
        a, b = questions[user["content"]]
        assert assistant["content"].startswith("Answer: ")
        assert abs(int(assistant["content"].removeprefix("Answer: ")) - a - b) <= 10


def test_a_right_answer_is_spelled_as_the_reward_wants_it(tmp_path: Path) -> None:
    file = write_sloppy_sft(tmp_path / "x.jsonl", rows=2_000)
    answers = {addition.question(p): addition.answer(p) for p in addition.problems()[0]}
    rows = [json.loads(line)["messages"] for line in file.read_text().splitlines()]
    right = [answers[user["content"]] == assistant["content"] for user, assistant in rows]
    assert sum(right) / len(right) == pytest.approx(0.30, abs=0.05)


def test_the_seed_decides_the_file(tmp_path: Path) -> None:
    files = [
        write_sloppy_sft(tmp_path / f"{i}", rows=50, seed=seed).read_text()
        for i, seed in enumerate((1, 1, 2))
    ]
    assert files[0] == files[1] != files[2]
