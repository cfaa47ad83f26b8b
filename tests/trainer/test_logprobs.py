"""Log-probs and entropy agree with torch's log-softmax, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from slime_core.trainer import logprobs
from slime_core.trainer.logprobs import (
    VocabularyPart,
    entropies,
    log_normaliser,
    token_logprobs,
)
from slime_core.trainer.policy import PackedPolicy

TOKENS, SIZE, ROWS = 11, 17, 20


@pytest.fixture
def logits() -> Tensor:
    """Logits with three columns of padding, whose values are enormous."""
    torch.manual_seed(0)
    values = torch.randn(TOKENS, ROWS) * 3
    values[:, SIZE:] = 1e4
    return values.requires_grad_()


@pytest.fixture(params=[1, 4, 1000], ids=["a row", "some rows", "all rows"])
def slices(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are worked on at once."""
    monkeypatch.setattr(logprobs, "SLICE", request.param * ROWS)


@pytest.mark.usefixtures("slices")
@pytest.mark.parametrize("scale", [1.0, 1 / 0.7])
def test_logprobs_and_their_gradient_are_those_of_log_softmax(logits: Tensor, scale: float) -> None:
    targets, weights = torch.randint(0, SIZE, (TOKENS,)), torch.randn(TOKENS)
    part = VocabularyPart(0, SIZE, scale)
    found = token_logprobs(logits, targets, log_normaliser(logits, part), part)
    (gradient,) = torch.autograd.grad((found * weights).sum(), logits)
    truth = torch.log_softmax(logits[:, :SIZE] * scale, -1).gather(1, targets[:, None])[:, 0]
    (expected,) = torch.autograd.grad((truth * weights).sum(), logits)
    torch.testing.assert_close(found, truth)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.usefixtures("slices")
@pytest.mark.parametrize("scale", [1.0, 1 / 0.7])
def test_entropy_and_its_gradient_are_those_of_the_softmax(logits: Tensor, scale: float) -> None:
    weights, part = torch.randn(TOKENS), VocabularyPart(0, SIZE, scale)
    found = entropies(logits, log_normaliser(logits, part), part)
    (gradient,) = torch.autograd.grad((found * weights).sum(), logits)
    truth = torch.distributions.Categorical(logits=logits[:, :SIZE] * scale).entropy()
    (expected,) = torch.autograd.grad((truth * weights).sum(), logits)
    torch.testing.assert_close(found, truth)
    torch.testing.assert_close(gradient, expected)


def test_a_token_s_logprob_comes_from_the_token_before_it_in_the_same_sample() -> None:
    torch.manual_seed(0)
    tokens, positions = torch.tensor([3, 1, 4, 1, 5]), torch.tensor([0, 1, 2, 0, 1])
    values = torch.randn(6, 7)  # one row of padding
    policy = PackedPolicy(values, tokens, positions, VocabularyPart(0, 7))
    table = torch.log_softmax(values, -1)
    expected = torch.tensor([0.0, table[0, 1], table[1, 4], 0.0, table[3, 5]])
    torch.testing.assert_close(policy.logprobs, expected)
    entropy = torch.distributions.Categorical(logits=values).entropy()
    shifted = torch.stack([*torch.zeros(1), entropy[0], entropy[1], *torch.zeros(1), entropy[3]])
    torch.testing.assert_close(policy.entropy, shifted)


def test_entropy_is_computed_only_when_read() -> None:
    policy = PackedPolicy(
        torch.randn(3, 4), torch.tensor([1, 2, 3]), torch.arange(3), VocabularyPart(0, 4)
    )
    assert policy.logprobs.shape == (3,)
    assert not policy.entropy_known()
    assert policy.entropy.shape == (3,)
    assert policy.entropy_known()
