"""What tasks want of a run is merged, and a disagreement names both."""

from __future__ import annotations

from typing import Any

import pytest
from slime_hookspecs import PluginError

from slime_core.plugins import collect_defaults, load


@pytest.fixture
def defaults(site: Any) -> Any:
    """``defaults(*trees)`` collects those of plugins alpha, beta, ... that answer with them."""

    def collect(*trees: Any) -> dict[str, Any]:
        names = ("alpha", "beta", "gamma")[: len(trees)]
        for name, tree in zip(names, trees, strict=True):
            site.plugin(name, f"@hookimpl\ndef slime_defaults(): return {tree!r}")
        return collect_defaults(load(names))

    return collect


def test_trees_are_merged_setting_by_setting(defaults: Any) -> None:
    assert defaults(
        {"rollout": {"samples_per_prompt": 8}, "steps": 3},
        {"rollout": {"temperature": 0.5}, "plugin": {"policy_loss": {"clip_high": 0.28}}},
    ) == {
        "rollout": {"samples_per_prompt": 8, "temperature": 0.5},
        "steps": 3,
        "plugin": {"policy_loss": {"clip_high": 0.28}},
    }


def test_a_setting_that_two_plugins_give_alike_is_fine(defaults: Any) -> None:
    tree = {"rollout": {"stop": ["</s>"]}}
    assert defaults(tree, tree) == tree


def test_two_values_for_one_setting_are_an_error_that_names_both(defaults: Any) -> None:
    with pytest.raises(PluginError) as caught:
        defaults({"rollout": {"top_p": 0.9}}, {"steps": 1}, {"rollout": {"top_p": 0.8}})
    assert str(caught.value) == (
        "two plugins give different defaults for rollout.top_p; "
        "set it yourself and only one of them will ask\n"
        "  alpha (slime-plugin-alpha 1.0): rollout.top_p = 0.9\n"
        "  gamma (slime-plugin-gamma 1.0): rollout.top_p = 0.8"
    )


@pytest.mark.parametrize("pair", [(1, True), (1, 1.0), (0, False)])
def test_equal_numbers_of_different_types_disagree(defaults: Any, pair: tuple[Any, Any]) -> None:
    with pytest.raises(PluginError, match="different defaults for steps"):
        defaults({"steps": pair[0]}, {"steps": pair[1]})


def test_a_table_disagrees_with_a_value_in_its_place(defaults: Any) -> None:
    with pytest.raises(PluginError, match="different defaults for rollout"):
        defaults({"rollout": 3}, {"rollout": {"top_p": 1.0}})


@pytest.mark.parametrize("answer", [[1], None, 3])
def test_an_answer_that_is_no_mapping_is_refused(defaults: Any, answer: Any) -> None:
    with pytest.raises(PluginError, match="it must return a mapping in the shape of the TOML"):
        defaults(answer)


def test_a_key_that_is_no_name_is_refused(defaults: Any) -> None:
    with pytest.raises(PluginError, match="keys are names of settings"):
        defaults({"rollout": {1: 2}})


def test_a_hook_that_raises_is_named(site: Any) -> None:
    site.plugin("alpha", "@hookimpl\ndef slime_defaults(): raise OSError('disk')")
    with pytest.raises(PluginError, match="hook slime_defaults\n  it raised OSError: disk"):
        collect_defaults(load(["alpha"]))
