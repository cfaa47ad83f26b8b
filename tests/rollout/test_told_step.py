"""Which step a hook is told where groups are made without a pause, as ``Context.step`` says."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from rollout_fakes import config_of, hook, studio_of
from slime_hookspecs import KEEP, Group, Sample, Verdict
from writer_fakes import Writer, write

from slime_core.rollout.contexts import Scene

TOLD: defaultdict[int, dict[str, int]] = defaultdict(dict)


async def reward(sample: Sample, ctx: Any) -> float:
    TOLD[sample.group_index]["reward"] = ctx.step
    return 1.0


def keep(group: Group, ctx: Any) -> Verdict:
    TOLD[group.index]["filter"] = ctx.step
    return KEEP


def advantage(group: Group, ctx: Any) -> list[float]:
    TOLD[group.index]["advantage"] = ctx.step
    return [0.0 for _ in group.scored]


async def test_a_sample_is_told_the_step_that_waited_as_it_began_and_a_later_one_may_train() -> (
    None
):
    TOLD.clear()
    hooks = (
        hook("slime_generate", write),
        hook("slime_reward", reward),
        hook("slime_filter", keep),
        hook("slime_advantage", advantage),
    )
    settings = config_of(schedule="async", prompts_per_step=2, max_staleness=3)
    studio, drawing = studio_of(settings, *hooks)
    writer = Writer(lambda index: 60 if index < 2 else 5)
    stream = studio.stream(0, writer, drawing, {})
    trained = {}
    for step in range(4):
        rollout = await studio.take(Scene(step, step + 1), stream)
        trained |= {group.index: step for group in rollout.groups}
        writer.weight_version = step + 2
    await stream.pause(0.0)
    assert all(TOLD[index]["advantage"] == step for index, step in trained.items())
    orders = [(TOLD[i]["reward"], TOLD[i]["filter"], step) for i, step in trained.items()]
    assert all(began <= ended <= step for began, ended, step in orders)
    assert any(began < step for began, _, step in orders), "some are trained on later"
