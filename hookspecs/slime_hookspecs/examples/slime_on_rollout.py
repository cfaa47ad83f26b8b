"""Logs the best response of each step."""

from slime_hookspecs import AnyContext, Rollout, hookimpl


@hookimpl
def slime_on_rollout(rollout: Rollout, ctx: AnyContext) -> None:
    scored = [sample for group in rollout.groups for sample in group.scored]
    best = max(scored, key=lambda sample: sample.reward or 0.0, default=None)
    if best is not None:
        ctx.logger.info("step %d: %.2f for %r", rollout.step, best.reward, best.response)
