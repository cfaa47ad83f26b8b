"""Rejection sampling: sample, keep the answers that a reward accepts, and imitate them.

It goes with any task, whose data, episodes and rewards it takes as they are::

    slime --plugin math_dapo --plugin rejection_sampling ...

Each step samples with the newest weights, rejects what the reward does not accept, and takes the
gradient of the negative log-likelihood of the rest. With one weight update a step this is

* RAFT (Dong et al. 2023, https://arxiv.org/abs/2304.06767) with ``accept="best"``,
* STaR (Zelikman et al. 2022, https://arxiv.org/abs/2203.14465) and the expectation-maximisation of
  ReST-EM (Singh et al. 2023, https://arxiv.org/abs/2312.06585) with a threshold, but that these
  sample a whole dataset between two trainings, as the command ``slime-rejection-sampling`` does,
* rejection-sampling fine-tuning (Yuan et al. 2023, https://arxiv.org/abs/2308.01825), which accepts
  distinct right answers.

Rejected answers are left out of the batch, not masked in it: the loss is the mean over accepted
tokens alone, however few they are.
"""

from __future__ import annotations

import asyncio
from typing import Final

from slime_hookspecs import (
    KEEP,
    ConfigError,
    Conformance,
    Context,
    Engine,
    Group,
    Loss,
    NextGenerate,
    Policy,
    Rollout,
    Sample,
    StopReason,
    Verdict,
    hookimpl,
)

from slime_plugin_rejection_sampling import dataset
from slime_plugin_rejection_sampling.choosing import rejected
from slime_plugin_rejection_sampling.options import Options
from slime_plugin_rejection_sampling.recording import NOTES, Recorder, note

__all__ = [
    "Options",
    "slime_conformance",
    "slime_filter",
    "slime_loss",
    "slime_on_rollout",
    "slime_options",
    "slime_wrap_generate",
]

NONE_ACCEPTED: Final = Verdict(keep=False, reason="none_accepted")


@hookimpl
def slime_options() -> type:
    """The options class."""
    return Options


@hookimpl
def slime_conformance() -> Conformance:
    """What the conformance suite should know."""
    return Conformance(capabilities=frozenset({"no_host_sync"}), options={"threshold": 0.5})


@hookimpl
async def slime_wrap_generate(
    call_next: NextGenerate, sample: Sample, engine: Engine, ctx: Context[Options]
) -> Sample | list[Sample]:
    """Hear what is said in an episode, because tokens alone do not tell who said it."""
    if ctx.evaluating is not None or not ctx.options.dataset:
        return await call_next(sample, engine)
    recorder = Recorder(engine, sample.metadata.get(NOTES))
    try:
        answer = await call_next(sample, recorder)
    finally:
        sample.metadata[NOTES] = recorder.notes()
    for one in answer if isinstance(answer, list) else [answer]:
        if one.stop is not StopReason.ABORTED:
            note(one, recorder)
    return answer


@hookimpl
def slime_filter(group: Group, ctx: Context[Options]) -> Verdict:
    """Leave out the answers that are not accepted; drop a group in which none is."""
    scored = group.scored
    if scored and not any(sample.rewards for sample in scored):
        raise ConfigError(
            "rejection_sampling has no reward to accept answers by; add a plugin that gives one, "
            "as in --plugin math_dapo"
        )
    out = rejected(scored, ctx.options)
    if len(out) == len(scored):
        return NONE_ACCEPTED
    return Verdict(keep=True, rejected=out) if out else KEEP


@hookimpl
def slime_loss(policy: Policy) -> Loss:
    """``-log p(token)``, float32 ``[tokens]``, in nats; only accepted answers are in the batch."""
    return Loss(per_token=-policy.logprobs)


@hookimpl
async def slime_on_rollout(rollout: Rollout, ctx: Context[Options]) -> None:
    """Write what the step trains on, and count it."""
    accepted = [sample for group in rollout.groups for sample in group.trained]
    rollout.metrics["rejection_sampling/accepted"] = float(len(accepted))
    if not ctx.options.dataset:
        return
    rows = [row for one in accepted if (row := dataset.row(one, rollout.step)) is not None]
    await asyncio.to_thread(dataset.append, dataset.path_of(ctx.run), rollout.step, rows)
    rollout.metrics["rejection_sampling/written"] = float(len(rows))
