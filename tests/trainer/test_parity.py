"""The trainer computes what transformers and torch's AdamW compute, at every layout."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from trainer_models import make_model, make_samples, make_shards
from trainer_reference import CLIP, DECAY, LR, Reference, train_in_torch

pytestmark = pytest.mark.engines

STEPS = 3
SAMPLES = make_samples(9)
MEGATRON = {"lr": LR, "weight_decay": DECAY, "clip_grad": CLIP}
LAYOUTS = {
    "one rank": {},
    "tp2": {"tp": 2},
    "pp2": {"pp": 2},
    "tp2 pp2": {"tp": 2, "pp": 2},
    "dp2": {"dp": 2},
}
Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="session")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, Reference]]:
    """A model of a kind, and what plain torch makes of it; worked out once a session."""
    folder = tmp_path_factory.mktemp("models")

    @functools.cache
    def find(kind: str, updates: int = 1) -> tuple[Path, Reference]:
        path = make_model(kind, folder)
        return path, train_in_torch(path, SAMPLES, STEPS, updates)

    return find


def train(run_ranks: Run, path: Path, layout: dict[str, int], **more: Any) -> list[dict[str, Any]]:
    """Log-probs, then three steps, then weights, on all ranks."""
    dp, per_micro = layout.get("dp", 1), more.pop("per_micro", 2)
    world = dp * layout.get("tp", 1) * layout.get("pp", 1)
    updates = more.get("updates_per_step", 1)
    shards = make_shards(SAMPLES, dp=dp, per_micro=per_micro, updates=updates)
    megatron = MEGATRON | more.pop("megatron", {})
    steps = [str(i) for i in range(STEPS)]
    job = {
        "model": path,
        "shards": [shards] * STEPS,
        "train": layout | more,
        "megatron": megatron,
        "actions": ["logprobs", *steps, "weights"],
    }
    return run_ranks(world, job)


def check_logprobs(answers: Sequence[dict[str, Any]], expected: Reference) -> None:
    """Each sample's log-probs, from whichever rank has them."""
    found = {i: v for answer in answers for i, v in answer["logprobs"].items()}
    assert sorted(found) == list(range(len(SAMPLES)))
    for index, values in found.items():
        torch.testing.assert_close(values, expected.logprobs[index], atol=1e-5, rtol=0)


def check_training(answers: Sequence[dict[str, Any]], expected: Reference) -> None:
    """Losses, gradient norms and weights; all ranks report the same."""
    for answer in answers:
        metrics = answer["metrics"]
        assert [m["train/loss"] for m in metrics] == pytest.approx(expected.losses, abs=1e-5)
        assert [m["train/grad_norm"] for m in metrics] == pytest.approx(expected.norms, rel=1e-5)
    weights = answers[0]["weights"]
    tied = set(expected.weights) - set(weights)
    assert tied <= {"lm_head.weight"}
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, expected.weights[name], atol=1e-4, rtol=0)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
def test_training_agrees_with_transformers(
    kind: str, layout: dict[str, int], truth: Any, run_ranks: Run
) -> None:
    path, expected = truth(kind)
    answers = train(run_ranks, path, layout)
    check_logprobs(answers, expected)
    check_training(answers, expected)


@pytest.mark.parametrize("layout", [{}, {"pp": 2}, {"dp": 2}], ids=["one rank", "pp2", "dp2"])
def test_updates_of_a_step_share_the_logprobs_from_before_the_first(
    layout: dict[str, int], truth: Any, run_ranks: Run
) -> None:
    path, expected = truth("qwen3", updates=3)
    answers = train(run_ranks, path, layout, updates_per_step=3)
    check_training(answers, expected)
    assert answers[0]["metrics"][0]["train/ratio"] != 1.0


@pytest.mark.parametrize("per_micro", [1, 5])
def test_the_size_of_micro_batches_changes_nothing(
    per_micro: int, truth: Any, run_ranks: Run
) -> None:
    path, expected = truth("qwen3")
    check_training(train(run_ranks, path, {}, per_micro=per_micro), expected)


@pytest.mark.parametrize(
    ("layout", "megatron"),
    [
        ({"tp": 2}, {"sequence_parallel": True}),
        ({"dp": 2}, {"use_distributed_optimizer": True}),
        (
            {"dp": 2},
            {
                "use_distributed_optimizer": True,
                "overlap_grad_reduce": True,
                "overlap_param_gather": True,
            },
        ),
        (
            {},
            {
                "recompute_granularity": "full",
                "recompute_method": "uniform",
                "recompute_num_layers": 1,
            },
        ),
    ],
    ids=["sequence parallel", "distributed optimizer", "overlapped", "recompute"],
)
def test_megatron_options_that_only_save_memory_or_time_change_nothing(
    layout: dict[str, int], megatron: dict[str, Any], truth: Any, run_ranks: Run
) -> None:
    path, expected = truth("qwen3")
    check_training(train(run_ranks, path, layout, megatron=megatron), expected)


@pytest.mark.parametrize(
    "layout",
    [{}, {"dp": 2, "ep": 2}, {"tp": 2, "ep": 2}],
    ids=["one rank", "ep2 dp2", "tp2 ep2"],
)
def test_a_mixture_of_experts_agrees_with_transformers(
    layout: dict[str, int], truth: Any, run_ranks: Run
) -> None:
    path, expected = truth("qwen3_moe")
    answers = train(run_ranks, path, layout)
    check_logprobs(answers, expected)
    check_training(answers, expected)
