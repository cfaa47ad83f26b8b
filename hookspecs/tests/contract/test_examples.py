"""The examples of the reference work: each is checked as a plugin, called, and its answer known."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from slime_hookspecs import (
    HOOKS,
    KEEP,
    BatchField,
    CheckpointEvent,
    ConfigError,
    DataSource,
    Prompt,
    Reward,
    Rollout,
    RunEndEvent,
    Sample,
    Sampling,
    StopReason,
    TrainStepEvent,
    Verdict,
    WeightsEvent,
)
from slime_hookspecs.examples import EXAMPLES
from slime_hookspecs.testing.kit import (
    Abort,
    MadePolicy,
    ScriptedEngine,
    make_batch,
    make_context,
    make_group,
    make_prompt,
    make_run,
    make_sample,
)
from slime_hookspecs.testing.signatures import definitions


def example(hook: str) -> ModuleType:
    """The module of an example."""
    return importlib.import_module(f"slime_hookspecs.examples.{hook}")


def call(hook: str, **arguments: Any) -> Any:
    """What an example returns, called as the host calls it: with the arguments that it names."""
    function: Callable[..., Any] = definitions(example(hook)).hooks[hook]
    assert set(arguments) <= set(HOOKS[hook].parameters)
    named = {name: arguments[name] for name in inspect.signature(function).parameters}
    result = function(**named)
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def test_each_hook_has_an_example_in_the_order_of_the_reference() -> None:
    assert list(EXAMPLES) == list(HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_an_example_is_a_plugin_of_its_hook_alone_without_a_complaint(hook: str) -> None:
    found = definitions(example(hook))
    assert found.complaints == ()
    assert list(found.hooks) == [hook]


@pytest.mark.parametrize("hook", HOOKS)
def test_what_is_shown_is_what_is_run(hook: str) -> None:
    assert inspect.getsource(example(hook)) == EXAMPLES[hook]
    assert example(hook).__doc__


def test_the_contract_does_not_import_its_examples() -> None:
    code = "import slime_hookspecs, sys; sys.exit('slime_hookspecs.examples' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_options() -> None:
    kind = call("slime_options")
    assert kind() == kind(hints=0)
    with pytest.raises(ConfigError, match="hints is -1; it must be 0 or more"):
        kind(hints=-1)


def test_defaults() -> None:
    assert call("slime_defaults") == {
        "rollout": {"samples_per_prompt": 8},
        "plugin": {"policy_loss": {"clip_high": 0.28}},
    }


def test_conformance_examples_are_what_the_reward_example_says_of_them() -> None:
    told = call("slime_conformance")
    assert told.reward_range == (0.0, 1.0)
    for examples, value in ((told.gold, 1.0), (told.bad, 0.0)):
        for prompt, response in examples:
            sample = make_sample(prompt, response=response)
            assert call("slime_reward", sample=sample).value == value


def test_data_source() -> None:
    source = call("slime_data_source")
    assert isinstance(source, DataSource)
    first = source.take(4)
    assert [prompt.id for prompt in first] == ["stop", "level", "drawer", "stop"]
    assert first[0] == Prompt(
        "stop", [{"role": "user", "content": "Write backwards: stop"}], label="pots"
    )
    again = call("slime_data_source")
    again.restore(json.loads(json.dumps(source.state())))
    assert (
        [p.id for p in again.take(3)]
        == [p.id for p in source.take(3)]
        == [
            "level",
            "drawer",
            "stop",
        ]
    )


def kinds(sample: Sample, engine: ScriptedEngine) -> list[tuple[str, str]]:
    return [(s.kind, engine.decode(s.tokens)) for s in sample.trace.segments]


def test_generate_lets_the_model_use_the_calculator() -> None:
    engine = ScriptedEngine(lambda trace: "12+30= so 42" if trace.sampled_length == 0 else " done")
    sample = make_sample(make_prompt("?"))
    assert call("slime_generate", sample=sample, engine=engine) is sample
    assert sample.stop is StopReason.STOP
    assert kinds(sample, engine)[1:3] == [("sampled", "12+30="), ("observed", "42")]
    assert engine.calls[0].sampling == Sampling(stop=["="])


def test_generate_goes_on_where_an_attempt_was_interrupted() -> None:
    engine = ScriptedEngine(["12+30="], faults=[Abort(after_tokens=3)])
    sample = make_sample(make_prompt("?"))
    call("slime_generate", sample=sample, engine=engine)
    assert (sample.stop, kinds(sample, engine)[1:]) == (StopReason.ABORTED, [("sampled", "12+")])
    call("slime_generate", sample=sample, engine=engine)
    assert kinds(sample, engine)[1:4] == [
        ("sampled", "12+"),
        ("sampled", "30="),
        ("observed", "42"),
    ]


def test_generate_stops_a_model_that_never_stops_asking() -> None:
    engine = ScriptedEngine(lambda trace: "1+1=")
    sample = make_sample(make_prompt("?"))
    call("slime_generate", sample=sample, engine=engine)
    observed = [text for kind, text in kinds(sample, engine) if kind == "observed"]
    assert (sample.stop, observed) == (StopReason.TURNS, ["2"] * 8)


@pytest.mark.parametrize(("response", "value"), [("cba", 1.0), (" cba\n", 1.0), ("abc", 0.0)])
def test_reward(response: str, value: float) -> None:
    sample = make_sample(make_prompt("abc", "cba"), response=response)
    found = call("slime_reward", sample=sample)
    assert found == Reward(value, {"letters": float(len(response))})


def test_group_reward() -> None:
    group = make_group([1.0, 1.0, 1.0])
    for sample, response in zip(group.samples, ("four", "ab", "cd"), strict=True):
        sample.response = response
    assert call("slime_group_reward", group=group) == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("rewards", "verdict"),
    [
        ([1.0, 1.0], Verdict(False, "zero_variance")),
        ([1.0, None], Verdict(False, "zero_variance")),
        ([], Verdict(False, "zero_variance")),
        ([0.0, 1.0], KEEP),
    ],
)
def test_filter(rewards: list[float | None], verdict: Verdict) -> None:
    assert call("slime_filter", group=make_group(rewards)) == verdict


@pytest.mark.parametrize(
    ("rewards", "advantages"),
    [
        ([1.0, 0.0, 0.0], [1.0, -0.5, -0.5]),
        ([1.0, None, 0.0], [1.0, -1.0]),
        ([1.0], [1.0]),
        ([], []),
    ],
)
def test_advantage(rewards: list[float | None], advantages: list[float]) -> None:
    assert call("slime_advantage", group=make_group(rewards)) == advantages


def test_token_advantage() -> None:
    batch, _ = make_batch([3, 2])
    first, second = batch["sample_advantages"].tolist()
    found = call("slime_token_advantage", batch=batch)
    assert found.tolist() == [first, first, first, second, second]


def test_loss() -> None:
    batch, policy = make_batch([3, 2])
    on_policy = MadePolicy(batch["old_logprobs"].clone().requires_grad_(), policy.entropy)
    loss = call("slime_loss", batch=batch, policy=on_policy)
    assert loss.per_token.tolist() == (-batch["advantages"]).tolist()
    assert loss.metrics["ratio"].tolist() == [1.0] * 5
    assert not loss.metrics["ratio"].requires_grad
    loss.per_token.sum().backward()
    assert on_policy.logprobs.grad.tolist() == (-batch["advantages"]).tolist()
    moved = MadePolicy(batch["old_logprobs"] + 1.0, policy.entropy)
    found = call("slime_loss", batch=batch, policy=moved).metrics["ratio"]
    assert found.tolist() == pytest.approx([2.718281828] * 5)


def test_batch_fields() -> None:
    assert call("slime_batch_fields") == [BatchField("hints", "sample", "int64", (), 0)]


def test_eval_sets() -> None:
    greedy, sampled = call("slime_eval_sets")
    assert (greedy.name, greedy.samples_per_prompt) == ("words_greedy", 1)
    assert greedy.sampling == Sampling(temperature=0.0)
    assert (sampled.name, sampled.samples_per_prompt) == ("words_sampled", 4)
    assert sampled.sampling == Sampling()
    labels = [(prompt.id, prompt.label) for prompt in greedy.prompts]
    assert labels == [("reward", "drawer"), ("live", "evil")]


def test_wrap_generate() -> None:
    sample, engine = make_sample(), ScriptedEngine()

    async def answer(sample: Sample, engine: Any) -> Sample:
        await asyncio.sleep(0.01)
        return sample

    found = call("slime_wrap_generate", call_next=answer, sample=sample, engine=engine)
    assert found is sample
    assert sample.metadata["generate_s"] >= 0.01


def test_wrap_generate_notes_the_time_of_a_failure_too() -> None:
    sample = make_sample()

    async def fail(sample: Sample, engine: Any) -> Sample:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        call("slime_wrap_generate", call_next=fail, sample=sample, engine=ScriptedEngine())
    assert sample.metadata["generate_s"] >= 0.0


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (0.5, Reward(0.5)),
        (7, Reward(1.0)),
        (Reward(-3.0, {"letters": 3.0}), Reward(-1.0, {"letters": 3.0})),
    ],
)
def test_wrap_reward(given: Any, found: Reward) -> None:
    async def score(sample: Sample) -> Any:
        return given

    assert call("slime_wrap_reward", call_next=score, sample=make_sample()) == found


def test_on_group(tmp_path: Path) -> None:
    ctx, file = make_context(run=make_run(tmp_path)), tmp_path / "plugins/dropped/dropped.jsonl"
    group = make_group([1.0, 1.0], make_prompt("2+2=", id="a"))
    call("slime_on_group", group=group, verdict=KEEP, ctx=ctx)
    assert not file.exists()
    for _ in range(2):
        call("slime_on_group", group=group, verdict=Verdict(False, "zero_variance"), ctx=ctx)
    line = {"prompt": "a", "reason": "zero_variance"}
    assert [json.loads(row) for row in file.read_text().splitlines()] == [line, line]


def test_on_rollout(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rollout = Rollout(3, [make_group([0.25, 0.5]), make_group([None, 0.0])], 1)
    call("slime_on_rollout", rollout=rollout, ctx=make_context())
    assert caplog.messages == ["step 3: 0.50 for 'answer 1'"]
    caplog.clear()
    call("slime_on_rollout", rollout=Rollout(4, [], 1), ctx=make_context())
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("hook", "event", "messages"),
    [
        ("slime_on_train_step", TrainStepEvent(2, {"train/grad_norm": 1.0}), []),
        ("slime_on_train_step", TrainStepEvent(2, {}), []),
        (
            "slime_on_train_step",
            TrainStepEvent(2, {"train/grad_norm": 250.0}),
            ["step 2: gradient norm 250"],
        ),
        ("slime_on_weights", WeightsEvent(2, 3, {"sync/seconds": 1.0}), []),
        (
            "slime_on_weights",
            WeightsEvent(2, 3, {"sync/seconds": 40.0}),
            ["weights 3 took 40 s to arrive"],
        ),
    ],
)
def test_observers_warn_of_what_is_unusual(
    hook: str, event: Any, messages: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    call(hook, event=event)
    assert caplog.messages == messages


def test_on_checkpoint(tmp_path: Path) -> None:
    for step in (10, 20):
        call("slime_on_checkpoint", event=CheckpointEvent(step, tmp_path / f"step_{step:06d}"))
    assert (tmp_path / "newest.txt").read_text() == "step_000020\n"


def test_on_run_end(capsys: pytest.CaptureFixture[str]) -> None:
    call("slime_on_run_end", event=RunEndEvent("success", 5, {}))
    assert capsys.readouterr().out == "success after 5 steps\n"


def test_tracker(tmp_path: Path) -> None:
    tracker = call("slime_tracker", run=make_run(tmp_path))
    tracker.log(0, {"train/loss": 0.5, "reward/mean": 1.0})
    tracker.log(1, {"train/loss": 0.25})
    tracker.close()
    assert tracker.file.closed
    assert (tmp_path / "metrics.csv").read_text().splitlines() == [
        "0,reward/mean,1.0",
        "0,train/loss,0.5",
        "1,train/loss,0.25",
    ]
