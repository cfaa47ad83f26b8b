"""The loss of a micro-batch: what plugins are told, what is asked of them, what is reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from slime_hookspecs import Context, Loss, PluginError, RunInfo
from torch import Tensor

from slime_core.trainer.batch import DeviceBatch, to_device
from slime_core.trainer.logprobs import VocabularyPart
from slime_core.trainer.loss import Hook, Objective, micro_batch_loss
from slime_core.trainer.metrics import readable, total
from slime_core.trainer.policy import PackedPolicy

RUN = RunInfo("test", Path(), Path(), 0, 1, 1, 1, 8)
LENGTHS = [3, 4]
VOCABULARY = 9


@dataclass(frozen=True)
class Bound:
    """As ``slime_core.plugins.BoundHook``, of a function that takes all of the hook's arguments."""

    plugin: str
    call: Any


def columns(**changes: Any) -> dict[str, Any]:
    """Two samples with a prompt token each; the second token of the second was not trained on."""
    weights = np.array([0, 0.25, 0.25, 0, 0, 0.25, 0.25], np.float32)
    return {
        "tokens": np.array([1, 2, 3, 4, 5, 6, 7]),
        "loss_mask": np.array([0, 1, 1, 0, 1, 1, 1], np.float32),
        "loss_weights": weights,
        "rollout_logprobs": np.full(7, -2.0, np.float32),
        "weight_versions": np.array([-1, 3, 3, -1, -1, 3, -1]),
        "lengths": np.array(LENGTHS),
        "sample_advantages": np.array([1.0, -2.0], np.float32),
        "sample_indices": np.array([0, 1]),
        **changes,
    }


def policy_of(micro: DeviceBatch) -> PackedPolicy:
    """A policy with random logits."""
    torch.manual_seed(0)
    logits = torch.randn(micro.inputs.shape[1], VOCABULARY, requires_grad=True)
    part = VocabularyPart(0, VOCABULARY)
    return PackedPolicy(logits, micro.columns["tokens"], micro.positions, part)


def run(
    loss: Any, advantage: Any = None, cheap: bool = False, micro: DeviceBatch | None = None
) -> tuple[Tensor, dict[str, Tensor], PackedPolicy]:
    """The loss and sums with these hooks."""
    micro = micro or to_device(columns(), torch.device("cpu"), 1)
    policy = policy_of(micro)
    ctx: Any = Context(run=RUN, options=None, step=5)
    spread = advantage or (lambda batch, ctx: batch["sample_advantages"][batch["sample_index"]])
    objective = Objective(
        Hook(Bound("spreader", spread), ctx), Hook(Bound("loser", loss), ctx), cheap
    )
    return *micro_batch_loss(micro, policy, objective), policy


def test_the_loss_is_weighted_and_summed() -> None:
    def loss(batch: Mapping[str, Tensor], policy: Any, ctx: Any) -> Loss:
        assert ctx.step == 5
        return Loss(-policy.logprobs * batch["advantages"])

    found, sums, policy = run(loss)
    advantages = torch.tensor([1.0, 1, 1, -2, -2, -2, -2])
    weights = torch.tensor(columns()["loss_weights"])
    expected = -(policy.logprobs * advantages * weights).sum()
    torch.testing.assert_close(found, expected)
    assert found.requires_grad
    assert sums["loss"] == found.detach()


def test_old_logprobs_are_the_current_ones_where_none_were_kept() -> None:
    def loss(batch: Mapping[str, Tensor], policy: Any, ctx: Any) -> Loss:
        torch.testing.assert_close(batch["old_logprobs"], policy.logprobs.detach())
        assert not batch["old_logprobs"].requires_grad
        return Loss(policy.logprobs)

    run(loss)


