"""The built-in plugins are found, checked, bound and planned like anybody else's."""

from __future__ import annotations

import subprocess
import sys

import pytest

from slime_core.config.schema import Config
from slime_core.plugins import bind, bind_plan, find, implementations, load, observe_plan

BUILT_IN = [
    "broadcast",
    "events",
    "grpo",
    "majority_vote",
    "overlong",
    "policy_loss",
    "reward_to_go",
    "sft_loss",
    "single_turn",
    "tensorboard",
    "timing",
]


def test_they_are_found_by_their_entry_points() -> None:
    assert [one.name for one in find() if one.distribution == "slime-rl"] == BUILT_IN


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_keeps_to_the_contract(name: str) -> None:
    assert implementations(load([name])[0])


def test_they_make_a_run_whose_plan_can_be_bound_again() -> None:
    plan, _ = bind(Config(loss="sft_loss", plugins=["tensorboard"]), [])
    hooks = bind_plan(plan)
    assert plan.roles == {
        "generate": "single_turn",
        "advantage": "grpo",
        "token_advantage": "broadcast",
        "loss": "sft_loss",
    }
    assert [one.plugin for one in hooks.all("slime_tracker")] == ["tensorboard"]
    assert observe_plan(plan) == plan


def test_binding_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from slime_core.config.schema import Config\n"
        "from slime_core.plugins import bind\n"
        "bind(Config(), [])\n"
        "heavy = {'torch', 'ray', 'sglang', 'transformers', 'megatron'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
