"""The tool loop: what the model is shown, when it ends, and how it goes on after an abort."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slime_hookspecs import (
    Context,
    DataError,
    EngineError,
    Prompt,
    Sample,
    Sampling,
    StopReason,
    Trace,
)
from slime_hookspecs.testing.kit import (
    Abort,
    Malformed,
    NewWeights,
    Restart,
    ScriptedEngine,
    VirtualClock,
    make_context,
    make_prompt,
    make_run,
    make_sample,
)
from slime_hookspecs.testing.kit.calls import call
from slime_hookspecs.testing.kit.faults import Fault, Turn
from slime_plugin_multi_turn_tools import Options, episode, slime_generate
from slime_plugin_multi_turn_tools.tools.calculator import CALCULATOR
from slime_plugin_multi_turn_tools.tools.tool import Parameter, Tool
from slime_plugin_multi_turn_tools.tools.toolbox import Toolbox

CALC = call("calculator", expression="2*3")
SCRIPT = (f"Hm. {CALC}", call("calculator", expression="6*7"), "Answer: 42")


@dataclass(frozen=True, slots=True)
class Midway(Fault):
    """The server ends the request after some tokens of a turn, and before its last."""

    after_tokens: int = 0

    async def happen(self, turn: Turn) -> None:
        turn.tokens = turn.tokens[: min(self.after_tokens, len(turn.tokens) - 1)]
        turn.stop = StopReason.ABORTED


def answers(sample: Sample, engine: ScriptedEngine) -> list[str]:
    """What was observed, as text with special tokens spelt out."""
    return [
        engine.tokenizer.show(segment.tokens)
        for segment in sample.trace.segments
        if segment.kind == "observed"
    ]


def written(sample: Sample, engine: ScriptedEngine) -> list[str]:
    """What the model wrote, segment by segment."""
    return [
        engine.tokenizer.show(segment.tokens)
        for segment in sample.trace.segments
        if segment.kind == "sampled"
    ]


def tool(text: str) -> str:
    """An answer as the template of the scripted engine shows it."""
    return f"<|tool|>{text}<|end|><|assistant|>"


async def play(
    script: Any, *, sample: Sample | None = None, budget: int = 512, **options: Any
) -> tuple[Sample, ScriptedEngine]:
    """An episode against a script."""
    engine = script if isinstance(script, ScriptedEngine) else ScriptedEngine(script)
    ctx = make_context(Options(**options), make_run(max_response_tokens=budget))
    return await slime_generate(sample or make_sample(), engine, ctx), engine


async def test_a_conversation_goes_on_until_the_model_answers_without_a_call() -> None:
    sample, engine = await play(SCRIPT)
    assert sample.stop is StopReason.STOP
    assert written(sample, engine) == [f"{text}<|end|>" for text in SCRIPT]
    assert answers(sample, engine) == [tool("6"), tool("42")]
    assert [segment.kind for segment in sample.trace.segments] == [
        "prompt",
        "sampled",
        "observed",
        "sampled",
        "observed",
        "sampled",
    ]
    assert sample.metadata == {
        "multi_turn_tools": {"calls": 2, "errors": 0, "ended_at": len(sample.trace)}
    }


async def test_the_prompt_shows_the_tools() -> None:
    sample, engine = await play(SCRIPT)
    expected = engine.tokenizer.render(sample.prompt.messages, [CALCULATOR.schema])
    assert sample.trace.tokens[: sample.trace.prompt_length] == expected


async def test_an_answer_without_a_call_is_a_whole_episode() -> None:
    sample, engine = await play(["Answer: 4"])
    assert (sample.stop, len(engine.calls), answers(sample, engine)) == (StopReason.STOP, 1, [])
    assert sample.metadata["multi_turn_tools"]["calls"] == 0


async def test_only_what_the_model_wrote_is_trained_on() -> None:
    sample, engine = await play(SCRIPT)
    trained = [t for t, m in zip(sample.trace.tokens, sample.trace.loss_mask, strict=True) if m]
    assert engine.tokenizer.show(trained) == "".join(f"{text}<|end|>" for text in SCRIPT)


async def test_several_calls_of_one_turn_are_answered_in_their_order() -> None:
    both = call("calculator", expression="1+1") + call("calculator", expression="1/0")
    sample, engine = await play([both, "Answer: 2"])
    assert answers(sample, engine) == [
        "<|tool|>2<|end|><|tool|>error: division by zero<|end|><|assistant|>"
    ]
    assert sample.metadata["multi_turn_tools"] == {
        "calls": 2,
        "errors": 1,
        "ended_at": len(sample.trace),
    }


async def test_calls_beyond_the_most_are_told_so_and_not_run() -> None:
    three = "".join(call("calculator", expression=f"1+{n}") for n in range(3))
    sample, engine = await play([three, "Answer: 2"], max_calls_per_turn=1)
    error = "error: not run: a turn may make 1 calls, this one makes 3"
    assert answers(sample, engine) == [
        f"<|tool|>1<|end|><|tool|>{error}<|end|><|tool|>{error}<|end|><|assistant|>"
    ]
    assert sample.metadata["multi_turn_tools"]["errors"] == 2


@pytest.mark.parametrize(
    ("turn", "told"),
    [
        (call("calculator"), "error: calculator needs the argument 'expression'"),
        (
            call("calculator", expression=2),
            "error: the argument 'expression' of calculator must be a string",
        ),
        (
            call("calculator", expression="2", expresion="2"),
            "error: calculator has no argument 'expresion'; did you mean 'expression'?",
        ),
        (call("calculator", expression="2+"), "error: '2+' is not arithmetic, like 12*(3+4)"),
    ],
)
async def test_what_is_wrong_with_a_call_is_its_answer(turn: str, told: str) -> None:
    sample, engine = await play([turn, "Answer: 4"])
    assert answers(sample, engine) == [tool(told)]
    assert sample.stop is StopReason.STOP
    assert sample.metadata["multi_turn_tools"]["errors"] == 1


@pytest.mark.parametrize(
    "turn",
    [
        call("calcuator", expression="2"),
        '<tool_call>{"name": "calculator", "arguments": </tool_call>',
        "<tool_call>calculator(2*3)",
        "<function=calculator>2*3</function>",
        '[TOOL_CALLS] [{"name": "calculator"',
    ],
)
async def test_a_call_that_cannot_be_read_is_told_so(turn: str) -> None:
    sample, engine = await play([turn, "Answer: 4"])
    assert answers(sample, engine) == [
        tool(
            "error: no call can be read in this; call calculator with arguments as a JSON object, "
            "in the form that you were shown"
        )
    ]
    assert sample.stop is StopReason.STOP
    assert sample.metadata["multi_turn_tools"] == {
        "calls": 0,
        "errors": 1,
        "ended_at": len(sample.trace),
    }


async def test_too_long_an_answer_is_cut_in_its_middle() -> None:
    sample, engine = await play(
        [call("calculator", expression="10**30"), "Answer: many"], max_answer_characters=7
    )
    assert answers(sample, engine) == [tool("1000\n[... 24 characters left out ...]\n000")]


async def test_the_budget_of_turns_ends_an_episode_before_its_calls_are_run() -> None:
    sample, engine = await play([CALC], max_turns=3)
    assert (sample.stop, len(engine.calls)) == (StopReason.TURNS, 3)
    assert answers(sample, engine) == [tool("6")] * 2
    assert sample.trace.segments[-1].kind == "sampled"


async def test_the_last_turn_may_answer() -> None:
    sample, _ = await play([CALC, "Answer: 6"], max_turns=2)
    assert sample.stop is StopReason.STOP


async def test_the_budget_of_tokens_is_that_of_all_turns_together() -> None:
    turn = len(CALC) + 1
    sample, engine = await play([CALC], budget=2 * turn + 5)
    assert sample.stop is StopReason.LENGTH
    assert sample.trace.sampled_length == 2 * turn + 5
    asked = [one.sampling for one in engine.calls]
    assert asked == [Sampling(max_new_tokens=n) for n in (2 * turn + 5, turn + 5, 5)]


async def test_a_budget_that_a_turn_uses_up_exactly_ends_after_the_answer() -> None:
    sample, engine = await play([CALC], budget=len(CALC) + 1)
    assert (sample.stop, len(engine.calls)) == (StopReason.LENGTH, 1)
    assert answers(sample, engine) == [tool("6")]


async def test_the_option_is_a_budget_of_its_own() -> None:
    sample, _ = await play([CALC], max_tokens=10)
    assert (sample.stop, sample.trace.sampled_length) == (StopReason.LENGTH, 10)


async def test_a_call_that_was_cut_short_is_not_run() -> None:
    sample, engine = await play([CALC + CALC], budget=len(CALC) + 10)
    assert (sample.stop, answers(sample, engine)) == (StopReason.LENGTH, [])


async def test_an_answer_that_does_not_fit_the_context_ends_the_episode_without_it() -> None:
    sample, engine = await play(SCRIPT)
    first = sample.trace.segments
    fits = sum(len(segment.tokens) for segment in first[:3])
    for room, seen in ((fits, 0), (fits + 1, 1)):
        sample, engine = await play(ScriptedEngine(SCRIPT, context_length=room))
        assert (sample.stop, len(answers(sample, engine))) == (StopReason.CONTEXT, seen)
        assert len(sample.trace) <= room


async def test_a_prompt_that_fills_the_context_ends_at_once() -> None:
    sample, _ = await play(ScriptedEngine(SCRIPT, context_length=20))
    assert sample.stop is StopReason.CONTEXT
    assert sample.trace.sampled_length == 0


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_an_abort_passes_out(number: int) -> None:
    engine = ScriptedEngine(SCRIPT, faults=[Abort(after_tokens=3, call=number)])
    sample, _ = await play(engine)
    assert sample.stop is StopReason.ABORTED
    assert len(sample.trace.last_turn) == 3
    assert len(answers(sample, engine)) == number


@pytest.mark.parametrize("fault", [Restart, Malformed])
@pytest.mark.parametrize("number", [0, 1])
async def test_an_engine_that_fails_is_an_engine_error(fault: Any, number: int) -> None:
    with pytest.raises(EngineError):
        await play(ScriptedEngine(SCRIPT, faults=[fault(call=number)]))


class Counting:
    """A calculator that counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def run(self, arguments: Mapping[str, Any]) -> str:
        self.asked.append(arguments["expression"])
        return await CALCULATOR.run(arguments)

    def box(self, options: Options) -> Toolbox:
        parameters = {"expression": Parameter("string", "what")}
        counting = Tool("calculator", "counts", parameters, self.run)
        return Toolbox({"calculator": counting}, options.max_answer_characters)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """The calculator of episodes, which counts."""
    made = Counting()
    monkeypatch.setattr(episode, "toolbox", made.box)
    return made