def test_padding_for_sequence_parallelism_is_seen_by_nobody() -> None:
    def loss(batch: Mapping[str, Tensor], policy: Any, ctx: Any) -> Loss:
        assert {name: len(batch[name]) for name in ("tokens", "advantages")} == {
            "tokens": 7,
            "advantages": 7,
        }
        return Loss(policy.logprobs)

    micro = to_device(columns(), torch.device("cpu"), 4)
    assert micro.inputs.shape == (1, 8)
    plain = to_device(columns(), torch.device("cpu"), 1)
    assert micro.positions.tolist() == plain.positions.tolist()
    run(loss, micro=micro)


def test_plugin_fields_reach_the_loss() -> None:
    def loss(batch: Mapping[str, Tensor], policy: Any, ctx: Any) -> Loss:
        assert batch["difficulty"].tolist() == [0.5, 0.25]
        return Loss(policy.logprobs)

    fields = columns(difficulty=np.array([0.5, 0.25], np.float32))
    run(loss, micro=to_device(fields, torch.device("cpu"), 1))


def test_metrics_are_means_over_tokens_that_were_trained_on() -> None:
    values = torch.tensor([100.0, 1, 2, 100, 100, 3, 6])
    _, sums, _ = run(lambda batch, policy, ctx: Loss(policy.logprobs, {"thing": values}))
    metrics = readable({k: float(v) for k, v in total([sums, sums]).items()}, 1)
    assert metrics["train/thing"] == pytest.approx(3.0)
    assert metrics["train/tokens"] == 8


def test_the_difference_to_the_servers_is_measured_on_tokens_that_they_sampled() -> None:
    _, sums, policy = run(lambda batch, policy, ctx: Loss(policy.logprobs))
    metrics = readable({k: float(v) for k, v in sums.items()}, 1)
    difference = (policy.logprobs.detach() + 2.0)[[1, 2, 5]]
    mean = metrics["train/train_rollout_logprob_diff"]
    assert mean == pytest.approx(float(difference.abs().mean()))
    largest = metrics["train/train_rollout_logprob_diff_max"]
    assert largest == pytest.approx(float(difference.abs().max()))
    k3 = float((difference.exp() - 1 - difference).mean())
    assert metrics["train/kl_rollout"] == pytest.approx(k3)


def test_nothing_is_said_of_servers_where_none_sampled() -> None:
    fields = columns(weight_versions=np.full(7, -1))
    micro = to_device(fields, torch.device("cpu"), 1)
    _, sums, _ = run(lambda batch, policy, ctx: Loss(policy.logprobs), micro=micro)
    metrics = readable({k: float(v) for k, v in sums.items()}, 1)
    assert not [name for name in metrics if "rollout" in name]


@pytest.mark.parametrize("cheap", [False, True])
def test_entropy_is_reported_where_the_loss_reads_it_or_it_is_cheap(cheap: bool) -> None:
    _, sums, _ = run(lambda batch, policy, ctx: Loss(policy.logprobs), cheap=cheap)
    assert ("mean:entropy" in sums) is cheap
    _, sums, policy = run(lambda batch, policy, ctx: Loss(policy.logprobs - policy.entropy))
    trained = torch.tensor(columns()["loss_weights"]) > 0
    assert float(sums["mean:entropy"]) == pytest.approx(float(policy.entropy[trained].sum()))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "plugin loser, hook slime_loss: returned NoneType; a slime_hookspecs.Loss"),
        (Loss(torch.zeros(())), "per_token has shape [];"),
        (Loss(torch.zeros(7), {"kl": torch.zeros(2)}), "metric 'kl' has shape [2]"),
    ],
)
def test_a_loss_that_breaks_the_contract_is_refused_by_name(answer: Any, words: str) -> None:
    with pytest.raises(PluginError) as caught:
        run(lambda batch, policy, ctx: answer)
    assert words in str(caught.value)


def test_advantages_of_another_shape_are_refused_by_name() -> None:
    with pytest.raises(PluginError, match=r"plugin spreader.*its advantages has shape"):
        run(
            lambda batch, policy, ctx: Loss(policy.logprobs),
            advantage=lambda batch, ctx: batch["sample_advantages"],
        )
