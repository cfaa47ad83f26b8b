"""Passive mode: a hook that breaks a promise is told so on its first calls, in one message."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rollout_fakes import (
    FakeClient,
    FakeEngine,
    Source,
    centred,
    config_of,
    generate,
    hook,
    prompt,
    studio_of,
)
from slime_hookspecs import (
    KEEP,
    Group,
    PluginError,
    Prompt,
    Reward,
    Rollout,
    Sample,
    StopReason,
    Trace,
    Verdict,
)

from slime_core.plugins import BoundHook
from slime_core.rollout.contexts import Scene
from slime_core.rollout.live_checks import CHECKED, LiveChecks

SCENE = Scene(step=0, weight_version=1)
SURE = "slime plugins check task looks at all promises"
Edit = Callable[[Sample], Any]


async def reward(sample: Sample, ctx: Any) -> float:
    return 1.0


async def rank(group: Group, ctx: Any) -> list[float]:
    return [1.0] * len(group.samples)


def keep(group: Group, ctx: Any) -> Verdict:
    return KEEP


def after(edit: Edit) -> Any:
    """A generate hook that spoils what it returns."""

    async def spoilt(sample: Sample, engine: Any, ctx: Any) -> Any:
        sample = await generate(sample, engine, ctx)
        return edit(sample) or sample

    return spoilt


def wrapping(edit: Edit) -> Any:
    async def wrap(call_next: Any, sample: Sample, engine: Any, ctx: Any) -> Any:
        answer = await call_next(sample, engine)
        return edit(answer) or answer

    return wrap


def with_trace(kind: str) -> Edit:
    def edit(sample: Sample) -> None:
        tokens = sample.trace.tokens
        sample.trace = Trace()
        getattr(sample.trace, f"append_{kind}")(tokens)

    return edit


def impossible(sample: Sample) -> None:
    sample.trace.append_sampled([1], [float("-inf")], 1)


def add_message(sample: Sample) -> None:
    sample.prompt.messages.append({"role": "user", "content": "again"})


async def roll(*hooks: BoundHook, **config: Any) -> Rollout:
    """One step that may lose all but a sample or two."""
    settings = {"max_failed_fraction": 1.0, "prompts_per_step": 1, "samples_per_prompt": 1}
    source = config.pop("source", None) or Source(1)
    studio, drawing = studio_of(config_of(**{**settings, **config}), *hooks, source=source)
    return await studio.roll(SCENE, FakeClient(), drawing)


async def error_of(caplog: pytest.LogCaptureFixture, *hooks: BoundHook) -> str:
    """What is said of the only sample of a step, which fails."""
    caplog.clear()
    rollout = await roll(*hooks)
    assert rollout.groups == []
    assert rollout.metrics["rollout/failed"] == 1
    (message,) = (r.getMessage() for r in caplog.records if r.levelname == "WARNING")
    return message


EPISODES: list[tuple[Edit, str]] = [
    (
        lambda s: setattr(s, "stop", StopReason.PENDING),
        "left sample.stop unset; set it to why generation ended",
    ),
    (with_trace("observed"), "begins with observed tokens; begin it with append_prompt()"),
    (with_trace("prompt"), "stop is STOP and no token is marked as sampled; use engine.generate"),
    (impossible, "a sampled token has the log-prob -inf; it must be finite and at most 0"),
    (lambda s: s.metadata.update(tags={1, 2}), "sample.metadata is {'tags': {1, 2}}, which is not"),
    (add_message, "it changed sample.prompt to Prompt(id='p0'"),
    (lambda sample: [sample, sample], "the same sample is in the list of 2 more than once"),
    (
        lambda sample: [sample, Sample(0, 0, sample.prompt, sample.trace, StopReason.STOP)],
        "two samples share one trace; branch with trace.copy()",
    ),
    (lambda sample: ["text"], "it returned ['text']; it must be the sample or a list of samples"),
]


@pytest.mark.parametrize(("edit", "found"), EPISODES)
async def test_a_broken_promise_of_an_episode_costs_the_sample_and_says_whose_it_was(
    edit: Edit, found: str, caplog: pytest.LogCaptureFixture
) -> None:
    said = await error_of(caplog, hook("slime_generate", after(edit)), hook("slime_reward", reward))
    assert "plugin task 1.2, slime_generate, sample 0 of prompt 'p0': " in said
    assert found in said
    assert SURE in said


@pytest.mark.parametrize(("edit", "found"), EPISODES)
async def test_what_a_wrapper_spoils_is_the_wrappers_fault(
    edit: Edit, found: str, caplog: pytest.LogCaptureFixture
) -> None:
    said = await error_of(caplog, hook("slime_wrap_generate", wrapping(edit)))
    assert "plugin task 1.2, slime_wrap_generate, sample 0 of prompt 'p0': " in said
    assert found in said


def says(text: str) -> Edit:
    """A tool's output, marked as if the model had written it."""

    def edit(sample: Sample) -> None:
        tokens = list(text.encode())
        sample.trace.append_sampled(tokens, [-1.0] * len(tokens), 1)

    return edit


