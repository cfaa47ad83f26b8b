"""The reward: a right final answer is worth 1. How the model came by it is its own business."""

from __future__ import annotations

from typing import Any

from slime_hookspecs import Context, DataError, Reward, Sample

from slime_plugin_multi_turn_tools import verify
from slime_plugin_multi_turn_tools.calls import turns
from slime_plugin_multi_turn_tools.episode import NOTES
from slime_plugin_multi_turn_tools.options import Options


def score(sample: Sample, ctx: Context[Options]) -> Reward:
    """1 for a right answer, else ``wrong``; in evaluation just 1 or 0."""
    label = _label(sample)
    answer = verify.extract(sample.response)
    correct = answer is not None and verify.same(answer, label)
    notes: dict[str, Any] = sample.metadata.get(NOTES) or {}
    calls, errors = int(notes.get("calls", 0)), int(notes.get("errors", 0))
    metrics = {
        "correct": float(correct),
        "answered": float(answer is not None),
        "turns": float(turns(sample.trace)),
        "calls": float(calls),
        "errors": float(errors),
    }
    if ctx.evaluating is not None:
        return Reward(float(correct), metrics)
    bonus = ctx.options.tool_bonus if calls > errors else 0.0
    return Reward(1.0 + bonus if correct else ctx.options.wrong, metrics)


def _label(sample: Sample) -> str:
    """The right answer; prompts may come from another plugin's data source."""
    label = sample.prompt.label
    if not isinstance(label, str | int | float) or isinstance(label, bool):
        raise DataError(
            f"prompt {sample.prompt.id}: its label is {label!r}; "
            "multi_turn_tools needs a text or a number"
        )
    return str(label).strip()