async def whole() -> Trace:
    """The trace of an episode that nothing interrupts."""
    return (await play(SCRIPT))[0].trace


@pytest.mark.parametrize("keeps_metadata", [True, False])
@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("after", [0, 1, 9, 30])
async def test_a_second_attempt_goes_on_from_the_exact_tokens(
    number: int, after: int, keeps_metadata: bool, counting: Counting
) -> None:
    reference, _ = await play(SCRIPT)
    asked, counting.asked = counting.asked, []
    engine = ScriptedEngine(SCRIPT, faults=[Midway(after_tokens=after, call=number)])
    first, _ = await play(engine)
    left = Trace.from_list(first.trace.to_list())
    second = make_sample(first.prompt, trace=left.copy())
    if keeps_metadata:
        second.metadata = copy.deepcopy(first.metadata)
    last, _ = await play(engine, sample=second)
    assert last.stop is StopReason.STOP
    assert last.trace.tokens == reference.trace.tokens
    assert last.trace.loss_mask == reference.trace.loss_mask
    assert last.trace.logprobs == reference.trace.logprobs
    assert last.trace.tokens[: len(left)] == left.tokens
    assert counting.asked == asked == ["2*3", "6*7"]
    if keeps_metadata:
        assert last.metadata == reference.metadata


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, 40), max_size=8))
def test_any_number_of_aborts_makes_no_difference(cuts: list[int]) -> None:
    async def broken_off() -> Sample:
        faults = [Midway(after_tokens=after, call=place) for place, after in enumerate(cuts)]
        engine = ScriptedEngine(SCRIPT, faults=faults)
        sample = make_sample()
        for _ in range(len(cuts) + 4):
            sample, _ = await play(engine, sample=sample)
            if sample.stop is not StopReason.ABORTED:
                return sample
        raise AssertionError("it never ends")

    clock = VirtualClock()
    found, reference = clock.run(broken_off()), clock.run(whole())
    assert found.stop is StopReason.STOP
    assert found.trace.tokens == reference.tokens
    assert found.trace.loss_mask == reference.loss_mask