async def test_a_tools_output_that_is_marked_as_sampled_is_found(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = await error_of(caplog, hook("slime_generate", after(says("result"))))
    assert "plugin task 1.2, slime_generate, sample 0 of prompt 'p0': " in said
    assert "6 tokens are marked as sampled" in said
    assert "trace.append_observed()" in said


def replied(tokens: list[int]) -> dict[str, Any]:
    rows = [[-0.5, token, None] for token in tokens]
    meta = {"finish_reason": {"type": "stop"}, "output_token_logprobs": rows}
    return {"meta_info": meta}


@pytest.mark.parametrize(
    ("reply", "checked"), [(replied([9, 8]), False), (replied([1]), True), ({"odd": 1}, False)]
)
async def test_answers_to_posts_count_and_those_in_an_unknown_form_end_the_look(
    reply: dict[str, Any], checked: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def posts(sample: Sample, engine: Any, ctx: Any) -> Any:
        sample = await generate(sample, engine, ctx)
        await engine.post("/generate", {})
        sample.trace.append_sampled([9, 8], [-0.5, -0.5], 1)
        return sample

    async def answer(self: Any, path: str, body: Any) -> dict[str, Any]:
        return reply

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeEngine, "post", answer)
        caplog.clear()
        await roll(hook("slime_generate", posts))
    assert ("2 tokens are marked as sampled" in caplog.text) == checked


async def test_a_trace_that_held_something_only_grows(caplog: pytest.LogCaptureFixture) -> None:
    async def half(call_next: Any, sample: Sample, engine: Any, ctx: Any) -> Any:
        sample.trace.append_prompt([7, 7])
        return await call_next(sample, engine)

    async def anew(sample: Sample, engine: Any, ctx: Any) -> Any:
        sample.trace = Trace()
        return await generate(sample, engine, ctx)

    hooks = hook("slime_wrap_generate", half, "half"), hook("slime_generate", anew)
    said = await error_of(caplog, *hooks)
    assert "slime_generate" in said
    assert "the trace does not begin with what it held before; a trace only grows" in said


async def test_call_next_is_called_once(caplog: pytest.LogCaptureFixture) -> None:
    async def again(call_next: Any, sample: Sample, engine: Any, ctx: Any) -> Any:
        await call_next(sample, engine)
        other = Sample(sample.index, sample.group_index, sample.prompt)
        return await call_next(other, engine)

    async def reward_again(call_next: Any, sample: Sample, ctx: Any) -> Any:
        return await call_next(sample) + await call_next(sample)

    wrong = "it called call_next 2 times for one sample; call it once"
    said = await error_of(caplog, hook("slime_wrap_generate", again))
    assert f"slime_wrap_generate, sample 0 of prompt 'p0': {wrong}" in said
    said = await error_of(
        caplog, hook("slime_reward", reward), hook("slime_wrap_reward", reward_again)
    )
    assert f"slime_wrap_reward, sample 0 of prompt 'p0': {wrong}" in said


REWARDS: list[tuple[Any, str]] = [
    (float("nan"), "its value is nan; it must be a finite number"),
    (Reward(1.0, {"parsed": float("inf")}), "its parsed is inf; it must be a finite number"),
    (True, "it gave True; it must be a number or a Reward"),
    (None, "it gave None; it must be a number or a Reward"),
]


@pytest.mark.parametrize(("value", "found"), REWARDS)
async def test_a_reward_is_a_finite_number_from_whomever_it_comes(
    value: Any, found: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def own(sample: Sample, ctx: Any) -> Any:
        return value

    async def wrap(call_next: Any, sample: Sample, ctx: Any) -> Any:
        await call_next(sample)
        return value

    async def of_group(group: Group, ctx: Any) -> Any:
        return [value] * len(group.samples)

    good = hook("slime_reward", reward, "good")
    cases = {
        "slime_reward": [hook("slime_reward", own)],
        "slime_wrap_reward": [good, hook("slime_wrap_reward", wrap)],
        "slime_group_reward": [hook("slime_group_reward", of_group)],
    }
    for name, hooks in cases.items():
        said = await error_of(caplog, *hooks)
        assert f"plugin task 1.2, {name}, " in said
        assert found in said


@pytest.mark.parametrize("field", ["response", "reward", "metadata", "trace", "stop"])
async def test_who_judges_a_sample_changes_nothing_of_it(
    field: str, caplog: pytest.LogCaptureFixture
) -> None:
    def change(sample: Sample) -> None:
        if field == "trace":
            sample.trace.append_observed([1])
        elif field == "metadata":
            sample.metadata["seen"] = True
        else:
            setattr(sample, field, StopReason.LENGTH if field == "stop" else 7.5)

    async def own(sample: Sample, ctx: Any) -> float:
        change(sample)
        return 1.0

    async def of_group(group: Group, ctx: Any) -> list[float]:
        change(group.samples[0])
        return [1.0] * len(group.samples)

    found = f"it changed {field} of sample 0; return what you find instead"
    assert found in await error_of(caplog, hook("slime_reward", own))
    assert found in await error_of(caplog, hook("slime_group_reward", of_group))

    def filters(group: Group, ctx: Any) -> Verdict:
        change(group.samples[0])
        return KEEP

    def advantages(group: Group, ctx: Any) -> list[float]:
        change(group.samples[0])
        return centred(group, ctx)

    for name, function in (("slime_filter", filters), ("slime_advantage", advantages)):
        where = rf"plugin task 1.2, {name}, group 0 of prompt 'p0': {re.escape(found)}"
        with pytest.raises(PluginError, match=where):
            await roll(hook("slime_reward", reward), hook(name, function))


VERDICTS: list[tuple[Any, str]] = [
    (True, r"it returned True; it must be a Verdict: KEEP or Verdict\(False, reason\)"),
    (Verdict(1), "it must be a Verdict"),  # type: ignore[arg-type]
    (Verdict(False), "the reason is ''; use a word like 'zero_variance'"),
    (Verdict(False, "Too easy!"), "the reason is 'Too easy!'"),
]


@pytest.mark.parametrize(("verdict", "found"), VERDICTS)
async def test_a_wrong_verdict_stops_the_run(verdict: Any, found: str) -> None:
    with pytest.raises(PluginError, match=rf"plugin task 1.2, slime_filter, group 0 .*{found}"):
        await roll(hook("slime_filter", lambda group, ctx: verdict))


ADVANTAGES: list[tuple[Any, str]] = [
    ([1.0, 2.0], "it gave 2 advantages for 1 scored samples; give one for each of group.scored"),
    (None, "it gave None for 1 scored samples"),
    ([float("nan")], "advantage 0 is nan; it must be a finite number"),
    (["1"], "advantage 0 is '1'; it must be a finite number"),
]


@pytest.mark.parametrize(("values", "found"), ADVANTAGES)
async def test_a_wrong_advantage_stops_the_run(values: Any, found: str) -> None:
    with pytest.raises(PluginError, match=rf"plugin task 1.2, slime_advantage, group 0 .*{found}"):
        await roll(hook("slime_advantage", lambda group, ctx: values))


async def test_a_list_that_a_filter_sorts_is_found_before_the_advantage_sees_it() -> None:
    def sort(group: Group, ctx: Any) -> Verdict:
        group.samples.reverse()
        return KEEP

    with pytest.raises(PluginError, match=r"slime_filter.*the group's list of samples; sort or"):
        await roll(hook("slime_filter", sort), samples_per_prompt=2)


class Given(Source):
    """Gives what a test says."""

    def __init__(self, make: Callable[[int], Any]) -> None:
        super().__init__()
        self.make = make

    def take(self, count: int) -> Any:
        return self.make(count)


PROMPTS: list[tuple[Callable[[int], Any], str]] = [
    (lambda count: [prompt(i) for i in range(count + 1)], "take(1) gave 2 prompts; it must give"),
    (lambda count: ["1+1="], "take(1) gave ['1+1=']; it must give a sequence of Prompts"),
    (lambda count: [Prompt("", [])], "an id is ''; it must be a text"),
    (lambda count: [Prompt("p", [], label={1})], "prompt 'p': label is {1}, which is not the same"),
]


@pytest.mark.parametrize(("make", "found"), PROMPTS)
async def test_a_data_source_that_breaks_its_promise_stops_the_run(
    make: Callable[[int], Any], found: str
) -> None:
    with pytest.raises(PluginError, match=re.escape(f"slime_data_source, take: {found}")):
        await roll(source=Given(make))


async def test_an_id_that_means_two_prompts_is_found_in_a_later_step() -> None:
    numbers = iter(range(9))
    source = Given(lambda count: [replace(prompt(0), label=next(numbers))])
    studio, drawing = studio_of(config_of(prompts_per_step=1), source=source)
    await studio.roll(Scene(0, 1), FakeClient(), drawing)
    with pytest.raises(PluginError, match="two different prompts have the id 'p0'"):
        await studio.roll(Scene(1, 1), FakeClient(), drawing)


async def test_an_error_of_the_data_source_names_it_and_keeps_its_type() -> None:
    def fail(count: int) -> Any:
        raise OSError("disk is gone")

    with pytest.raises(OSError, match="disk is gone") as caught:
        await roll(source=Given(fail))
    assert caught.value.__notes__ == ["in plugin data_source 1.2, hook slime_data_source, take(1)"]


def broken_from(call: int) -> tuple[BoundHook, list[int]]:
    """A reward that is True from a call on, and what it was called with."""
    seen: list[int] = []

    async def late(sample: Sample, ctx: Any) -> Any:
        seen.append(sample.index)
        return len(seen) > call or 1.0

    return hook("slime_reward", late), seen


@pytest.mark.parametrize(("checks", "failed"), [(0, 0), (3, 0), (4, 5), (16, 5)])
async def test_only_so_many_calls_are_checked(checks: int, failed: int) -> None:
    """Calls 4 to 8 break a promise; those that broke one do not count as checked."""
    late, seen = broken_from(3)
    rollout = await roll(
        late, check_plugins=checks, source=Source(8), prompts_per_step=8, concurrency=1
    )
    assert len(seen) == 8
    assert rollout.metrics["rollout/failed"] == failed


async def test_calls_are_counted_over_steps_and_each_hook_by_itself() -> None:
    late, seen = broken_from(5)
    config = config_of(prompts_per_step=4, samples_per_prompt=1, check_plugins=4, concurrency=1)
    studio, drawing = studio_of(config, late, hook("slime_reward", reward, "other"))
    failed = []
    for step in range(2):
        rollout = await studio.roll(Scene(step, 1), FakeClient(), drawing)
        failed.append(rollout.metrics["rollout/failed"])
    assert failed == [0, 0]
    assert len(seen) == 8


def test_a_hook_that_was_checked_enough_is_the_plain_one_again() -> None:
    plain, checks = hook("slime_filter", keep), LiveChecks(2)
    group = Group(0, prompt(0), [])
    watched = checks.hook(plain)
    assert watched.call is not plain.call
    assert [watched.call(group, None) for _ in range(3)] == [KEEP] * 3
    assert watched.call._target is plain.call
    assert checks.hook(plain) is plain


@pytest.mark.parametrize("name", sorted(CHECKED))
def test_no_check_means_the_very_same_hook(name: str) -> None:
    plain = hook(name, reward)
    assert LiveChecks(0).hook(plain) is plain


async def test_hooks_that_keep_their_promises_are_never_disturbed() -> None:
    async def wrap(call_next: Any, sample: Sample, engine: Any, ctx: Any) -> Any:
        sample.metadata["turns"] = 1
        return await call_next(sample, engine)

    async def fan_out(sample: Sample, engine: Any, ctx: Any) -> list[Sample]:
        twin = Sample(sample.index, sample.group_index, sample.prompt)
        return [await generate(one, engine, ctx) for one in (sample, twin)]

    async def wrap_reward(call_next: Any, sample: Sample, ctx: Any) -> Reward:
        return Reward(await call_next(sample), {"seen": 1})

    hooks = (
        hook("slime_generate", fan_out),
        hook("slime_wrap_generate", wrap),
        hook("slime_reward", reward),
        hook("slime_wrap_reward", wrap_reward),
        hook("slime_group_reward", rank, "rank"),
        hook("slime_filter", keep),
    )
    fates = []
    for checks in (0, 16):
        rollout = await roll(*hooks, check_plugins=checks, source=Source(), prompts_per_step=8)
        samples = [sample for group in rollout.groups for sample in group.samples]
        fates.append([(s.index, s.reward, s.advantage, s.trace.tokens, s.error) for s in samples])
    assert fates[0] == fates[1]
    assert len(fates[0]) == 16
