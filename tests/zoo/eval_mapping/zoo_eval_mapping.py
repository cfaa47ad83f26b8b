"""Gives a mapping where a list of sets is asked for."""

from __future__ import annotations

from slime_hookspecs import EvalSet, Prompt, hookimpl


@hookimpl
def slime_eval_sets() -> dict[str, EvalSet]:
    """Held-out sums."""
    prompts = [Prompt(f"eval/{n}", [{"role": "user", "content": f"{n}+9="}], n + 9) for n in (1, 2)]
    return {"sums": EvalSet("sums", prompts)}
