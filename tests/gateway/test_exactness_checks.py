"""The checks of the exactness benchmark see what they are there to see."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gateway_checks import complaints, differences, read, written
from gateway_clients import Request, Told
from gateway_model import CALLS, CLOSE, OPEN, make_tokenizer, write_model
from gateway_sessions import Answer, Session, words
from slime_hookspecs import Segment, Trace

LOGPROBS = (-0.5, -0.25, -1.0)
SAID = [{"role": "user", "content": "Hello"}, {"role": "user", "content": "You?"}]


@pytest.fixture(scope="module")
def words_of() -> Any:
    return make_tokenizer()


def session(told: Told, cuts: int = 0, answers: int = 1) -> Session:
    """A client that was told this."""
    found = Session(random.Random(0), "chat", None, cuts=cuts)  # type: ignore[arg-type]
    request = Request(SAID, False, (), 1.0, 8)
    found.answers += [Answer(request, told, None) for _ in range(answers)]
    return found


def trace(words_of: Any, text: str = "Hi", given: str = "HelloYou?") -> Trace:
    """What the gateway kept."""
    found = Trace()
    found.append_prompt(words_of.encode(given))
    found.append_sampled([*words_of.encode(text), 1], LOGPROBS, 0)
    return found


TOLD = Told("Hi", (), 3, LOGPROBS)


@pytest.mark.parametrize("logprobs", [LOGPROBS, None])
def test_an_answer_that_is_in_a_trace_is_fine(logprobs: Any, words_of: Any) -> None:
    told = replace(TOLD, logprobs=logprobs)
    assert complaints(session(told), [trace(words_of)], words_of) == []


@pytest.mark.parametrize(
    "told",
    [
        replace(TOLD, text="Hj"),
        replace(TOLD, tokens=2),
        replace(TOLD, logprobs=(-0.5, -0.25, -1.5)),
        replace(TOLD, calls=(("add", {}),)),
    ],
)
def test_an_answer_that_differs_is_seen(told: Told, words_of: Any) -> None:
    (one, *_) = complaints(session(told), [trace(words_of)], words_of)
    assert "no trace has" in one


@pytest.mark.parametrize("given", ["You?Hello", "Hello", "HelloYou!"])
def test_a_prompt_that_is_not_what_the_client_said_is_seen(given: str, words_of: Any) -> None:
    assert complaints(session(TOLD), [trace(words_of, given=given)], words_of)


def test_an_answer_that_nobody_was_told_is_seen_unless_somebody_left(words_of: Any) -> None:
    traces = [trace(words_of), trace(words_of, "Ho")]
    (one, other) = complaints(session(TOLD), traces, words_of)
    assert ("1 answers in traces" in one, "2 traces of 1 conv" in other) == (True, True)
    assert complaints(session(TOLD, cuts=1), traces, words_of) == []


def test_one_answer_in_a_trace_does_not_stand_for_two(words_of: Any) -> None:
    assert complaints(session(TOLD, answers=2), [trace(words_of)], words_of)


def test_what_branches_share_was_written_once(words_of: Any) -> None:
    one = trace(words_of)
    other = one.copy()
    for branch in (one, other):
        branch.append_observed([9])
        branch.append_sampled([9], [-0.5], 0)
    assert len(written([one, other])) == 3


def test_text_of_completions_is_held_against_all_that_was_asked(words_of: Any) -> None:
    found = session(TOLD)
    for history, fits in (("HelloYou?", True), ("Hello", False)):
        request = replace(found.answers[0].request, history=history)
        found.answers[0] = Answer(request, TOLD, None)
        assert (complaints(found, [trace(words_of)], words_of) == []) is fits


@pytest.mark.parametrize(
    ("text", "tools", "stop", "told"),
    [
        ("a" + OPEN + CALLS[4] + CLOSE, True, (), ("a", (("say", {}),))),
        ("a" + OPEN + CALLS[4] + CLOSE, False, (), ("a" + OPEN + CALLS[4] + CLOSE, ())),
        (OPEN + CALLS[5] + CLOSE, True, (), (OPEN + CALLS[5] + CLOSE, ())),
        (OPEN + CALLS[6] + CLOSE, True, (), (OPEN + CALLS[6] + CLOSE, ())),
        ("abc", False, ("c", "bc"), ("a", ())),
        ("a<|user|>b", False, (), ("ab", ())),
    ],
)
def test_tokens_are_read_as_the_api_says(
    text: str, tools: bool, stop: Any, told: Any, words_of: Any
) -> None:
    tokens = [*words_of.encode(text), words_of.eos_token_id]
    segment = Segment("sampled", tuple(tokens), (0.0,) * len(tokens), 0)
    assert read(segment, tools, stop, words_of) == told


def test_a_replay_finds_the_token_whose_logprob_is_another(tmp_path: Path, words_of: Any) -> None:
    import torch
    import transformers

    model = write_model(tmp_path)
    load = transformers.AutoModelForCausalLM.from_pretrained
    network = load(model, dtype=torch.float32).eval()
    tokens, heat = words_of.encode("Hello, you two"), 0.7
    table = torch.log_softmax(network(torch.tensor([tokens])).logits[0] / heat, -1)
    right = [table[place - 1, tokens[place]].item() for place in range(3, 9)]
    traces = []
    for shift in (0.0, 0.01):
        one = Trace()
        one.append_prompt(tokens[:3])
        one.append_sampled(tokens[3:9], [*right[:5], right[5] - shift], 0)
        one.append_observed(tokens[9 : 9 + int(shift * 300)])
        traces.append((one, heat))
    apart = sorted(differences(network, traces))
    assert len(apart) == 12
    assert apart[-2] < 1e-5
    assert apart[-1] == pytest.approx(0.01, abs=1e-5)


def test_words_survive_the_tokenizer(words_of: Any) -> None:
    for seed in range(200):
        text = words(random.Random(seed))
        assert words_of.decode(words_of.encode(text), skip_special_tokens=False) == text
