"""The stream of prompts: its order, its epochs, and where it continues."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slime_hookspecs import DataError, DataSource, Prompt
from slime_plugin_math_dapo import PromptSource


def prompts(count: int) -> list[Prompt]:
    return [Prompt(str(i), [{"role": "user", "content": f"{i}+1="}]) for i in range(count)]


def source(count: int = 10, seed: int = 0, shuffle: bool = True) -> PromptSource:
    return PromptSource(prompts(count), seed, shuffle=shuffle)


def ids(taken: list[Prompt]) -> list[str]:
    return [prompt.id for prompt in taken]


def test_it_is_a_data_source() -> None:
    assert isinstance(source(), DataSource)


def test_each_epoch_has_every_prompt_once_in_an_order_of_its_own() -> None:
    stream = source()
    first, second = ids(stream.take(10)), ids(stream.take(10))
    assert sorted(first) == sorted(second) == sorted(map(str, range(10)))
    assert first != second


def test_the_seed_fixes_the_order() -> None:
    assert ids(source(seed=3).take(25)) == ids(source(seed=3).take(25))
    assert ids(source(seed=3).take(25)) != ids(source(seed=4).take(25))


def test_without_shuffling_the_order_is_that_of_the_file() -> None:
    assert ids(source(3, shuffle=False).take(7)) == ["0", "1", "2", "0", "1", "2", "0"]


@given(
    count=st.integers(1, 7),
    before=st.lists(st.integers(0, 9), max_size=4),
    after=st.integers(0, 20),
    shuffle=st.booleans(),
)
def test_it_continues_exactly_after_the_last_prompt_taken(
    count: int, before: list[int], after: int, shuffle: bool
) -> None:
    stream = source(count, seed=1, shuffle=shuffle)
    for size in before:
        stream.take(size)
    state = json.loads(json.dumps(stream.state()))
    resumed = source(count, seed=99, shuffle=not shuffle)
    resumed.take(3)
    resumed.restore(state)
    assert resumed.state() == state
    assert ids(resumed.take(after)) == ids(stream.take(after))


def test_a_state_at_the_end_of_an_epoch_leads_into_the_next() -> None:
    stream = source(4)
    stream.take(4)
    resumed = source(4)
    resumed.restore(stream.state())
    assert ids(resumed.take(4)) == ids(source(4).take(8))[4:]


@pytest.mark.parametrize("changed", [prompts(9), [*prompts(9), Prompt("9", [], label="x")]])
def test_other_data_than_the_checkpoint_had_is_refused(changed: list[Prompt]) -> None:
    with pytest.raises(DataError, match="changed since the checkpoint: it had 10 prompts"):
        PromptSource(changed, 0, shuffle=True).restore(source(10).state())
