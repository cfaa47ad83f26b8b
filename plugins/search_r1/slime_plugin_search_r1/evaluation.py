"""Held-out sets, each measured greedily."""

from __future__ import annotations

from pathlib import Path

from slime_hookspecs import ConfigError, EvalSet
from slime_hookspecs.datasets import greedy

from slime_plugin_search_r1.options import Options
from slime_plugin_search_r1.questions import read_questions
from slime_plugin_search_r1.reward import exact_match


def eval_sets(options: Options) -> list[EvalSet]:
    """A set for each held-out file, named after it.

    Raises:
        ConfigError: two files have the same name.
        DataError: a file is bad.
    """
    names = [Path(path).stem for path in options.eval_data]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"search_r1.eval_data has two files called {name}; a set is named after its file"
            )
    return [
        greedy(Path(path).stem, read_questions([path], options), exact_match)
        for path in options.eval_data
    ]
