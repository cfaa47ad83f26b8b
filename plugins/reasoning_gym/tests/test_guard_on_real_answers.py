"""What may be given to scorers that evaluate: all that the package itself takes for right."""

from __future__ import annotations

import pytest
from slime_hookspecs.testing.kit import make_sample
from slime_plugin_reasoning_gym import Options, library
from slime_plugin_reasoning_gym.answers import EXPRESSION, LITERAL, harmless
from slime_plugin_reasoning_gym.datasets import Dataset, prompt
from slime_plugin_reasoning_gym.library import Recipe
from slime_plugin_reasoning_gym.reward import score


@pytest.mark.parametrize("task", sorted({*LITERAL, *EXPRESSION}))
def test_right_answers_of_every_level_pass_as_they_would_if_the_model_had_varied_them(
    task: str,
) -> None:
    top = library.levels(task, "{}", "inclusive") - 1
    for recipe in (Recipe(task), Recipe(task, "{}", 0), Recipe(task, "{}", min(top, 3))):
        for seed in (0, 1, 2):
            answer = library.problem(recipe, seed)["answer"]
            assert harmless(answer, task, "x" * len(answer)), answer[:200]


@pytest.mark.parametrize("task", ["spiral_matrix", "string_insertion", "binary_matrix"])
def test_right_answers_written_as_lists_pass_and_are_scored_by_the_package(task: str) -> None:
    recipe = Recipe(task)
    made = library.problem(recipe, 4)
    rows = [row.split() for row in made["answer"].split("\n")]
    if task == "string_insertion":
        listed = str(list(made["answer"]))
    else:
        numbers = [[int(cell) for cell in row] for row in rows]
        listed = str(numbers if len(numbers) > 1 else numbers[0])
    assert harmless(listed, task, made["answer"])
    given = prompt(Dataset(task, recipe), recipe, 4, made, "{question}")
    found = score(make_sample(given, response=f"<answer>{listed}</answer>"), Options())
    assert 0.0 < found.value < 1.0


@pytest.mark.parametrize("task", ["countdown", "polynomial_multiplication", "simple_integration"])
def test_right_formulas_written_otherwise_are_right(task: str) -> None:
    recipe = Recipe(task)
    made = library.problem(recipe, 6)
    given = prompt(Dataset(task, recipe), recipe, 6, made, "{question}")
    varied = f"({made['answer']}) * 1" if task != "countdown" else f"({made['answer']})"
    found = score(make_sample(given, response=f"<answer>{varied}</answer>"), Options())
    assert found.value == 1.0


def test_the_lists_name_all_scorers_that_evaluate_answers() -> None:
    """A later version of the package may have more of them: then they must be named, too."""
    import inspect
    import re

    _, registered, _ = library._package()
    evaluating = set()
    for task, (kind, _) in registered.items():
        source = inspect.getsource(kind.score_answer)
        if re.search(r"\b(eval|exec|parse_expr|sympify|S)\((?!entry|metadata)", source):
            evaluating.add(task)
    assert evaluating - {"propositional_logic"} == {*LITERAL, *EXPRESSION}
