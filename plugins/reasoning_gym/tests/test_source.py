"""The stream of problems: which come, under which ids, and where it continues."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slime_hookspecs import DataError, DataSource, Group, Reward
from slime_hookspecs.testing.kit import make_sample
from slime_plugin_reasoning_gym.datasets import FIRST_HELD_OUT, first_seed
from slime_plugin_reasoning_gym.source import ProblemSource

Make = Callable[..., ProblemSource]

TWO = {"tasks": [], "datasets": {"a": {"task": "counts"}, "b": {"task": "counts", "weight": 3}}}


def ids(source: ProblemSource, count: int) -> list[str]:
    return [prompt.id for prompt in source.take(count)]


def see(source: ProblemSource, level: int, *solved: float, name: str = "counts") -> None:
    """Tell its curriculum of a group."""
    prompt = source.take(1)[0]
    prompt.metadata.update(dataset=name, level=level)
    samples = [
        make_sample(prompt, reward=one, rewards={"rg": Reward(one, {"solved": one})})
        for one in solved
    ]
    source.curriculum.see(Group(0, prompt, samples))


def test_a_prompt_has_all_that_the_scorer_needs(make_source: Make) -> None:
    source = make_source(
        template="Q: {question}\nA:", datasets={"counts": {"config": {"least": 2}}}
    )
    (prompt,) = source.take(1)
    seed = first_seed("counts", 0)
    number = str(2 + seed % 1_000_000)
    assert prompt.id == f"counts/{seed}"
    assert prompt.messages == [{"role": "user", "content": f"Q: Task {number}?\nA:"}]
    assert prompt.metadata == {"dataset": "counts", "level": None}
    at = prompt.label["metadata"].pop("at")
    assert at == {"!tuple": [seed % 32, {"!set": [int(number)]}]}
    assert {k: v for k, v in prompt.label.items() if k != "metadata"} == {
        "task": "counts",
        "answer": number,
        "config": '{"least": 2}',
        "scope": "inclusive",
        "level": None,
    }


def test_it_is_a_data_source_of_new_problems_without_end(make_source: Make) -> None:
    source = make_source()
    assert isinstance(source, DataSource)
    assert len(set(ids(source, 500))) == 500
    assert ids(source, 0) == []


def test_the_seed_fixes_problems_and_order(make_source: Make) -> None:
    assert ids(make_source(3, **TWO), 40) == ids(make_source(3, **TWO), 40)
    assert not set(ids(make_source(3, **TWO), 40)) & set(ids(make_source(4, **TWO), 40))


def test_weights_say_how_often_a_data_set_is_drawn(make_source: Make) -> None:
    source = make_source(**TWO)
    drawn = Counter(prompt.metadata["dataset"] for prompt in source.take(800))
    assert 540 < drawn["b"] < 660
    assert drawn["a"] + drawn["b"] == 800


def test_with_a_size_the_same_problems_come_again_under_the_same_ids(make_source: Make) -> None:
    taken = ids(make_source(size=5), 12)
    assert taken == [*taken[:5], *taken[:5], *taken[:2]]
    assert len(set(taken)) == 5


def test_taking_many_keeps_none(make_source: Make) -> None:
    source = make_source()
    source.take(50)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(30):
        source.take(50)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 100_000


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    before=st.lists(st.integers(0, 5), max_size=4),
    seen=st.lists(st.sampled_from([0.0, 0.5, 1.0]), max_size=6),
    after=st.integers(0, 9),
)
def test_it_continues_exactly_after_the_last_prompt_taken(
    make_source: Make, before: list[int], seen: list[float], after: int
) -> None:
    options: Any = {**TWO, "curriculum": True, "curriculum_window": 2, "size": 7}
    source = make_source(1, **options)
    for count in before:
        source.take(count)
    for one in seen:
        see(source, source.curriculum.levels["a"] or 0, one, name="a")
    state = json.loads(json.dumps(source.state()))
    other = make_source(99, **options)
    other.take(3)
    other.restore(state)
    assert other.state() == state
    assert ids(other, after) == ids(source, after)
    for _ in range(3):
        see(source, source.curriculum.levels["a"] or 0, 1.0, name="a")
        see(other, other.curriculum.levels["a"] or 0, 1.0, name="a")
    assert other.state() == source.state()


def test_a_state_of_other_data_sets_is_refused(make_source: Make) -> None:
    state = make_source(**TWO).state()
    with pytest.raises(DataError, match="it had a, b, and now there are counts"):
        make_source().restore(state)


def test_a_state_does_not_change_when_the_source_goes_on(make_source: Make) -> None:
    source = make_source(curriculum=True)
    source.take(2)
    state = source.state()
    text = json.dumps(state)
    see(source, 0, 1.0)
    assert json.dumps(state) == text


def test_problems_that_fail_are_left_out_with_a_warning(
    make_source: Make, caplog: pytest.LogCaptureFixture
) -> None:
    taken = make_source(tasks=["odd"]).take(10)
    assert len({prompt.id for prompt in taken}) == 10
    assert all(int(prompt.label["answer"]) % 2 == 0 for prompt in taken)
    assert "data set 'odd' of reasoning_gym: problem" in caplog.text
    assert "was not made: ValueError: odd; the next one is taken instead" in caplog.text


@pytest.mark.parametrize("task", ["raises", "crashes"])
def test_a_data_set_that_always_fails_stops_the_run_and_is_named(
    make_source: Make, task: str
) -> None:
    source = make_source(tasks=[task], max_failures=2)
    with pytest.raises(DataError, match=f"data set '{task}' of reasoning_gym: .*\n.*the 2 before"):
        source.take(1)


def test_held_out_questions_are_never_given(make_source: Make) -> None:
    small = {"datasets": {"counts": {"config": {"spread": 4}}}}
    never = frozenset({"Task 0?", "Task 3?"})
    taken = make_source(held_out=never, **small).take(20)
    assert {prompt.messages[0]["content"] for prompt in taken} == {"Task 1?", "Task 2?"}


def test_a_data_set_with_none_but_held_out_questions_is_too_small(make_source: Make) -> None:
    source = make_source(
        held_out=frozenset({"Task 0?"}), datasets={"counts": {"config": {"spread": 1}}}
    )
    with pytest.raises(DataError, match=r"'counts' .*1000 problems in a row .*eval_size"):
        source.take(1)


@given(st.text(max_size=8), st.integers())
def test_seeds_to_train_on_and_held_out_ones_never_meet(name: str, seed: int) -> None:
    # 2**30 problems of training later, seeds begin again below the held-out ones.
    assert 0 <= first_seed(name, seed) < 2**30
    held_out = first_seed(name, seed, held_out=True)
    assert FIRST_HELD_OUT <= held_out < FIRST_HELD_OUT + 2**30


def test_seeds_of_training_wrap_below_the_held_out_ones(make_source: Make) -> None:
    source = make_source()
    source.restore({**source.state(), "next": {"counts": 2**31 - first_seed("counts", 0) - 1}})
    assert ids(source, 3) == ["counts/2147483647", "counts/0", "counts/1"]
