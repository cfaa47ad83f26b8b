"""Group-relative advantages: a sample is as good as it is better than its siblings.

For rewards ``r_1 .. r_G`` of one prompt::

    A_i = (r_i - mean(r)) / (std(r) + 1e-6)

from DeepSeekMath (Shao et al. 2024, https://arxiv.org/abs/2402.03300, 4.1.2). ``std`` is the
sample standard deviation, with ``G - 1`` in the denominator. Without the division by ``std`` it
is the estimator of Dr. GRPO (Liu et al. 2025, https://arxiv.org/abs/2503.20783).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Final

from slime_hookspecs import Conformance, Context, Group, hookimpl

EPSILON: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Options:
    """Options of ``grpo``.

    Attributes:
        normalize_std: Whether to divide by the group's standard deviation.
    """

    normalize_std: bool = field(
        default=True, metadata={"help": "divide by the group's standard deviation, as GRPO does"}
    )


@hookimpl
def slime_options() -> type:
    """The options class."""
    return Options


@hookimpl
def slime_advantage(group: Group, ctx: Context[Options]) -> list[float]:
    """Each scored sample's reward against the mean of its group."""
    rewards = [sample.reward for sample in group.scored if sample.reward is not None]
    return relative(rewards, normalize_std=ctx.options.normalize_std)


def relative(rewards: Sequence[float], *, normalize_std: bool) -> list[float]:
    """Advantages ``[n]`` of rewards ``[n]``; exactly 0 where all are equal or there is only one."""
    if not rewards or min(rewards) == max(rewards):
        return [0.0] * len(rewards)
    mean = fmean(rewards)
    scale = stdev(rewards, mean) + EPSILON if normalize_std else 1.0
    return [(reward - mean) / scale for reward in rewards]


@hookimpl
def slime_conformance() -> Conformance:
    """What it promises."""
    return Conformance(capabilities=frozenset({"zero_on_equal_rewards"}))
