"""A run continues from a checkpoint as if it had never stopped; a failed save harms nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from trainer_models import make_model, make_samples, make_shards

pytestmark = pytest.mark.engines

Run = Callable[..., list[dict[str, Any]]]
SAMPLES = make_samples(8)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen3."""
    return make_model("qwen3", tmp_path_factory.mktemp("model"))


def job(model: Path, actions: list[str], **more: Any) -> dict[str, Any]:
    """Steps of two updates each, with a learning rate that changes all the time."""
    dp = more.get("train", {}).get("dp", 1)
    train = {"updates_per_step": 2, "lr_schedule": "cosine", "lr_warmup": 2}
    shards = [make_shards(SAMPLES[::order], dp=dp, per_micro=2, updates=2) for order in (1, -1, 1)]
    return (
        {"model": model, "shards": shards, "actions": actions, "steps": 3}
        | more
        | {"train": train | more.get("train", {})}
    )


@pytest.mark.parametrize(
    ("world", "more"),
    [
        (1, {}),
        (2, {"train": {"tp": 2}}),
        (2, {"train": {"pp": 2}}),
        (2, {"train": {"dp": 2}, "megatron": {"use_distributed_optimizer": True}}),
        (1, {"train": {"dtype": "bfloat16"}}),
    ],
    ids=["one rank", "tp2", "pp2", "dp2 distributed optimizer", "bfloat16"],
)
def test_a_new_process_continues_exactly(
    world: int, more: dict[str, Any], model: Path, run_ranks: Run, tmp_path: Path
) -> None:
    path = tmp_path / "step_2" / "megatron"
    whole = run_ranks(world, job(model, ["0", "1", f"save {path}", "2", "weights"], **more))
    again = run_ranks(world, job(model, [f"load {path}", "2", "weights"], **more))
    for name in ("train/loss", "train/grad_norm", "train/lr"):
        assert again[0]["metrics"][-1][name] == whole[0]["metrics"][-1][name]
    assert again[0]["weights"].keys() == whole[0]["weights"].keys()
    for name, tensor in whole[0]["weights"].items():
        assert torch.equal(again[0]["weights"][name], tensor), name
    assert sorted(p.name for p in path.parent.iterdir()) == ["megatron"]


def test_a_checkpoint_continues_at_another_layout(
    model: Path, run_ranks: Run, tmp_path: Path
) -> None:
    path = tmp_path / "megatron"
    whole = run_ranks(1, job(model, ["0", "1", f"save {path}", "2", "weights"]))
    again = run_ranks(2, job(model, [f"load {path}", "2", "weights"], train={"tp": 2}))
    for name, tensor in whole[0]["weights"].items():
        torch.testing.assert_close(again[0]["weights"][name], tensor, atol=1e-5, rtol=0)


@pytest.mark.parametrize("world", [1, 2])
def test_a_save_that_fails_leaves_the_previous_one_good(
    world: int, model: Path, run_ranks: Run, tmp_path: Path
) -> None:
    path, dp = tmp_path / "megatron", {"train": {"dp": world}}
    actions = ["0", f"save {path}", "1", "weights", f"full-disk-save {path}", "2"]
    whole = run_ranks(world, job(model, actions, **dp))
    for answer in whole:
        assert answer["error"].startswith(f"TrainerError: {path}: the checkpoint was not saved")
    assert not path.with_name("megatron.tmp").exists()
    again = run_ranks(world, job(model, [f"load {path}", "1", "weights"], **dp))
    for name, tensor in whole[0]["weights"].items():
        assert torch.equal(again[0]["weights"][name], tensor), name


def test_a_disk_that_is_too_small_is_found_before_anything_is_written(
    model: Path, run_ranks: Run, tmp_path: Path
) -> None:
    (answer,) = run_ranks(1, job(model, [f"small-disk-save {tmp_path / 'megatron'}"]))
    assert "the disk has 1,000 bytes left" in answer["error"]
    assert not (tmp_path / "megatron").exists()


def test_a_folder_without_a_checkpoint_is_named(
    model: Path, run_ranks: Run, tmp_path: Path
) -> None:
    (answer,) = run_ranks(1, job(model, [f"try-load {tmp_path}"]))
    assert answer["error"] == f"TrainerError: {tmp_path}: no whole Megatron checkpoint there"


def test_an_hf_folder_holds_the_trained_weights(
    model: Path, run_ranks: Run, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    path = tmp_path / "hf"
    answers = run_ranks(2, job(model, ["0", f"hf {path}", "weights"], train={"pp": 2}))
    state = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).state_dict()
    for name, tensor in answers[0]["weights"].items():
        assert torch.equal(state[name], tensor), name
