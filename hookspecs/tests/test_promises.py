"""Each promise is told from its breach, and the breach from what would be right."""

from __future__ import annotations

import math
from typing import Any

import pytest
from slime_hookspecs import (
    KEEP,
    Group,
    Prompt,
    Reward,
    Sample,
    Segment,
    StopReason,
    Trace,
    Verdict,
    promises,
)

PROMPT = Prompt("p", [{"role": "user", "content": "1+1="}], "2")


def sample(stop: StopReason = StopReason.STOP, **fields: Any) -> Sample:
    trace = Trace([Segment("prompt", (1, 2)), Segment("sampled", (3,), (-0.5,), 1)])
    return Sample(7, 0, PROMPT, trace, stop, **fields)


def trace(*kinds: str) -> Trace:
    logprobs = {"sampled": (-0.5,)}
    return Trace(
        Segment(kind, (4,), logprobs.get(kind, ()), 1 if kind in logprobs else -1)  # type: ignore[arg-type]
        for kind in kinds
    )


@pytest.mark.parametrize(
    ("value", "bounds", "found"),
    [
        (0, None, None),
        (1.5, None, None),
        (Reward(1, {"parsed": 0}), None, None),
        (1.0, (0.0, 1.0), None),
        (1.0 + 1e-12, (0.0, 1.0), None),
        (-0.5, (0.0, 1.0), "its value -0.5 is outside 0.0..1.0"),
        (Reward(2.0), (0.0, 1.0), "its value 2.0 is outside 0.0..1.0"),
        (math.nan, (0.0, 1.0), "its value is nan; it must be a finite number"),
        (Reward(0.0, {"f": "x"}), None, "its f is 'x'; it must be a finite number"),  # type: ignore[dict-item]
        (False, None, "it gave False; it must be a number or a Reward"),
        ("1", None, "it gave '1'; it must be a number or a Reward"),
    ],
)
def test_a_reward(value: Any, bounds: tuple[float, float] | None, found: str | None) -> None:
    assert promises.wrong_reward(value, bounds) == found


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([1, 0.5], None),
        ((Reward(1.0), 0.0), None),
        ([1.0], "it gave [1.0]; it must be one value for each of 2 samples"),
        (2.0, "it gave 2.0; it must be one value for each of 2 samples"),
        ("ab", "it gave 'ab'; it must be one value for each of 2 samples"),
        ([1.0, None], "it gave None; it must be a number or a Reward"),
    ],
)
def test_the_rewards_of_a_group(values: Any, found: str | None) -> None:
    assert promises.wrong_rewards(values, 2) == found


@pytest.mark.parametrize(
    ("kinds", "stop", "found"),
    [
        (("prompt", "sampled", "observed", "sampled"), StopReason.TURNS, None),
        (("prompt", "demonstrated"), StopReason.DEMONSTRATED, None),
        (("prompt",), StopReason.CONTEXT, None),
        (("prompt",), StopReason.ABORTED, None),
        ((), StopReason.CONTEXT, None),
        (("prompt",), StopReason.LENGTH, "sample.stop is LENGTH and no token is marked as sampled"),
        (("prompt", "observed"), StopReason.STOP, "sample.stop is STOP and no token is marked"),
        (("sampled",), StopReason.STOP, "the trace begins with sampled tokens; begin it with"),
        (("prompt", "sampled"), StopReason.PENDING, "it left sample.stop unset"),
    ],
)
def test_an_episode(kinds: tuple[str, ...], stop: StopReason, found: str | None) -> None:
    one = sample(stop)
    one.trace = trace(*kinds)
    wrong = promises.wrong_episode((), one)
    assert wrong is None if found is None else str(wrong).startswith(found)


@pytest.mark.parametrize(
    ("before", "grew"),
    [
        ((), True),
        ((Segment("prompt", (1,)),), True),
        ((Segment("prompt", (1, 2)), Segment("sampled", (3,), (-0.5,), 1)), True),
        ((Segment("prompt", (2,)),), False),
        ((Segment("prompt", (1, 2, 3, 4)),), False),
    ],
)
def test_a_trace_only_grows(before: tuple[Segment, ...], grew: bool) -> None:
    wrong = promises.wrong_episode(before, sample())
    assert (wrong is None) is grew


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda s: None, None),
        (lambda s: s.trace.append_observed([9]), "trace"),
        (lambda s: s.metadata.update(a=1), "metadata"),
        (lambda s: s.metadata["list"].append(1), "metadata"),
        (lambda s: s.prompt.messages.append({}), "prompt"),
        (lambda s: setattr(s, "rewards", {"x": Reward(1.0)}), "rewards"),
        (lambda s: (setattr(s, "reward", 1.0), setattr(s, "response", "b")), "response, reward"),
    ],
)
def test_a_change_of_a_sample_is_named_by_its_fields(change: Any, found: str | None) -> None:
    one = sample(metadata={"list": []})
    one.prompt = Prompt("q", [{"role": "user", "content": "?"}])
    before = promises.snapshot(one)
    change(one)
    expected = f"it changed {found} of sample 7; return what you find instead"
    assert promises.mutated(before, one) == (expected if found else None)


