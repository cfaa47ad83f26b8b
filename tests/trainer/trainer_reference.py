"""The same training in transformers and plain torch: what the trainer must agree with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

LR, DECAY, CLIP = 1e-3, 0.01, 0.1


@dataclass(frozen=True)
class Reference:
    """What plain torch found.

    Attributes:
        logprobs: Of each sample's tokens before training.
        losses: Of each step.
        norms: Of each step's gradient, before clipping.
        weights: After the last step, by HF name.
    """

    logprobs: list[Tensor]
    losses: list[float]
    norms: list[float]
    weights: dict[str, Tensor]


def train_in_torch(
    model_dir: Path, samples: Sequence[dict[str, Any]], steps: int, updates: int = 1
) -> Reference:
    """Steps of PPO's clipped loss with AdamW, one sample at a time, token-mean over an update."""
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": DECAY},
        {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.98), eps=1e-8)
    before = _all_logprobs(model, samples)
    losses, norms = [], []
    for _ in range(steps):
        old, done = _all_logprobs(model, samples), []
        for part in np.array_split(np.arange(len(samples)), updates):
            optimizer.zero_grad()
            loss = _loss(model, [samples[i] for i in part], [old[i] for i in part])
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            done.append((loss.item(), norm.item()))
        losses.append(float(np.mean([loss for loss, _ in done])))
        norms.append(float(np.mean([norm for _, norm in done])))
    return Reference(before, losses, norms, _state(model))


@torch.no_grad()
def _all_logprobs(model: Any, samples: Sequence[dict[str, Any]]) -> list[Tensor]:
    return [token_logprobs(model, sample["tokens"]) for sample in samples]


def _loss(model: Any, samples: Sequence[dict[str, Any]], old: Sequence[Tensor]) -> Tensor:
    trained = sum(sample["loss_mask"].sum() for sample in samples)
    loss = torch.zeros(())
    for sample, before in zip(samples, old, strict=True):
        ratio = (token_logprobs(model, sample["tokens"]) - before).exp()
        advantage = float(sample["sample_advantages"][0])
        gain = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
        loss = loss - (gain * torch.tensor(sample["loss_mask"] / trained)).sum()
    return loss


def token_logprobs(model: Any, tokens: np.ndarray) -> Tensor:
    """Log-prob of each token given the earlier ones; 0 for the first."""
    ids = torch.tensor(tokens)[None]
    values = torch.log_softmax(model(ids).logits[0, :-1].float(), -1)
    return torch.nn.functional.pad(values.gather(1, ids[0, 1:, None])[:, 0], (1, 0))


def _state(model: Any) -> dict[str, Tensor]:
    """Weights by the names that HF checkpoints have: experts one by one."""
    state: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        base, _, last = name.rpartition(".")
        if last == "gate_up_proj" and base.endswith("experts"):
            for e, both in enumerate(tensor):
                state[f"{base}.{e}.gate_proj.weight"], state[f"{base}.{e}.up_proj.weight"] = (
                    both.chunk(2)
                )
        elif last == "down_proj" and base.endswith("experts"):
            state |= {f"{base}.{e}.down_proj.weight": t for e, t in enumerate(tensor)}
        else:
            state[name] = tensor
    return {name: tensor.detach().clone() for name, tensor in state.items()}
