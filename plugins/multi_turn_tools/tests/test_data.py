"""Data files, the built-in task, and options: what is wrong is found before anything starts."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import ConfigError, DataError
from slime_hookspecs.testing.kit import make_run
from slime_plugin_multi_turn_tools import (
    Options,
    slime_conformance,
    slime_data_source,
    slime_defaults,
    slime_eval_sets,
    slime_options,
    tasks,
)
from slime_plugin_multi_turn_tools.prompts import read_prompts

README = Path(__file__).parents[1] / "README.md"


def write(path: Path, *rows: Any) -> Path:
    """A file with these rows, one a line."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_rows_become_prompts(tmp_path: Path) -> None:
    path = write(
        tmp_path / "train.jsonl",
        {"prompt": "6*7=", "label": "42"},
        {"prompt": [{"role": "system", "content": "Be brief."}], "label": 42},
        {"prompt": "x", "label": 0.5, "more": 1},
    )
    prompts = read_prompts(path, Options())
    assert [(one.id, one.messages, one.label, one.tools) for one in prompts] == [
        ("train/1", [{"role": "user", "content": "6*7="}], "42", None),
        ("train/2", [{"role": "system", "content": "Be brief."}], "42", None),
        ("train/3", [{"role": "user", "content": "x"}], "0.5", None),
    ]


def test_columns_and_template_are_the_options(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"q": "6*7", "a": "42"})
    options = Options(prompt_column="q", label_column="a", template="What is {prompt}?")
    (prompt,) = read_prompts(path, options)
    assert prompt.messages == [{"role": "user", "content": "What is 6*7?"}]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"prompt": "x"}, "no column 'label' among 'prompt'; --multi-turn-tools.label-column"),
        (
            {"promt": "x", "label": "1"},
            "no column 'prompt' among 'promt', 'label'; did you mean 'promt'? "
            "(--multi-turn-tools.prompt-column promt)",
        ),
        ({"prompt": " ", "label": "1"}, "'prompt' is ' '; it must be a string that is not blank"),
        ({"prompt": [], "label": "1"}, "'prompt' is []; it must be a string that is not blank"),
        ({"prompt": [{"role": "user"}], "label": "1"}, "'prompt' is [{'role': 'user'}]; it must"),
        ({"prompt": 5, "label": "1"}, "'prompt' is 5; it must be a string that is not blank, or"),
        ({"prompt": "x", "label": None}, "'label' is None; it must be a string or a number"),
        ({"prompt": "x", "label": True}, "'label' is True; it must be a string or a number"),
        ({"prompt": "x", "label": ["1"]}, "'label' is ['1']; it must be a string or a number"),
        ({"prompt": "x", "label": " "}, "'label' is ' ', which no answer can match"),
        ("{", "not a line of JSON"),
        ("[]", "found []; each line must be a JSON object"),
    ],
)
def test_a_wrong_row_is_named_by_file_and_line(row: Any, told: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"prompt": "6*7=", "label": "42"}, row)
    with pytest.raises(DataError) as caught:
        read_prompts(path, Options())
    assert str(caught.value).startswith(f"{path}:2: {told}")


def test_the_source_gives_the_files_prompts_in_an_order_of_the_seed(tmp_path: Path) -> None:
    rows = [{"prompt": f"{n}*1=", "label": n} for n in range(20)]
    options = Options(data=str(write(tmp_path / "a.jsonl", *rows)))

    def labels(run_seed: int, options: Options) -> list[Any]:
        return [one.label for one in slime_data_source(options, make_run(seed=run_seed)).take(20)]

    first = labels(1, options)
    assert sorted(first, key=int) == [str(n) for n in range(20)]
    assert labels(1, options) == first != labels(2, options)
    assert labels(2, dataclasses.replace(options, seed=1)) == first
    assert labels(1, dataclasses.replace(options, shuffle=False)) == [str(n) for n in range(20)]


def test_nothing_to_train_on_is_said_with_what_would_be() -> None:
    with pytest.raises(ConfigError, match=r"--multi-turn-tools\.data FILE, or take"):
        slime_data_source(Options(), make_run())