def test_a_group_keeps_its_list_and_its_samples() -> None:
    members = [sample(), sample()]
    before = [promises.snapshot(one) for one in members]
    group = Group(0, PROMPT, list(members))
    assert promises.mutated_group(members, before, group) is None
    group.samples.reverse()
    assert "the group's list of samples" in str(promises.mutated_group(members, before, group))
    group.samples.reverse()
    members[1].reward = 1.0
    assert "it changed reward of sample 7" in str(promises.mutated_group(members, before, group))


@pytest.mark.parametrize(
    ("verdict", "found"),
    [
        (KEEP, None),
        (Verdict(True, rejected={7: "dull"}), None),
        (Verdict(True, rejected={7: "dull", 9: "dull"}), "it rejects [9]; the group's scored"),
        (Verdict(True, rejected=[7]), "rejected is [7]; it must map Sample.index to a reason"),
    ],
)
def test_a_filter_rejects_scored_samples_of_its_group(verdict: Any, found: str | None) -> None:
    scored, failed = sample(reward=1.0), sample()
    failed.index = 9
    wrong = promises.wrong_rejected(Group(0, PROMPT, [scored, failed]), verdict)
    assert wrong is None if found is None else str(wrong).startswith(found)


@pytest.mark.parametrize("reason", ["", "Too dull!", None])
def test_each_sample_is_rejected_for_a_reason_that_is_a_word(reason: Any) -> None:
    assert promises.wrong_reason(Verdict(True, rejected={7: "dull", 8: "too_long"})) is None
    wrong = promises.wrong_reason(Verdict(True, rejected={7: "dull", 8: reason}))
    assert wrong == f"the reason is {reason!r}; use a word like 'zero_variance'"


def test_ids_of_prompts_are_remembered_over_calls() -> None:
    seen: dict[str, str] = {}
    assert promises.wrong_prompts([PROMPT, PROMPT], 2, seen) is None
    assert promises.wrong_prompts([PROMPT], 3, seen) is None
    other = Prompt("p", PROMPT.messages, "3")
    wrong = promises.wrong_prompts([other], 1, seen)
    assert wrong == "two different prompts have the id 'p'; an id means one prompt"
    assert promises.wrong_prompts([other], 1, {}) is None


@pytest.mark.parametrize(
    ("calls", "found"),
    [(0, None), (1, None), (3, "it called call_next 3 times for one sample; call it once")],
)
def test_a_wrapper_calls_once(calls: int, found: str | None) -> None:
    assert promises.called_again(calls) == found


def recursive() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "survives"),
    [
        ({"a": [1, 2.5, None, "x", True]}, True),
        ((1, 2), False),
        ({1: "x"}, False),
        ({"a": math.nan}, False),
        (b"x", False),
        (recursive(), False),
    ],
)
def test_what_json_keeps(value: Any, survives: bool) -> None:
    assert promises.survives_json(value) is survives


def test_every_promise_is_said_in_a_sentence() -> None:
    found = [name for name, value in vars(promises).items() if callable(value)]
    own = [n for n in found if getattr(getattr(promises, n), "__module__", "") == promises.__name__]
    public = [name for name in own if not name.startswith("_")]
    assert len(public) > 10
    assert [name for name in public if not (getattr(promises, name).__doc__ or "").strip()] == []


SAMPLED = Segment("sampled", (5, 6, 7), (-0.5, -0.25, -1.0), 3)


@pytest.mark.parametrize(
    "written",
    [
        [((5, 6, 7), (-0.5, -0.25, -1.0))],
        [((9,), (-1.0,)), ((4, 5, 6, 7, 1), (-2.0, -0.5, -0.25, -1.0, -3.0))],
        [((5, 5, 6, 7), (-2.0, -0.5, -0.25, -1.0))],
    ],
)
def test_sampled_tokens_are_an_answer_of_the_model_or_a_part_of_one(written: Any) -> None:
    assert promises.wrong_sampled([SAMPLED, Segment("observed", (1,))], written) is None


@pytest.mark.parametrize(
    "written",
    [
        [],
        [((5, 6), (-0.5, -0.25)), ((7,), (-1.0,))],
        [((5, 6, 7), (-0.5, -0.25, 0.0))],
        [((5, 6, 8), (-0.5, -0.25, -1.0))],
    ],
)
def test_tokens_that_the_model_did_not_write_are_not_sampled(written: Any) -> None:
    found = promises.wrong_sampled([SAMPLED], written)
    assert found is not None
    assert found.startswith("3 tokens are marked as sampled (5, 6, 7, ...)")
    assert "append_observed()" in found
