"""Soft overlong punishment: answers that come close to the token limit lose reward, more and more.

For an answer of ``n`` tokens, a limit ``L`` and a cache of ``C`` tokens before it, this reward is::

    0                   where n <= L - C
    (L - C - n) / C     where L - C < n <= L
    -1                  where L < n

from DAPO (Yu et al. 2025, https://arxiv.org/abs/2503.14476, equation 13). It is a reward of its
own, added to the others once; ``--reward-weight overlong=W`` scales it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from slime_hookspecs import ConfigError, Conformance, Context, Prompt, Reward, Sample, hookimpl


@dataclass(frozen=True, slots=True)
class Options:
    """Options of ``overlong``.

    Attributes:
        max_tokens: ``L``; the run's ``max_response_tokens`` where it is ``None``.
        cache_share: ``C / L``; the paper's is 4,096 of 20,480.
    """

    max_tokens: int | None = field(
        default=None,
        metadata={"help": "tokens that cost the whole reward; the run's limit if unset"},
    )
    cache_share: float = field(
        default=0.2, metadata={"help": "share of the limit over which the punishment grows, 0 to 1"}
    )

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ConfigError(f"overlong.max_tokens is {self.max_tokens}; it must be 1 or more")
        if not 0.0 <= self.cache_share <= 1.0:
            raise ConfigError(f"overlong.cache_share is {self.cache_share}; it must be from 0 to 1")


@hookimpl
def slime_options() -> type:
    """The options class."""
    return Options


@hookimpl
async def slime_reward(sample: Sample, ctx: Context[Options]) -> Reward:
    """The punishment, of all tokens that the model wrote; 0 while held-out sets are measured.

    A coroutine function, because the sum costs less than the way to a worker process.
    """
    if ctx.evaluating is not None:
        return Reward(0.0)
    limit = ctx.options.max_tokens or ctx.run.max_response_tokens
    value = punishment(sample.trace.sampled_length, limit, ctx.options.cache_share * limit)
    return Reward(value, {"punished": float(value < 0.0)})


def punishment(tokens: int, limit: int, cache: float) -> float:
    """Equation 13, from -1 to 0."""
    if tokens <= limit - cache:
        return 0.0
    if tokens >= limit:
        return -1.0  # At the limit itself the third line says the same, but for rounding.
    return (limit - cache - tokens) / cache


@hookimpl
def slime_conformance() -> Conformance:
    """What it promises, with a limit that short answers reach."""
    prompt = Prompt("sum", [{"role": "user", "content": "2+2="}], "4")
    reason = "it scores the length of an answer and not the answer"
    return Conformance(
        capabilities=frozenset({"deterministic"}),
        options={"max_tokens": 220},
        gold=[(prompt, "4"), (prompt, "four " * 30)],
        bad=[(prompt, "4" * 250)],
        reward_range=(-1.0, 0.0),
        exempt={"reward.empty": reason, "reward.malformed_label": reason},
    )
