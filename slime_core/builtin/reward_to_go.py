"""Rewards at single tokens: a token's advantage is its sample's, plus what the sample still earns.

Where a task sets ``sample.fields["token_rewards"]`` to a list ``r`` of one number for each token of
the trace (0 where a sample sets none), token ``t`` of a sample of ``n`` tokens gets::

    A_t = A + sum(gamma ** (k - t) * r_k for k in range(t, n))

with the reward to go of Sutton and Barto (Reinforcement Learning: An Introduction, second edition
2018, equation 3.8, http://incompleteideas.net/book/the-book-2nd.html), counting the reward that
comes with a token as that token's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from slime_hookspecs import Batch, BatchField, ConfigError, Conformance, Context, hookimpl

if TYPE_CHECKING:
    from torch import Tensor
else:
    Tensor = Any

FIELD: Final = "token_rewards"


@dataclass(frozen=True, slots=True)
class Options:
    """Options of ``reward_to_go``.

    Attributes:
        gamma: Worth of a reward one token later.
    """

    gamma: float = field(default=1.0, metadata={"help": "discount for each token, from 0 to 1"})

    def __post_init__(self) -> None:
        """Refuse what would grow without bound."""
        if not 0.0 <= self.gamma <= 1.0:
            raise ConfigError(f"reward_to_go.gamma is {self.gamma}; it must be from 0 to 1")


@hookimpl
def slime_options() -> type:
    """The options class."""
    return Options


@hookimpl
def slime_batch_fields() -> list[BatchField]:
    """One reward a token."""
    return [BatchField(FIELD, per="token", default=0.0)]


@hookimpl
def slime_token_advantage(batch: Batch, ctx: Context[Options]) -> Tensor:
    """Advantages, float32 ``[tokens]``."""
    where = batch["sample_index"]
    return batch["sample_advantages"][where] + to_go(batch[FIELD], where, ctx.options.gamma)


def to_go(rewards: Tensor, where: Tensor, gamma: float) -> Tensor:
    """Discounted sums of this and later rewards of the same sample, ``[tokens]``.

    Args:
        rewards: One a token, ``[tokens]``.
        where: Which sample each token belongs to, in ascending order, ``[tokens]``.
        gamma: Discount.
    """
    import torch

    # Sums over 1, 2, 4, ... tokens (Hillis and Steele 1986, https://doi.org/10.1145/7902.7903).
    # A difference of two cumulative sums would lose the small rewards of a long micro-batch.
    span = 1
    while span < len(rewards):
        same = where[:-span] == where[span:]
        later = rewards[span:] * same * gamma**span
        rewards = torch.cat([rewards[:-span] + later, rewards[-span:]])
        span *= 2
    return rewards


@hookimpl
def slime_conformance() -> Conformance:
    """A batch in which some tokens are rewarded, each as its number says."""
    return Conformance(
        capabilities=frozenset({"no_host_sync"}), options={"gamma": 0.9}, batch=_rewarded
    )


def _rewarded(batch: dict[str, Any]) -> Mapping[str, Any]:
    rewards = (batch["tokens"] % 3 - 1).to(batch["sample_advantages"].dtype)
    return {**batch, FIELD: rewards}
