"""Messages of episodes: heard where a task speaks to its engine, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from slime_hookspecs import AnyContext, Message, Prompt, Sample, StopReason
from slime_hookspecs.testing.kit import ScriptedEngine, make_prompt, make_sample
from slime_plugin_rejection_sampling import slime_wrap_generate
from slime_plugin_rejection_sampling.dataset import row
from slime_plugin_rejection_sampling.recording import NOTES

Contexts = Callable[..., AnyContext]


async def one_turn(sample: Sample, engine: Any) -> Sample:
    sample.trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    sample.stop = await engine.generate(sample.trace)
    sample.response = engine.decode(sample.trace.last_turn)
    return sample


async def two_turns(sample: Sample, engine: Any) -> Sample:
    """Asks twice; goes on where an interrupted attempt stopped."""
    messages: list[Message] = list(sample.prompt.messages)
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(messages))
    if not any(segment.kind == "observed" for segment in sample.trace.segments):
        await engine.generate(sample.trace)
        said = {"role": "assistant", "content": engine.decode(sample.trace.last_turn)}
        new = [{"role": "user", "content": "and?"}]
        sample.trace.append_observed(engine.extend(sample.trace, [*messages, said], new))
    sample.stop = await engine.generate(sample.trace)
    return sample


def said(sample: Sample) -> list[tuple[str, str]] | None:
    found = row(sample, 0)
    return found and [(m["role"], m["content"]) for m in found["messages"]]


TWO = [("user", "2+2="), ("assistant", "first"), ("user", "and?"), ("assistant", "second")]


async def test_a_plain_answer_needs_no_notes(context: Contexts) -> None:
    sample, engine = make_sample(), ScriptedEngine(["4"])
    assert await slime_wrap_generate(one_turn, sample, engine, context()) is sample
    assert sample.metadata == {}
    assert said(sample) == [("user", "2+2="), ("assistant", "4")]


async def test_an_episode_is_kept_turn_by_turn(context: Contexts) -> None:
    sample, engine = make_sample(), ScriptedEngine(["first", "second"])
    await slime_wrap_generate(two_turns, sample, engine, context())
    assert said(sample) == TWO
    assert json.loads(json.dumps(sample.metadata)) == sample.metadata


async def test_an_interrupted_episode_is_kept_whole_by_the_attempt_that_ends_it(
    context: Contexts,
) -> None:
    sample, engine = make_sample(), ScriptedEngine(["first", "second"])

    async def stopped(sample: Sample, engine: Any) -> Sample:
        await two_turns(sample, engine)
        sample.trace = type(sample.trace)(sample.trace.segments[:-1])
        sample.stop = StopReason.ABORTED
        return sample

    await slime_wrap_generate(stopped, sample, engine, context())
    sample.metadata = json.loads(json.dumps(sample.metadata))
    await slime_wrap_generate(two_turns, sample, engine, context())
    assert said(sample) == TWO


async def test_what_a_task_makes_of_its_prompt_is_what_is_written(context: Contexts) -> None:
    prompt = make_prompt("see {board}")

    async def filled(sample: Sample, engine: Any) -> Sample:
        shown = Prompt("x", [{"role": "user", "content": "see a board"}])
        sample.trace.append_prompt(engine.render(shown.messages))
        sample.stop = await engine.generate(sample.trace)
        return sample

    sample = make_sample(prompt)
    await slime_wrap_generate(filled, sample, ScriptedEngine(["ok"]), context())
    assert said(sample) == [("user", "see a board"), ("assistant", "ok")]


async def test_observed_text_that_was_no_message_is_not_written(context: Contexts) -> None:
    async def spliced(sample: Sample, engine: Any) -> Sample:
        await one_turn(sample, engine)
        sample.trace.append_observed(engine.encode("<result>"))
        sample.stop = await engine.generate(sample.trace)
        return sample

    sample = make_sample()
    await slime_wrap_generate(spliced, sample, ScriptedEngine(["a", "b"]), context())
    assert sample.metadata[NOTES]["messages"] is None
    assert said(sample) is None


async def test_each_of_several_answers_has_its_own_messages(context: Contexts) -> None:
    async def siblings(sample: Sample, engine: Any) -> list[Sample]:
        other = make_sample(sample.prompt)
        return [await one_turn(sample, engine), await two_turns(other, engine)]

    sample, engine = make_sample(), ScriptedEngine(["first", "second"])
    answers = await slime_wrap_generate(siblings, sample, engine, context())
    assert isinstance(answers, list)
    assert [said(one) for one in answers] == [TWO[:2], TWO]


@pytest.mark.parametrize("options", [{"dataset": False}, {}])
async def test_nothing_is_heard_where_nothing_will_be_written(
    context: Contexts, options: dict[str, Any]
) -> None:
    seen: list[Any] = []

    async def look(sample: Sample, engine: Any) -> Sample:
        seen.append(engine)
        return await one_turn(sample, engine)

    engine = ScriptedEngine(["4"])
    await slime_wrap_generate(look, make_sample(), engine, context(**options))
    assert (seen == [engine]) is (options != {})
