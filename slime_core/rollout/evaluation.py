"""Held-out sets: mean reward, mean@k, pass@k, and what the set's owner measures besides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Final

from slime_hookspecs import EvalSet, Group, PluginError, Sample, Sampling

#: A sample passes when its reward is at least this.
PASS_REWARD: Final = 1.0


def merged(base: Sampling, over: Sampling) -> Sampling:
    """``base``, but for the fields that ``over`` sets."""

    def pick(name: str) -> object:
        value = getattr(over, name)
        return getattr(base, name) if value is None else value

    names = ("max_new_tokens", "temperature", "top_p", "top_k", "stop", "stop_token_ids")
    extra = {**base.extra, **over.extra}
    return Sampling(**{name: pick(name) for name in names}, extra=extra)  # type: ignore[arg-type]


def groups_of(eval_set: EvalSet, provenance: Mapping[str, str]) -> list[Group]:
    """The set's groups. Groups and samples are numbered from 0, so that seeds never change."""
    k = eval_set.samples_per_prompt
    return [
        Group(
            index,
            prompt,
            [
                Sample(index * k + place, index, prompt, provenance=dict(provenance))
                for place in range(k)
            ],
        )
        for index, prompt in enumerate(eval_set.prompts)
    ]


def eval_metrics(eval_set: EvalSet, groups: Sequence[Group]) -> dict[str, float]:
    """All metrics of a set, as ``eval/<name>/...``."""
    scored = [sample for group in groups for sample in group.scored]
    total = sum(len(group.samples) for group in groups)
    metrics = {
        "samples": float(total),
        "failed": float(sum(s.error is not None for g in groups for s in g.samples)),
    }
    if scored:
        metrics["reward_mean"] = fmean(_reward(s) for s in scored)
        metrics["response_tokens_mean"] = fmean(
            len(s.trace) - s.trace.prompt_length for s in scored
        )
    if eval_set.samples_per_prompt > 1:
        metrics |= at_k(groups, eval_set.samples_per_prompt)
    metrics |= _own(eval_set, groups)
    return {f"eval/{eval_set.name}/{name}": value for name, value in metrics.items()}


def at_k(groups: Sequence[Group], k: int) -> dict[str, float]:
    """``mean@k`` and ``pass@j`` for each power of two up to ``k``, and ``k``; means over prompts.

    A prompt counts with the samples that were scored, and for ``pass@j`` only if there are ``j``.
    """
    rewards = [[_reward(s) for s in group.scored] for group in groups]
    metrics = {}
    if any(rewards):
        metrics[f"mean@{k}"] = fmean(fmean(one) for one in rewards if one)
    for j in sorted({k, *(2**i for i in range(k.bit_length()))}):
        chances = [pass_at(j, len(one), _passed(one)) for one in rewards if len(one) >= j]
        if chances:
            metrics[f"pass@{j}"] = fmean(chances)
    return metrics


def pass_at(k: int, n: int, passed: int) -> float:
    """Chance that one of ``k`` samples passes, of which ``passed`` in ``n`` did, without bias.

    ``1 - C(n - passed, k) / C(n, k)``: Chen et al. 2021, https://arxiv.org/abs/2107.03374.
    """
    return 1.0 - math.comb(n - passed, k) / math.comb(n, k)


def _passed(rewards: Sequence[float]) -> int:
    return sum(reward >= PASS_REWARD for reward in rewards)


def _reward(sample: Sample) -> float:
    return 0.0 if sample.reward is None else sample.reward


def _own(eval_set: EvalSet, groups: Sequence[Group]) -> dict[str, float]:
    if eval_set.metrics is None:
        return {}
    try:
        own = eval_set.metrics([group for group in groups if group.scored])
        return {name: float(value) for name, value in own.items()}
    except Exception as error:
        error.add_note(f"in the metrics of evaluation set {eval_set.name!r}")
        if isinstance(error, AttributeError | TypeError | ValueError):
            raise PluginError(
                f"evaluation set {eval_set.name!r}: its metrics must return numbers by name; "
                f"{type(error).__name__}: {error}"
            ) from error
        raise
