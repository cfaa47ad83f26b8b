"""From a conversation to a trace: which tokens are given, and which are imitated."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import slime_plugin_sft
from hypothesis import given
from hypothesis import strategies as st
from slime_hookspecs import Context, DataError, Message, Prompt, Sample, StopReason, Trace
from slime_plugin_sft import Options, slime_generate
from slime_plugin_sft.segments import SegmentCache, split

Conversation = Callable[..., Prompt]

TWO_TURNS: list[Message] = [
    {"role": "system", "content": "Add."},
    {"role": "user", "content": "1+1="},
    {"role": "assistant", "content": "2"},
    {"role": "user", "content": "and 1?"},
    {"role": "assistant", "content": "3"},
    {"role": "user", "content": "thanks"},
]


def text(tokens: list[int] | tuple[int, ...]) -> str:
    return "".join(chr(token) if token else "|" for token in tokens)


def parts(prompt: Prompt, engine: Any) -> list[tuple[str, str]]:
    return [(segment.kind, text(segment.tokens)) for segment in split(prompt, engine)]


async def test_the_answer_is_demonstrated_with_its_end_of_turn_token(
    conversation: Conversation, engine: Any, context: Context[Options]
) -> None:
    sample = Sample(0, 0, conversation({"messages": TWO_TURNS[:3]}))
    found = await slime_generate(sample, engine, context)
    assert found is sample
    assert sample.stop is StopReason.DEMONSTRATED
    assert text(sample.trace.tokens) == "<system>Add.|<user>1+1=|<assistant>2|"
    trained = [t for t, m in zip(sample.trace.tokens, sample.trace.loss_mask, strict=True) if m]
    assert text(trained) == "2|"


def test_every_assistant_turn_is_imitated_and_what_is_between_is_observed(
    conversation: Conversation, engine: Any
) -> None:
    assert parts(conversation({"messages": TWO_TURNS}), engine) == [
        ("prompt", "<system>Add.|<user>1+1=|<assistant>"),
        ("demonstrated", "2|"),
        ("observed", "<user>and 1?|<assistant>"),
        ("demonstrated", "3|"),
    ]


def test_only_the_last_turn_is_imitated_when_asked(conversation: Conversation, engine: Any) -> None:
    prompt = conversation({"messages": TWO_TURNS}, train_on="last")
    assert parts(prompt, engine) == [
        ("prompt", "<system>Add.|<user>1+1=|<assistant>2|<user>and 1?|<assistant>"),
        ("demonstrated", "3|"),
    ]


def test_a_turn_marked_train_false_is_context(conversation: Conversation, engine: Any) -> None:
    messages = [*TWO_TURNS[:2], {**TWO_TURNS[2], "train": False}, *TWO_TURNS[3:]]
    prompt = conversation({"messages": messages})
    assert [kind for kind, _ in parts(prompt, engine)] == ["prompt", "demonstrated"]
    assert parts(prompt, engine)[1] == ("demonstrated", "3|")
    assert "train" not in str(prompt.messages)


def test_the_trace_equals_the_rendering_of_the_whole(
    conversation: Conversation, engine: Any
) -> None:
    trace = Trace(split(conversation({"messages": TWO_TURNS}), engine))
    assert trace.tokens == engine.render(TWO_TURNS[:5], add_generation_prompt=False)


def test_tools_are_rendered(conversation: Conversation, engine: Any) -> None:
    tools = [{"name": "add"}]
    found = parts(conversation({"messages": TWO_TURNS, "tools": tools}), engine)
    assert found[0][1].startswith('[{"name": "add"}]<system>')


def test_a_template_that_rewrites_earlier_turns_is_refused_by_row(
    conversation: Conversation, forgetful_engine: Any
) -> None:
    prompt = conversation({"messages": TWO_TURNS})
    with pytest.raises(DataError, match=r"d\.jsonl:1: the chat template does not keep .*token 35"):
        split(prompt, forgetful_engine)
    last = conversation({"messages": TWO_TURNS}, train_on="last")
    assert parts(last, forgetful_engine)[1] == ("demonstrated", "3|")


def test_a_conversation_that_the_template_refuses_is_named_by_row(
    conversation: Conversation, engine: Any
) -> None:
    def refuse(*args: Any, **more: Any) -> list[int]:
        raise RuntimeError("roles must alternate")

    engine.render = refuse
    with pytest.raises(DataError, match=r"d\.jsonl:1: the chat template refuses.*must alternate"):
        split(conversation({"messages": TWO_TURNS}), engine)


def test_a_conversation_longer_than_the_context_is_refused_by_row(
    conversation: Conversation, engine: Any
) -> None:
    engine.context_length = 10
    with pytest.raises(DataError, match=r"d\.jsonl:1: the conversation has 37 tokens.* takes 10"):
        split(conversation({"messages": TWO_TURNS[:3]}), engine)


async def test_a_second_attempt_starts_afresh(
    conversation: Conversation, engine: Any, context: Context[Options]
) -> None:
    sample = Sample(0, 0, conversation({"messages": TWO_TURNS[:3]}))
    await slime_generate(sample, engine, context)
    first = sample.trace
    await slime_generate(sample, engine, context)
    assert sample.trace == first
    assert sample.trace is not first


def test_a_conversation_is_tokenised_once_over_all_epochs(
    conversation: Conversation, engine: Any
) -> None:
    cache, prompt = SegmentCache(), conversation({"messages": TWO_TURNS})
    first = cache.split(prompt, engine, 1000)
    rendered = engine.renderings
    assert cache.split(prompt, engine, 1000) is first
    assert engine.renderings == rendered


def test_the_cache_keeps_no_more_than_it_may(conversation: Conversation, engine: Any) -> None:
    cache, prompt = SegmentCache(), conversation({"messages": TWO_TURNS})
    size = len(Trace(cache.split(prompt, engine, 0)))
    cache.split(prompt, engine, size - 1)
    assert (cache.tokens, cache.entries) == (0, {})
    cache.split(prompt, engine, size)
    assert cache.tokens == size


def test_the_cache_never_answers_for_other_data_with_the_same_id(
    conversation: Conversation, engine: Any
) -> None:
    cache = SegmentCache()
    cache.split(conversation({"messages": TWO_TURNS}), engine, 1000)
    other = conversation({"messages": TWO_TURNS[:3]})
    assert cache.split(other, engine, 1000) == split(other, engine)


async def test_a_known_conversation_costs_less_than_50_microseconds(
    conversation: Conversation, engine: Any, context: Context[Options]
) -> None:
    prompt = conversation({"messages": TWO_TURNS[:3]})
    samples = [Sample(i, 0, prompt) for i in range(2000)]
    await slime_generate(samples[0], engine, context)
    start = time.process_time()
    for sample in samples:
        await slime_generate(sample, engine, context)
    assert (time.process_time() - start) / len(samples) < 50e-6


turns = st.lists(
    st.tuples(st.text("ab", max_size=3), st.text("cd", max_size=3), st.booleans()),
    min_size=1,
    max_size=5,
)


@given(turns)
def test_masks_cover_exactly_the_turns_to_imitate(said: list[tuple[str, str, bool]]) -> None:
    engine = slime_engine()
    messages = [
        {"role": role, "content": content}
        for asked, answered, _ in said
        for role, content in (("user", asked), ("assistant", answered))
    ]
    trained = [2 * i + 1 for i, (*_, train) in enumerate(said) if train]
    if not trained:
        return
    prompt = Prompt("p", messages, metadata={"place": "d:1", "trained": trained})
    segments = split(prompt, engine)
    expected = [f"{answered}|" for _, answered, train in said if train]
    assert [text(s.tokens) for s in segments if s.kind == "demonstrated"] == expected
    whole = engine.render(messages[: trained[-1] + 1], add_generation_prompt=False)
    assert Trace(segments).tokens == whole


def slime_engine() -> Any:
    class Engine:
        context_length = 1000

        def render(
            self, messages: list[Message], tools: Any = None, *, add_generation_prompt: bool = True
        ) -> list[int]:
            said = "".join(f"<{m['role']}>{m['content']}|" for m in messages)
            said += "<assistant>" if add_generation_prompt else ""
            return [0 if c == "|" else ord(c) for c in said]

    return Engine()


def test_defaults_ask_for_a_run_without_servers() -> None:
    defaults = slime_plugin_sft.slime_defaults()
    assert defaults["engine"] == {"servers": 0}
    assert defaults["loss"] == "sft_loss"
    assert defaults["rollout"]["samples_per_prompt"] == 1
