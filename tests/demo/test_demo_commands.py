"""The demo's command lines are ones that slime understands, with the settings of the recipe."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from slime_hookspecs import Sampling
from slime_plugin_math_dapo import Options as MathOptions

from slime_core import config
from slime_core.builtin.policy_loss import Options as LossOptions
from slime_core.config.schema import Config
from slime_core.demo import main
from slime_core.demo.commands import (
    SFT_BATCH,
    SLIME,
    Settings,
    rl_options,
    serve_command,
    sft_options,
)
from slime_core.placement.layout import check_resources, plan_layout

SETTINGS = Settings(out=Path("/demo"), seed=5)


def resolved(options: list[str]) -> Config:
    """The configuration that slime reads from a command line."""
    return config.resolve(config.parse(options), {})


def test_the_cold_start_sees_each_row_once_in_updates_of_64() -> None:
    run = resolved(sft_options(SETTINGS))
    rows = run.steps * run.rollout.prompts_per_step
    assert rows == SETTINGS.sft_updates * SFT_BATCH == 57_600
    assert run.rollout.prompts_per_step / run.train.updates_per_step == 64
    assert run.rollout.samples_per_prompt == 1
    assert run.engine.servers == 0
    assert (run.plugins, run.seed) == (["sft"], 5)


def test_the_cold_start_has_the_optimizer_of_the_recipe() -> None:
    run = resolved(sft_options(SETTINGS))
    assert {k: float(v) for k, v in run.megatron.items()} == {
        "lr": 2e-3, "weight_decay": 0.01, "adam_beta2": 0.98
    }  # fmt: skip
    assert (run.train.lr_schedule, run.train.lr_warmup) == ("cosine", 50)
    assert run.train.lr_min_ratio == 0.1


def test_rl_has_the_settings_of_the_recipe() -> None:
    run = resolved(rl_options(SETTINGS, Path("/demo/hf")))
    assert (run.steps, run.rollout.prompts_per_step, run.rollout.samples_per_prompt) == (60, 32, 8)
    assert (run.rollout.temperature, run.rollout.max_response_tokens) == (1.0, 8)
    assert run.train.updates_per_step == 4
    # five steps of four updates
    assert run.train.lr_warmup == 20
    assert {k: float(v) for k, v in run.megatron.items()} == {
        "lr": 1e-4, "weight_decay": 0.0, "adam_beta2": 0.98
    }  # fmt: skip
    assert run.model == Path("/demo/hf")
    assert run.eval.at_start
    assert run.eval.at_end
    assert run.eval.every > 0


def test_plugin_options_are_fields_of_the_plugins() -> None:
    run = resolved(rl_options(SETTINGS, Path("/demo/hf")))
    assert set(run.plugin["math_dapo"]) <= set(MathOptions.__dataclass_fields__)
    assert set(run.plugin["policy_loss"]) <= set(LossOptions.__dataclass_fields__)
    assert {k: float(v) for k, v in run.plugin["policy_loss"].items()} == {
        "clip_low": 0.2, "clip_high": 0.28
    }  # fmt: skip


def test_the_control_trains_on_the_random_reward_alone() -> None:
    settings = Settings(out=Path("/demo"), random_reward=True)
    run = resolved(rl_options(settings, Path("/demo/hf")))
    assert run.plugins == ["math_dapo", "random_reward"]
    assert [w.split("=")[0] for w in run.reward_weight] == ["math_dapo"]
    assert float(run.reward_weight[0].split("=")[1]) == 0.0
    assert resolved(rl_options(SETTINGS, Path("/demo/hf"))).reward_weight == []


@pytest.mark.parametrize(("gpus", "shared"), [(0, False), (1, True), (2, False), (8, False)])
def test_trainer_and_server_share_a_gpu_where_there_is_but_one(gpus: int, shared: bool) -> None:
    run = resolved(rl_options(SETTINGS, Path("/demo/hf"), gpus))
    assert run.colocate is shared
    layout = plan_layout(run, gpus=gpus)
    check_resources(layout, run, {"CPU": 2, "GPU": gpus})


def test_runs_have_folders_of_their_own() -> None:
    sft, rl = resolved(sft_options(SETTINGS)), resolved(rl_options(SETTINGS, Path("/demo/hf")))
    assert sft.run_dir != rl.run_dir
    assert sft.model == SETTINGS.model


@pytest.mark.parametrize(
    ("gpu", "module"),
    [(True, "sglang.launch_server"), (False, "slime_core.engine.cpu.launch_server")],
)
def test_serving_is_sglangs_own_server(gpu: bool, module: str) -> None:
    words = ["python", "-m", module, "--model-path", "/a b/hf"]
    assert serve_command(Path("/a b/hf"), gpu) == words


def test_a_stage_runs_slime_with_this_python() -> None:
    done = subprocess.run([*SLIME, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("slime ")


def test_a_stage_that_slime_refuses_ends_with_its_status() -> None:
    done = subprocess.run([*SLIME, "--stepz", "3"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--stepz" in done.stderr


def test_greedy_evaluation_is_left_to_the_task() -> None:
    from slime_plugin_math_dapo import slime_eval_sets

    sets = slime_eval_sets(MathOptions(task="addition", eval_samples_per_prompt=4))
    assert [(s.name, s.samples_per_prompt) for s in sets] == [
        ("heldout_greedy", 1),
        ("heldout_sampled", 4),
    ]
    assert sets[0].sampling == Sampling(temperature=0.0)


@pytest.mark.parametrize(
    ("visible", "shared"), [("", False), ("0", True), ("GPU-7", True), ("0,1", False)]
)
def test_the_demo_asks_for_what_the_visible_gpus_need(
    visible: str, shared: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    stages: dict[str, list[str]] = {}
    monkeypatch.setattr(main, "_make_model", lambda _: False)
    monkeypatch.setattr(main, "_trained", lambda _: Path("/demo/hf"))
    monkeypatch.setattr(main, "collect", lambda *_: None)
    monkeypatch.setattr(main, "run_stage", lambda name, line, quiet: stages.update({name: line}))
    said: list[str] = []
    main.demo(Settings(out=tmp_path / "demo", steps=1), say=said.append)
    assert ("--colocate" in stages["RL"]) is shared
    assert "--colocate" not in stages["cold start"]  # it has no server to share with
    assert said[-1].endswith("1 step of 32 prompts x 8 samples")