async def test_an_attempt_that_was_stopped_between_a_call_and_its_answer_goes_on_with_the_tool(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reference = await whole()

    async def breaks(arguments: Mapping[str, Any]) -> str:
        raise KeyboardInterrupt

    broken = Tool("calculator", "", {"expression": Parameter("string", "")}, breaks)
    sample, engine = make_sample(), ScriptedEngine(SCRIPT)
    with monkeypatch.context() as patch:
        patch.setattr(episode, "toolbox", lambda options: Toolbox({"calculator": broken}, 100))
        with pytest.raises(KeyboardInterrupt):
            await play(engine, sample=sample)
    assert sample.trace.segments[-1].kind == "sampled"
    sample.stop = StopReason.PENDING
    sample, _ = await play(engine, sample=sample)
    # The prompt of the broken tool is another one; what follows it is the same.
    assert sample.trace.response_tokens == reference.response_tokens
    assert len(engine.calls) == 3


async def test_a_finished_episode_is_not_played_again() -> None:
    sample, engine = await play(SCRIPT)
    before = sample.trace.tokens
    sample.stop = StopReason.PENDING
    again, _ = await play(engine, sample=sample)
    assert (again.stop, again.trace.tokens, len(engine.calls)) == (StopReason.STOP, before, 3)


async def test_tokens_keep_the_weights_that_wrote_them() -> None:
    engine = ScriptedEngine(SCRIPT, faults=[NewWeights(call=None)], weight_version=4)
    sample, _ = await play(engine)
    versions = [s.weight_version for s in sample.trace.segments if s.kind == "sampled"]
    assert versions == [5, 6, 7]


async def test_the_prompt_is_left_as_it_was() -> None:
    prompt = make_prompt("2*3*7=")
    before = copy.deepcopy(prompt)
    await play(SCRIPT, sample=make_sample(prompt))
    assert prompt == before


async def test_a_prompt_may_choose_among_the_tools() -> None:
    prompt = make_prompt(tools=[CALCULATOR.schema])
    sample, engine = await play(
        SCRIPT,
        sample=make_sample(prompt),
        tools=["calculator", "python"],
        require_isolation="rlimits",
    )
    expected = engine.tokenizer.render(prompt.messages, prompt.tools)
    assert sample.trace.tokens[: sample.trace.prompt_length] == expected


async def test_a_prompt_that_offers_another_tool_is_an_error_of_the_data() -> None:
    schema = {"type": "function", "function": {"name": "calculater"}}
    prompt: Prompt = make_prompt(id="p", tools=[schema])
    with pytest.raises(DataError) as caught:
        await play(SCRIPT, sample=make_sample(prompt))
    assert str(caught.value) == (
        "prompt p: it offers the tool 'calculater', and there is calculator; did you mean "
        "'calculator'?; see --multi-turn-tools.tools"
    )


async def test_a_program_is_run_in_the_sandbox_and_its_output_observed() -> None:
    script = [
        call("python", code="print(sum(range(10)))"),
        call("python", code="1/0"),
        "Answer: 45",
    ]
    sample, engine = await play(script, tools=["python"], require_isolation="rlimits")
    first, second = answers(sample, engine)
    assert first == tool("45")
    assert second.startswith("<|tool|>error: Traceback (most recent call last):")
    assert "ZeroDivisionError: division by zero\n[exit status 1]<|end|>" in second
    assert sample.metadata["multi_turn_tools"]["errors"] == 1


def test_contexts_are_made_of_options(context: Callable[..., Context[Options]]) -> None:
    assert context(max_turns=3).options.max_turns == 3