def test_held_out_files_are_measured_twice_and_the_built_in_set_comes_first(tmp_path: Path) -> None:
    path = write(tmp_path / "test.jsonl", {"prompt": "6*7=", "label": "42"})
    options = Options(task="products", eval_data=[str(path)], eval_samples_per_prompt=2)
    sets = slime_eval_sets(options)
    assert [one.name for one in sets] == [
        "heldout_greedy",
        "heldout_sampled",
        "test_greedy",
        "test_sampled",
    ]
    assert [len(one.prompts) for one in sets] == [200, 200, 1, 1]


def test_a_missing_held_out_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        slime_eval_sets(Options(eval_data=[str(tmp_path / "none.jsonl")]))


def test_all_products_are_there_once_and_the_split_never_changes() -> None:
    train, held_out = tasks.problems()
    assert (len(train), len(held_out)) == (7900, 200)
    assert sorted(train + held_out) == [(a, b) for a in range(10, 100) for b in range(10, 100)]
    assert tasks.problems() == (train, held_out)
    assert held_out[:3] == [(22, 13), (90, 94), (17, 91)]


def test_the_built_in_task_trains_on_its_training_problems() -> None:
    taken = slime_data_source(Options(task="products"), make_run()).take(7900)
    assert {one.id for one in taken} == {tasks.prompt(one).id for one in tasks.problems()[0]}
    prompt = tasks.prompt((37, 58))
    assert (prompt.id, prompt.label) == ("products/37*58=", "2146")
    assert prompt.messages == [{"role": "user", "content": "37*58="}]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"task": "sums"}, "multi_turn_tools.task is 'sums'; the built-in one is \"products\""),
        (
            {"task": "products", "data": "a.jsonl"},
            "multi_turn_tools.task and multi_turn_tools.data are both set",
        ),
        ({"template": "x"}, "multi_turn_tools.template is 'x', without {prompt}"),
        ({"tools": []}, "multi_turn_tools.tools is empty; there is calculator, python"),
        (
            {"tools": ["calculator", "pyhton"]},
            "multi_turn_tools.tools: no 'pyhton' among calculator, python; did you mean 'python'?",
        ),
        ({"tools": ["xyz"]}, "multi_turn_tools.tools: no 'xyz' among calculator, python"),
        ({"max_turns": 0}, "multi_turn_tools.max_turns is 0; it must be 1 or more"),
        ({"max_tokens": 0}, "multi_turn_tools.max_tokens is 0; it must be 1 or more"),
        ({"max_calls_per_turn": 0}, "multi_turn_tools.max_calls_per_turn is 0; it must be 1 or"),
        ({"max_answer_characters": 0}, "multi_turn_tools.max_answer_characters is 0; it must be"),
        ({"eval_samples_per_prompt": -1}, "multi_turn_tools.eval_samples_per_prompt is -1; it"),
        ({"python_wall_s": 0.0}, "multi_turn_tools.python_wall_s is 0.0; it must be 0.1 or more"),
        ({"python_cpu_s": 0}, "multi_turn_tools.python_cpu_s is 0; it must be 1 or more"),
        ({"python_memory_mb": 31}, "multi_turn_tools.python_memory_mb is 31; it must be 32 or"),
        ({"python_processes": 0}, "multi_turn_tools.python_processes is 0; it must be 1 or more"),
        ({"python_disk_mb": 0}, "multi_turn_tools.python_disk_mb is 0; it must be 1 or more"),
        ({"python_concurrency": -1}, "multi_turn_tools.python_concurrency is -1; it must be 0"),
    ],
)
def test_options_that_nothing_can_serve_are_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Options(**values)
    assert str(caught.value).startswith(told)


def test_the_hooks_name_the_options_and_what_the_task_wants() -> None:
    assert slime_options() is Options
    assert slime_defaults() == {"rollout": {"samples_per_prompt": 8}}


def test_what_the_suite_is_told_fits_the_plugin() -> None:
    told = slime_conformance()
    assert told.capabilities == {"deterministic", "multi_turn", "needs_sandbox"}
    options = Options(**told.options)
    assert len(slime_data_source(options, make_run()).take(4)) == 4
    assert len(slime_eval_sets(options)) == 2
    assert len(told.gold) == len(told.bad) == 7


def test_the_table_of_options_is_that_of_the_options_class() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    found = [line for line in lines if line.startswith("| `--multi-turn-tools.")]
    assert found == [
        f"| `--multi-turn-tools.{field.name.replace('_', '-')}` "
        f"| `{json.dumps(getattr(Options(), field.name))}` | {field.metadata['help']} |"
        for field in dataclasses.fields(Options)
    ]
