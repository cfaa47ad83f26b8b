"""Options, and every way of getting them wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest
from slime_hookspecs import ConfigError
from slime_plugin_reasoning_gym import Options
from slime_plugin_reasoning_gym.datasets import Dataset, datasets
from slime_plugin_reasoning_gym.generator import Generator
from slime_plugin_reasoning_gym.library import Recipe


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"template": "no"}, "template is 'no', without {question}"),
        ({"answer_tag": "a b"}, "answer_tag is 'a b', not a tag's name"),
        ({"size": -1}, "size is -1; it must be 0 to"),
        ({"format_reward": 1.5}, "format_reward is 1.5; it must be 0.0 to 1.0"),
        ({"format_reward": float("nan")}, "format_reward is nan"),
        ({"eval_size": -1}, "eval_size is -1"),
        ({"curriculum_window": 0}, "curriculum_window is 0"),
        ({"timeout_s": 0}, "timeout_s is 0"),
        ({"max_failures": -1}, "max_failures is -1"),
        ({"raise_at": 0.5, "lower_at": 0.5}, "lower_at is 0.5, not below raise_at, which is 0.5"),
        ({"eval_levels": [0, -1]}, "eval_levels has -1; each must be 0 or more"),
        ({"datasets": {"a b": {}}}, "datasets.a b: a name has letters, digits, _ and -"),
        ({"datasets": {"a": {"wieght": 1}}}, "datasets.a has no 'wieght'; did you mean 'weight'"),
        ({"datasets": {"a": {"weight": 0}}}, "datasets.a.weight is 0; it must be above 0"),
        ({"datasets": {"a": {"weight": "2"}}}, "datasets.a.weight is '2', which is not a number"),
        ({"datasets": {"a": {"weight": True}}}, "datasets.a.weight is True"),
        ({"datasets": {"a": {"level": -1}}}, "datasets.a.level is -1; it must be 0 or more"),
        ({"datasets": {"a": {"level": 1.5}}}, "level is 1.5, which is not a whole number"),
        ({"datasets": {"a": {"task": 1}}}, "datasets.a.task is 1, which is not the name of a task"),
        ({"datasets": {"a": {"config": []}}}, "config is [], which is not a table of the task's"),
        ({"datasets": {"a": {"config": {"seed": 1}}}}, "set reasoning_gym.seed instead"),
        ({"datasets": {"a": {"config": {"size": 1}}}}, "set reasoning_gym.size instead"),
    ],
)
def test_values_that_no_task_can_serve_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Options(**options)


def found(generator: Generator, **options: Any) -> list[Dataset]:
    return datasets(Options(**options), generator)


def test_data_sets_are_named_by_task_category_or_table(generator: Generator) -> None:
    own = {"config": {"least": 5}, "weight": 2, "task": "counts"}
    assert found(generator, tasks=["counts"], datasets={"own": own}) == [
        Dataset("counts", Recipe("counts"), 1.0, 2),
        Dataset("own", Recipe("counts", '{"least": 5}'), 2.0, 2),
    ]
    names = [one.name for one in found(generator, tasks=["bad", "counting"])]
    assert names == ["crashes", "hangs", "odd", "prints", "raises", "counts"]
    assert len(found(generator, tasks=["all", "counts"])) == 6


def test_a_table_replaces_the_task_of_its_name(generator: Generator) -> None:
    (one,) = found(generator, tasks=["counts"], datasets={"counts": {"weight": 3.0}})
    assert one == Dataset("counts", Recipe("counts"), 3.0, 2)


def test_a_curriculum_begins_at_the_lowest_level_or_where_it_is_told(generator: Generator) -> None:
    tables = {"high": {"task": "counts", "level": 1}, "odd": {}}
    given = {"tasks": ["counts"], "datasets": tables, "curriculum": True}
    levels = {one.name: one.recipe.level for one in found(generator, **given)}
    assert levels == {"counts": 0, "high": 1, "odd": None}
    fixed = found(generator, **{**given, "curriculum": False})
    assert {one.name: one.recipe.level for one in fixed} == {"counts": None, "high": 1, "odd": None}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing to train on; name tasks with --reasoning-gym.tasks TASK"),
        ({"tasks": ["conuts"]}, "no task or category 'conuts'; did you mean 'counts'"),
        ({"datasets": {"own": {"task": "bad"}}}, "own: 'bad' is not the name of one task"),
        ({"datasets": {"own": {}}}, "no task or category 'own'"),
        ({"tasks": ["composite"]}, "no task or category 'composite'"),
        (
            {"datasets": {"counts": {"config": {"lest": 1}}}},
            "no parameter 'lest'; did you mean 'least'?; it has least, spread",
        ),
        (
            {"datasets": {"counts": {"config": {"spread": 0}}}},
            "task 'counts' refuses the parameters {\"spread\": 0}: AssertionError: spread must be",
        ),
        ({"datasets": {"counts": {"level": 2}}}, "level is 2; task 'counts' has levels 0 to 1"),
        ({"datasets": {"odd": {"level": 0}}}, "level is 0; task 'odd' has none"),
    ],
)
def test_what_the_package_does_not_have_is_refused_by_name(
    generator: Generator, options: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        found(generator, **options)
