"""A control: a reward that knows nothing of the answer. A run with it must not learn.

``--plugin math_dapo --plugin random_reward --reward-weight math_dapo=0``
"""

from __future__ import annotations

from typing import Final

from slime_hookspecs import AnyContext, hookimpl

#: About what the demo's model begins with.
PROBABILITY: Final = 0.3


@hookimpl
async def slime_reward(ctx: AnyContext) -> float:
    """1 with probability 0.3, else 0, whatever the sample says."""
    return float(ctx.rng.random() < PROBABILITY)
