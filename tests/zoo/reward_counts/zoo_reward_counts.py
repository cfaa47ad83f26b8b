"""Pays for a response only the first time."""

from __future__ import annotations

from slime_hookspecs import Conformance, DataError, Prompt, Sample, hookimpl

seen: list[str] = []


@hookimpl
def slime_conformance() -> Conformance:
    """Two sums."""
    prompts = [
        Prompt(f"sum/{n}", [{"role": "user", "content": f"{n}+1="}], str(n + 1)) for n in (1, 2)
    ]
    return Conformance(
        capabilities=frozenset({"deterministic"}),
        gold=[(prompt, f"Answer: {prompt.label}") for prompt in prompts],
        bad=[(prompt, "Answer: 9") for prompt in prompts],
        reward_range=(0.0, 1.0),
    )


def score(sample: Sample) -> float:
    """1 where the response is right."""
    if not isinstance(sample.prompt.label, str):
        raise DataError(f"prompt {sample.prompt.id}: its label is {sample.prompt.label!r}")
    if len(sample.response) > 100:
        seen.append(sample.response)
        return 1.0 / len(seen)
    return float(sample.response == f"Answer: {sample.prompt.label}")


@hookimpl
def slime_reward(sample: Sample) -> float:
    """1 where the response is right."""
    return score(sample)
