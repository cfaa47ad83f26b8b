"""Demonstrations for supervised fine-tuning: their form is that of the episodes to come."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from slime_hookspecs.testing.kit import ScriptedEngine, make_context, make_run, make_sample
from slime_hookspecs.testing.kit.calls import call
from slime_plugin_multi_turn_tools import Options, slime_generate, tasks, verify
from slime_plugin_multi_turn_tools.tools.calculator import CALCULATOR, evaluate
from slime_plugin_sft import Options as SftOptions
from slime_plugin_sft.conversations import read_conversations
from slime_plugin_sft.segments import split

PROBLEM = (37, 58)


def test_a_demonstration_calls_and_repeats_the_result() -> None:
    assert tasks.demonstration(PROBLEM) == [
        {"role": "user", "content": "37*58="},
        {
            "role": "assistant",
            "content": '<tool_call>\n{"name": "calculator", "arguments": '
            '{"expression": "37*58"}}\n</tool_call>',
        },
        {"role": "tool", "tool_call_id": "call00100", "name": "calculator", "content": "2146"},
        {"role": "assistant", "content": "Answer: 2146"},
    ]


def test_for_templates_that_know_calls_the_call_is_a_message() -> None:
    _, turn, _, _ = tasks.demonstration(PROBLEM, as_text=False)
    assert turn == {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": "call00100",
                "type": "function",
                "function": {"name": "calculator", "arguments": {"expression": "37*58"}},
            }
        ],
    }


def test_what_is_asked_is_what_the_label_says() -> None:
    for problem in tasks.problems()[1]:
        assert evaluate(tasks.expression(problem)) == tasks.product(problem)
        answer = verify.extract(tasks.demonstration(problem)[-1]["content"])
        assert answer == tasks.prompt(problem).label


def test_a_guess_is_wrong_and_near() -> None:
    rng = random.Random(0)
    for problem in tasks.problems()[1]:
        asked, told = tasks.guess(problem, rng)
        assert asked == {"role": "user", "content": tasks.question(problem)}
        answer = int(verify.extract(told["content"]) or "")
        assert answer != tasks.product(problem)
        assert abs(answer - tasks.product(problem)) <= tasks.product(problem) // 10


@pytest.mark.parametrize(
    ("guesses", "least", "most"), [(0.0, 0, 0), (1.0, 500, 500), (0.7, 320, 380)]
)
def test_part_of_the_demonstrations_guesses(guesses: float, least: int, most: int) -> None:
    lengths = Counter(len(one) for one in tasks.demonstrations(500, guesses=guesses))
    assert least <= lengths[2] <= most
    assert lengths[2] + lengths[4] == 500


def test_demonstrations_are_of_training_problems_and_the_same_for_a_seed() -> None:
    found = list(tasks.demonstrations(300, seed=3))
    assert found == list(tasks.demonstrations(300, seed=3))
    assert found != list(tasks.demonstrations(300, seed=4))
    held_out = {tasks.question(problem) for problem in tasks.problems()[1]}
    assert not held_out & {one[0]["content"] for one in found}


def test_the_command_writes_what_the_function_does(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "slime_plugin_multi_turn_tools.tasks", "--rows", "20"]
    options = ["--out", str(tmp_path / "a.jsonl"), "--seed", "5", "--guesses", "0.5"]
    subprocess.run([*command, *options, "--calls", "messages"], check=True, timeout=60)
    expected = tasks.write_demonstrations(
        tmp_path / "b.jsonl", 20, seed=5, guesses=0.5, as_text=False
    )
    assert (tmp_path / "a.jsonl").read_text() == expected.read_text()
    rows = [json.loads(line) for line in expected.read_text().splitlines()]
    assert [sorted(row) for row in rows] == [["messages", "tools"]] * 20
    assert rows[0]["tools"] == [CALCULATOR.schema]


@pytest.mark.parametrize("as_text", [True, False])
async def test_a_demonstration_has_the_tokens_of_the_episode_that_it_shows(
    as_text: bool, tmp_path: Path
) -> None:
    path = tasks.write_demonstrations(tmp_path / "a.jsonl", 1, guesses=0.0, as_text=as_text)
    (conversation,) = read_conversations(path, SftOptions())
    question = conversation.messages[0]["content"]
    a, b = map(int, question.rstrip("=").split("*"))
    turn = tasks.call_text((a, b)) if as_text else call("calculator", expression=f"{a}*{b}")
    engine = ScriptedEngine([turn, f"Answer: {a * b}"])
    shown = split(conversation, engine)
    ctx = make_context(Options(task="products"), make_run())
    played = await slime_generate(make_sample(tasks.prompt((a, b))), engine, ctx)
    assert [list(one.tokens) for one in shown] == [
        list(one.tokens) for one in played.trace.segments
    ]
    assert [one.kind for one in shown] == ["prompt", "demonstrated", "observed", "demonstrated"]
