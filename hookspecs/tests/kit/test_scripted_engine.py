"""The scripted engine does what ``Engine`` says, from its script, its budget and its context."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
from slime_hookspecs import Engine, EngineError, Sampling, StopReason, Trace
from slime_hookspecs.testing.kit import Abort, EngineCall, ScriptedEngine, TinyTokenizer
from slime_hookspecs.testing.kit.engine import logprobs, position, trace_of
from slime_hookspecs.testing.kit.tokenizer import END

MESSAGES = [{"role": "user", "content": "2+2="}]


def begun(engine: ScriptedEngine) -> Trace:
    trace = Trace()
    trace.append_prompt(engine.render(MESSAGES))
    return trace


def written(engine: ScriptedEngine, trace: Trace) -> list[tuple[str, str]]:
    """Kind and text of each segment after the prompt."""
    return [(s.kind, engine.tokenizer.show(s.tokens)) for s in trace.segments[1:]]


def test_it_has_every_member_of_the_engine_interface_with_the_same_arguments() -> None:
    engine = ScriptedEngine()
    for name, member in vars(Engine).items():
        if name.startswith("_"):
            continue
        found = getattr(engine, name)
        if inspect.isfunction(member):
            wanted = [*inspect.signature(member).parameters][1:]
            assert [*inspect.signature(found).parameters] == wanted, name
            assert inspect.iscoroutinefunction(found) == inspect.iscoroutinefunction(member), name


async def test_a_turn_is_one_sampled_segment_with_log_probs_and_the_weight_version() -> None:
    engine = ScriptedEngine(["4"], weight_version=7)
    trace = begun(engine)
    asked = len(trace)
    assert await engine.generate(trace) is StopReason.STOP
    tokens = [*engine.encode("4"), END]
    (segment,) = trace.segments[1:]
    assert (segment.kind, list(segment.tokens), segment.weight_version) == ("sampled", tokens, 7)
    assert list(segment.logprobs) == logprobs(tokens, asked)
    assert all(value < 0 for value in segment.logprobs)


async def test_turns_come_in_order_and_the_last_one_again_and_again() -> None:
    engine = ScriptedEngine(["one", "two"])
    trace = begun(engine)
    for _ in range(3):
        await engine.generate(trace)
        trace.append_observed(engine.encode("?"))
    assert [text for kind, text in written(engine, trace) if kind == "sampled"] == [
        "one<|end|>",
        "two<|end|>",
        "two<|end|>",
    ]


async def test_a_script_can_be_a_function_of_what_led_up_to_the_turn() -> None:
    seen: list[int] = []

    def script(trace: Trace) -> str:
        seen.append(len(trace))
        return f"{len(trace)} tokens"

    engine = ScriptedEngine(script, faults=[Abort(after_tokens=2)])
    trace = begun(engine)
    asked = len(trace)
    assert await engine.generate(trace) is StopReason.ABORTED
    assert await engine.generate(trace) is StopReason.STOP
    assert seen == [asked, asked]
    assert engine.decode(trace.response_tokens) == f"{asked} tokens"


@pytest.mark.parametrize(
    ("sampling", "limits", "text", "stop"),
    [
        (None, {}, "a=b=c<|end|>", StopReason.STOP),
        (Sampling(max_new_tokens=3), {}, "a=b", StopReason.LENGTH),
        (Sampling(max_new_tokens=0), {}, None, StopReason.LENGTH),
        (Sampling(max_new_tokens=6), {}, "a=b=c<|end|>", StopReason.STOP),
        (None, {"max_new_tokens": 2}, "a=", StopReason.LENGTH),
        (Sampling(stop=["="]), {}, "a=", StopReason.STOP),
        (Sampling(stop=["c", "b="]), {}, "a=b=", StopReason.STOP),
        (Sampling(stop=["z"]), {}, "a=b=c<|end|>", StopReason.STOP),
        (Sampling(stop_token_ids=[8 + ord("b")]), {}, "a=b", StopReason.STOP),
        (Sampling(stop=["="], max_new_tokens=1), {}, "a", StopReason.LENGTH),
        (None, {"context_length": 11}, "a=b=", StopReason.CONTEXT),
        (None, {"context_length": 7}, None, StopReason.CONTEXT),
        (None, {"context_length": 3}, None, StopReason.CONTEXT),
        (Sampling(max_new_tokens=2), {"context_length": 11}, "a=", StopReason.LENGTH),
    ],
)
async def test_budget_context_and_stop_strings_end_a_turn(
    sampling: Sampling | None, limits: dict[str, int], text: str | None, stop: StopReason
) -> None:
    engine = ScriptedEngine(["a=b=c"], **limits)  # type: ignore[arg-type]
    trace = begun(engine)
    assert len(trace) == 7
    assert await engine.generate(trace, sampling) is stop
    assert written(engine, trace) == ([] if text is None else [("sampled", text)])


async def test_samples_do_not_mix_however_many_it_serves_at_once() -> None:
    engine = ScriptedEngine(lambda trace: engine.decode(trace.tokens[1:4]))
    traces = []
    for number in range(20):
        trace = Trace()
        trace.append_prompt(engine.render([{"role": "user", "content": f"{number:03}"}]))
        traces.append(trace)
    assert set(await asyncio.gather(*map(engine.generate, traces))) == {StopReason.STOP}
    answers = [engine.decode(trace.response_tokens) for trace in traces]
    assert answers == [f"{number:03}" for number in range(20)]


async def test_it_keeps_every_request() -> None:
    engine = ScriptedEngine(["4"])
    trace, sampling = begun(engine), Sampling(temperature=0.0)
    prompt = tuple(trace.tokens)
    await engine.generate(trace, sampling)
    body = {"input_ids": [1], "rid": "a"}
    await engine.post("/generate", body)
    assert engine.calls == [
        EngineCall("generate", prompt, sampling),
        EngineCall("/generate", body=body),
    ]
    assert engine.renders == 1


async def test_a_post_answers_as_sglang_does() -> None:
    engine = ScriptedEngine(["4"], weight_version=3)
    asked = engine.render(MESSAGES)
    tokens = [*engine.encode("4"), END]
    answer = await engine.post(
        "/generate", {"input_ids": asked, "rid": "r", "return_logprob": True}
    )
    values = logprobs(tokens, len(asked))
    assert answer == {
        "text": "4",
        "output_ids": tokens,
        "meta_info": {
            "id": "r",
            "finish_reason": {"type": "stop"},
            "prompt_tokens": len(asked),
            "completion_tokens": 2,
            "weight_version": "3",
            "output_token_logprobs": [[v, t, None] for v, t in zip(values, tokens, strict=True)],
        },
    }


async def test_a_post_is_answered_with_the_tokens_that_generate_would_write() -> None:
    engine = ScriptedEngine(["one", "two"])
    trace = begun(engine)
    await engine.generate(trace)
    trace.append_observed(engine.render([{"role": "tool", "content": "?"}]))
    answer = await engine.post("/generate", {"input_ids": trace.tokens})
    await engine.generate(trace)
    assert answer["output_ids"] == list(trace.last_turn)
    assert "output_token_logprobs" not in answer["meta_info"]


@pytest.mark.parametrize(
    ("parameters", "text", "reason"),
    [
        ({"max_new_tokens": 2}, "a=", "length"),
        ({"stop": "="}, "a=", "stop"),
        ({"stop": ["b"]}, "a=b", "stop"),
        ({"stop_token_ids": [8 + ord("a")]}, "a", "stop"),
    ],
)
async def test_a_post_minds_the_sampling_parameters(
    parameters: dict[str, Any], text: str, reason: str
) -> None:
    engine = ScriptedEngine(["a=b=c"])
    answer = await engine.post(
        "/generate", {"input_ids": engine.render(MESSAGES), "sampling_params": parameters}
    )
    assert (answer["text"], answer["meta_info"]["finish_reason"]) == (text, {"type": reason})


async def test_another_path_is_an_engine_error() -> None:
    with pytest.raises(EngineError, match="/flush_cache: 404 Not Found"):
        await ScriptedEngine().post("/flush_cache", {})


def test_a_position_is_the_finished_turns_and_what_is_written_of_the_next() -> None:
    trace = Trace()
    trace.append_prompt([3, 50])
    assert position(trace) == (0, [])
    trace.append_sampled([60], [-1.0], 0)
    assert position(trace) == (0, [60])
    trace.append_sampled([61, END], [-1.0, -1.0], 1)
    assert position(trace) == (1, [])
    trace.append_sampled([62], [-1.0], 1)
    trace.append_observed([63])
    assert position(trace) == (2, [])


def test_a_trace_is_read_back_from_the_tokens_of_a_conversation() -> None:
    tokenizer = TinyTokenizer()
    tokens = tokenizer.render(
        [
            {"role": "user", "content": "2+2="},
            {"role": "assistant", "content": "4"},
            {"role": "user", "content": "sure?"},
        ]
    )
    trace = trace_of(tokens)
    assert trace.tokens == tokens
    sampled = [s.tokens for s in trace.segments if s.kind == "sampled"]
    assert [t for tokens in sampled for t in tokens] == [*tokenizer.encode("4"), END]
    assert trace.prompt_length == 7
