"""The policy gradient, corrected for the updates since the tokens were sampled."""

from slime_hookspecs import Batch, Loss, Policy, hookimpl


@hookimpl
def slime_loss(batch: Batch, policy: Policy) -> Loss:
    ratio = (policy.logprobs - batch["old_logprobs"]).exp()
    return Loss(-ratio * batch["advantages"], {"ratio": ratio.detach()})
