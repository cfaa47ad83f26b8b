"""What every generated package does with data, options and answers, whatever its name."""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from scaffold_support import NAMES, Made
from slime_hookspecs import ConfigError, DataError, Group, Sampling
from slime_hookspecs.datasets import accuracy
from slime_hookspecs.testing.kit import make_context, make_prompt, make_run, make_sample

from slime_core.scaffold import files, read_kind

Open = Callable[[str], ModuleType]

WITH_DATA = [kind for kind in NAMES if kind != "loss"]


@pytest.fixture
def opened(all_made: dict[str, Made], monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Imports the package of a kind from where it was written."""
    before = set(sys.modules)

    def open_package(kind: str) -> ModuleType:
        monkeypatch.syspath_prepend(str(all_made[kind].folder))
        return importlib.import_module(all_made[kind].package)

    yield open_package
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in {made.package for made in all_made.values()}:
            del sys.modules[name]


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("math", {"wrong": 1.0}, "sums.wrong is 1.0; it must be below 1"),
        ("math", {"wrong": float("nan")}, "sums.wrong is nan; it must be below 1"),
        ("multi-turn", {"turns": 0}, "guess_it.turns is 0; it must be 1 or more"),
        ("agent", {"turns": -1}, "price_agent.turns is -1; it must be 1 or more"),
        ("search", {"searches": 0}, "elements.searches is 0; it must be 1 or more"),
        ("search", {"top_k": 0}, "elements.top_k is 0; it must be 1 or more"),
        ("search", {"max_characters": 0}, "elements.max_characters is 0; it must be 1 or more"),
        ("loss", {"penalty": -1.0}, "near_policy.penalty is -1.0; it must be 0 or more"),
        ("loss", {"scale": 0.0}, "near_policy.scale is 0.0; it must be above 0"),
    ],
)
def test_an_option_out_of_range_is_refused_under_the_plugins_own_name(
    kind: str, options: dict[str, float], message: str, opened: Open
) -> None:
    with pytest.raises(ConfigError) as refused:
        opened(kind).Options(**options)
    assert str(refused.value) == message


#: Of each kind a row of data with a misspelt column, and what is said of it.
MISSPELT = [
    ("math", {"questoin": "1+1?", "answer": 2}, "question", "questoin"),
    ("math", {"question": "1+1?", "anwser": 2}, "answer", "anwser"),
    ("multi-turn", {"low": 1, "hihg": 9, "secret": 5}, "high", "hihg"),
    ("agent", {"tsak": "What?", "answer": 2}, "task", "tsak"),
    ("agent", {"task": "What?", "anwser": 2}, "answer", "anwser"),
    ("search", {"questoin": "Why?", "answers": ["a"]}, "question", "questoin"),
    ("search", {"question": "Why?", "answer": ["a"]}, "answers", "answer"),
]


@pytest.mark.parametrize(("kind", "row", "column", "near"), MISSPELT)
def test_a_misspelt_column_is_named_with_file_and_line_and_nothing_odd(
    kind: str, row: dict[str, Any], column: str, near: str, opened: Open, tmp_path: Path
) -> None:
    plugin, file = opened(kind), tmp_path / "mine.jsonl"
    file.write_text(json.dumps(row))
    known = ", ".join(map(repr, row))
    said = f"{file}:1: no column {column!r} among {known}; did you mean {near!r}?"
    for ask, options in (
        (plugin.slime_data_source, plugin.Options(data=str(file))),
        (plugin.slime_eval_sets, plugin.Options(eval_data=str(file))),
    ):
        with pytest.raises(DataError) as refused:
            ask(options, make_run()) if ask is plugin.slime_data_source else ask(options)
        assert str(refused.value) == said


@pytest.mark.parametrize("kind", WITH_DATA)
def test_a_file_that_is_not_there_is_named_with_the_nearest(
    kind: str, opened: Open, tmp_path: Path
) -> None:
    plugin = opened(kind)
    (tmp_path / "train.jsonl").write_text("{}")
    with pytest.raises(DataError, match=r"trian\.jsonl: no such file; did you mean .*train\.jsonl"):
        plugin.slime_data_source(plugin.Options(data=str(tmp_path / "trian.jsonl")), make_run())


@pytest.mark.parametrize("kind", WITH_DATA)
def test_held_out_data_is_measured_greedily_and_reports_what_was_right(
    kind: str, opened: Open
) -> None:
    plugin = opened(kind)
    (one,) = plugin.slime_eval_sets(plugin.Options())
    assert (one.name, one.sampling, one.samples_per_prompt) == (
        "held_out",
        Sampling(temperature=0.0),
        1,
    )
    assert one.metrics is accuracy
    assert len({prompt.id for prompt in one.prompts}) == len(one.prompts) == 8


#: Of each kind a label, a right last turn of the model, and a wrong one.
ANSWERS = [
    ("math", "4", "2 and 2 make 4.\nAnswer: 4", "Answer: 5"),
    ("multi-turn", 37, "Guess: 37", "Guess: 38"),
    ("agent", 12, "Answer: 12", "Answer: 13"),
    ("search", ["79"], "<answer>79</answer>", "<answer>80</answer>"),
]


@pytest.mark.parametrize(("kind", "label", "right", "wrong"), ANSWERS)
def test_the_reward_of_each_kind_says_what_is_right_so_that_accuracy_is_known(
    kind: str, label: Any, right: str, wrong: str, opened: Open
) -> None:
    plugin = opened(kind)
    prompt = make_prompt(label=label)
    samples = [make_sample(prompt, response=text) for text in (right, wrong, wrong, "")]
    takes_context = "ctx" in plugin.slime_reward.__annotations__
    more = (make_context(plugin.Options()),) if takes_context else ()
    for sample in samples:
        reward = plugin.slime_reward(sample, *more)
        sample.reward, sample.rewards = reward.value, {NAMES[kind]: reward}
    assert [sample.reward for sample in samples] == [1.0, 0.0, 0.0, 0.0]
    assert accuracy([Group(0, prompt, samples)]) == {"accuracy": 0.25}


@pytest.mark.parametrize("kind", WITH_DATA)
def test_a_label_of_another_plugin_is_an_error_and_not_a_wrong_answer(
    kind: str, opened: Open
) -> None:
    plugin = opened(kind)
    sample = make_sample(make_prompt(label={"of": "another"}, id="p"), response="Answer: 4")
    takes_context = "ctx" in plugin.slime_reward.__annotations__
    more = (make_context(plugin.Options()),) if takes_context else ()
    with pytest.raises(DataError, match="prompt p: its label is"):
        plugin.slime_reward(sample, *more)


@pytest.mark.parametrize("kind", NAMES)
def test_a_package_imports_the_contract_what_it_requires_and_nothing_else(kind: str) -> None:
    required = {re.split(r"[<>=]", name)[0] for name in read_kind(kind).requires}
    allowed = sys.stdlib_module_names | {"slime_hookspecs", "slime_plugin_two_words"} | required
    for path, text in files("two_words", kind).items():
        if path.suffix == ".py" and path.parts[0] == "slime_plugin_two_words":
            assert imported(text) <= allowed, path


def imported(source: str) -> set[str]:
    """The packages that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("kind", NAMES)
def test_what_a_test_of_a_package_uses_is_in_the_package(kind: str) -> None:
    contents = files("two_words", kind)
    tests = [text for path, text in contents.items() if path.parts[0] == "tests"]
    used = set(re.findall(r"^from slime_plugin_two_words\.(\w+) import", "\n".join(tests), re.M))
    assert {Path("slime_plugin_two_words") / f"{module}.py" for module in used} <= set(contents)
    modules = {path.stem for path in contents if path.parts[0].startswith("slime_plugin")}
    assert used
    assert used <= modules


@pytest.mark.parametrize("kind", NAMES)
def test_every_function_that_others_may_call_says_what_it_does(kind: str) -> None:
    for path, text in files("two_words", kind).items():
        if path.suffix == ".py" and path.parts[0] == "slime_plugin_two_words":
            assert ast.get_docstring(ast.parse(text)), path
            for node in ast.parse(text).body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    assert node.name.startswith("_") or ast.get_docstring(node), node.name
