"""A generated package's own tests see what its author spoils."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from scaffold_support import Made, run

#: In each kind a line that is right, what it is spoilt to, and the test that notices.
SPOILT = [
    ("math", "answers.py", "1.0 if correct else wrong", "1.0", "test_right_is_one_and_wrong_is"),
    ("math", "answers.py", "found[-1]", "found[0]", "test_the_answer_is_what_follows_the_last"),
    ("math", "__init__.py", "options.eval_data or HELD_OUT", "TRAIN", "test_held_out_problems_are"),
    ("multi-turn", "__init__.py", ").over)", ").over or 1)", "test_the_reward_is_that_of_the_last"),
    ("multi-turn", "game.py", "found[-1]", "found[0]", "test_the_last_guess_is_answered"),
    ("agent", "answers.py", "== label", ">= label", "test_the_last_answer_counts"),
    ("agent", "tasks.py", "not isinstance(answer, int) or ", "", "test_a_wrong_row_is_named"),
    ("search", "answers.py", "float(correct)", "1.0", "test_any_of_the_right_answers"),
    ("search", "questions.py", "not answers or ", "", "test_a_wrong_row_is_named"),
    ("loss", "advantage.py", "reward - mean", "mean - reward", "test_it_is_the_reward_against"),
    ("loss", "loss.py", "-ratio *", "ratio *", "test_the_loss_is_the_formula"),
]


def own_tests(folder: Path) -> tuple[int, list[str]]:
    """Exit status of a package's tests, and which of them failed first."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests"]
    done = run(command, folder, environment)
    return done.returncode, re.findall(r"^FAILED \S+::(\w+)", done.stdout, re.M)


@pytest.mark.parametrize(("kind", "module", "right", "wrong", "test"), SPOILT)
def test_a_package_that_is_spoilt_fails_its_own_tests(
    kind: str,
    module: str,
    right: str,
    wrong: str,
    test: str,
    all_made: dict[str, Made],
    tmp_path: Path,
) -> None:
    made = all_made[kind]
    shutil.copytree(made.folder, tmp_path / "copy")
    file = tmp_path / "copy" / made.package / module
    text = file.read_text("utf-8")
    assert right in text
    file.write_text(text.replace(right, wrong), "utf-8")
    status, failed = own_tests(tmp_path / "copy")
    assert status == 1
    assert [name for name in failed if name.startswith(test)]
