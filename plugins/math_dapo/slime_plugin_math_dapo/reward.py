"""The reward of DAPO: right or wrong, less a soft penalty for running out of budget."""

from __future__ import annotations

from slime_hookspecs import Context, DataError, Reward, Sample

from slime_plugin_math_dapo import verify
from slime_plugin_math_dapo.options import Options


def score(sample: Sample, ctx: Context[Options]) -> Reward:
    """1 for a right answer, else ``wrong``, and the overlong penalty. In evaluation just 1 or 0."""
    label = _label(sample)
    answer = verify.extract(sample.response)
    same = verify.same_text if ctx.options.exact else verify.same_value
    correct = answer is not None and same(answer, label)
    metrics = {"correct": float(correct), "answered": float(answer is not None)}
    if ctx.evaluating is not None:
        return Reward(float(correct), metrics)
    penalty = overlong_penalty(
        len(sample.trace) - sample.trace.prompt_length, ctx.run.max_response_tokens, ctx.options
    )
    if ctx.options.overlong_buffer:
        metrics["overlong_penalty"] = penalty
    return Reward((1.0 if correct else ctx.options.wrong) - penalty, metrics)


def _label(sample: Sample) -> str:
    """The right answer; prompts may come from another plugin's data source."""
    label = sample.prompt.label
    if not isinstance(label, str | int | float):
        found = f"its label is {label!r}"
        raise DataError(f"prompt {sample.prompt.id}: {found}; math_dapo needs a text or a number")
    return str(label).strip()


def overlong_penalty(length: int, budget: int, options: Options) -> float:
    """Penalty of a response of ``length`` tokens, 0 or more.

    Rises linearly from 0 at ``budget - overlong_buffer`` tokens to ``overlong_penalty`` at
    ``budget``: DAPO's soft overlong punishment (https://arxiv.org/abs/2503.14476, equation 13).
    """
    if not options.overlong_buffer:
        return 0.0
    over = length - (budget - options.overlong_buffer)
    return options.overlong_penalty * min(max(over / options.overlong_buffer, 0.0), 1.0)
