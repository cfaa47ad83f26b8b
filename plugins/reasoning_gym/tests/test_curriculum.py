"""When a level goes up, when it goes down, and when nothing is learnt of it."""

from __future__ import annotations

from typing import Any

import pytest
from slime_hookspecs import KEEP, Group, Prompt, Reward, SampleError, Verdict
from slime_hookspecs.testing.kit import make_context, make_run, make_sample
from slime_plugin_reasoning_gym import Options, opened, slime_data_source, slime_on_group
from slime_plugin_reasoning_gym.curriculum import Curriculum
from slime_plugin_reasoning_gym.datasets import Dataset
from slime_plugin_reasoning_gym.library import Recipe


def curriculum(level: int | None = 1, levels: int = 3, **options: Any) -> Curriculum:
    chosen = {"curriculum": True, "curriculum_window": 2, "raise_at": 0.75, "lower_at": 0.25}
    one = Dataset("d", Recipe("counts", "{}", level), levels=levels)
    return Curriculum([one], Options(**{**chosen, **options}))


def group(*solved: float | None, level: int | None = 1, name: str = "d") -> Group:
    """Samples by whether they solved the problem; ``None`` failed."""
    prompt = Prompt("p", [], metadata={"dataset": name, "level": level})
    samples = []
    for one in solved:
        made = make_sample(prompt, reward=one)
        if one is None:
            made.error = SampleError("x", "slime_reward", "ValueError", "no")
        else:
            made.rewards = {"other": Reward(5.0), "rg": Reward(one, {"solved": one})}
        samples.append(made)
    return Group(0, prompt, samples)


@pytest.mark.parametrize(
    ("groups", "level"),
    [
        ([(1.0, 1.0)], 1),  # The window is not full.
        ([(1.0, 1.0), (1.0, 1.0)], 2),
        ([(1.0, 1.0), (0.5, 0.5)], 2),
        ([(1.0, 0.0), (1.0, 1.0)], 2),
        ([(1.0, 0.0), (1.0, 0.0)], 1),
        ([(0.0, 0.0), (0.0, 0.0)], 0),
        ([(0.0, 0.0), (0.5, 0.5)], 1),
        ([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)], 2),  # The oldest group has left the window.
        ([(1.0, 1.0, None), (1.0, None)], 2),  # Samples that failed tell nothing.
        ([(None, None), (None,)], 1),
        ([(), ()], 1),
    ],
)
def test_the_level_follows_the_success_of_a_window(
    groups: list[tuple[float | None, ...]], level: int
) -> None:
    found = curriculum()
    for solved in groups:
        found.see(group(*solved))
    assert found.levels == {"d": level}


def test_a_new_level_begins_with_an_empty_window() -> None:
    found = curriculum(0)
    for _ in range(2):
        found.see(group(1.0, level=0))
    assert found.state() == {"d": {"level": 1, "seen": []}}
    found.see(group(1.0))
    assert found.levels == {"d": 1}
    found.see(group(1.0))
    assert found.levels == {"d": 2}


@pytest.mark.parametrize(("level", "solved"), [(2, 1.0), (0, 0.0)])
def test_levels_end_at_the_top_and_at_the_bottom(level: int, solved: float) -> None:
    found = curriculum(level)
    for _ in range(9):
        found.see(group(solved, level=level))
    assert found.levels == {"d": level}


@pytest.mark.parametrize(
    "other", [{"level": 0}, {"level": 2}, {"level": None}, {"name": "e"}, {"name": "d "}]
)
def test_groups_of_other_levels_and_data_sets_tell_nothing(other: dict[str, Any]) -> None:
    found = curriculum()
    for _ in range(4):
        found.see(group(1.0, **other))
    assert found.state() == {"d": {"level": 1, "seen": []}}


def test_without_a_curriculum_a_level_stays() -> None:
    for still in (curriculum(curriculum=False), curriculum(None, levels=0)):
        before = still.levels.copy()
        for _ in range(4):
            still.see(group(1.0, level=before["d"]))
        assert still.levels == before


def test_rewards_of_other_plugins_tell_nothing() -> None:
    found = curriculum()
    prompt = Prompt("p", [], metadata={"dataset": "d", "level": 1})
    sample = make_sample(prompt, reward=1.0, rewards={"other": Reward(1.0, {"correct": 1.0})})
    found.see(Group(0, prompt, [sample]))
    assert found.state()["d"]["seen"] == []


def test_a_run_moves_the_curriculum_of_its_own_source(stand_in: None) -> None:
    options = Options(
        tasks=["counts"], curriculum=True, curriculum_window=1, eval_size=0, timeout_s=2.5
    )
    runs = [make_run(name=name) for name in ("one", "two")]
    one, two = (slime_data_source(options, run) for run in runs)
    (prompt,) = one.take(1)
    assert prompt.id.startswith("counts/level0/")
    sample = make_sample(prompt, reward=1.0, rewards={"rg": Reward(1.0, {"solved": 1.0})})
    dropped = Verdict(keep=False, reason="zero_variance")
    for verdict in (KEEP, dropped):
        level = one.curriculum.levels["counts"]
        prompt.metadata["level"] = level
        ctx = make_context(options=options, run=runs[0])
        slime_on_group(Group(0, prompt, [sample]), ctx)
        assert verdict in (KEEP, dropped)
    assert (one.curriculum.levels, two.curriculum.levels) == ({"counts": 1}, {"counts": 0})
    assert one.take(1)[0].id.startswith("counts/level1/")
    opened.see(Group(0, prompt, [sample]), make_run(name="a run without a source"))
