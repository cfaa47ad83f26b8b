"""Requests are limited and stripped of sampling; answers of both APIs are read for why they end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from slime_plugin_agent_blackbox.wire import CONTEXT_FULL, Outcome, edited, outcome, refusal


def after(body: Any, left: int = 100, *, own_sampling: bool = False) -> Any:
    """What becomes of a request."""
    return json.loads(edited(json.dumps(body).encode(), left, own_sampling=own_sampling))


@pytest.mark.parametrize(
    ("body", "left", "expected"),
    [
        ({}, 100, {"max_tokens": 100}),
        ({"max_tokens": 7}, 100, {"max_tokens": 7}),
        ({"max_tokens": 700}, 100, {"max_tokens": 100}),
        ({"max_completion_tokens": 700}, 100, {"max_completion_tokens": 100}),
        ({"max_output_tokens": 700}, 100, {"max_output_tokens": 100}),
        ({"max_tokens": None}, 100, {"max_tokens": 100}),
        ({"max_tokens": None, "max_completion_tokens": 7}, 3, {"max_completion_tokens": 3}),
        ({"max_tokens": 9, "max_completion_tokens": 7}, 3, {"max_completion_tokens": 3}),
    ],
)
def test_an_answer_may_have_as_many_tokens_as_are_left(
    body: dict[str, Any], left: int, expected: dict[str, Any]
) -> None:
    assert expected.items() <= after(body, left).items()


def test_all_else_stays_as_it_was() -> None:
    body = {"messages": [{"role": "user", "content": "é\ud83d"}], "tools": [], "n": 2, "x": None}
    assert after({**body, "max_tokens": 1}) == {**body, "max_tokens": 1}


def test_how_to_sample_is_the_runs_business_unless_the_user_leaves_it_to_the_agent() -> None:
    how = {"temperature": 0.0, "top_p": 0.1, "top_k": 1, "min_p": 0.5, "seed": 7}
    rest = {"stop": ["x"], "max_tokens": 1}
    assert after({**how, **rest}) == rest
    assert after({**how, **rest}, own_sampling=True) == {**how, **rest}


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[1]", b'"text"', b"7"])
def test_what_is_no_object_is_left_to_the_gateway_to_refuse(raw: bytes) -> None:
    assert edited(raw, 5, own_sampling=False) == raw


def read(body: Any, status: int = 200) -> Outcome:
    """The outcome of an answer in one piece."""
    return outcome(status, json.dumps(body).encode(), streamed=False)


def streamed(*rows: Any) -> Outcome:
    """The outcome of an answer in events."""
    text = ": waiting\n\n" + "".join(f"data: {json.dumps(row)}\n\n" for row in rows)
    return outcome(200, f"{text}data: [DONE]\n\n".encode(), streamed=True)


@pytest.mark.parametrize(
    ("body", "finishes"),
    [
        ({"choices": [{"finish_reason": "stop"}]}, ("stop",)),
        ({"choices": [{"finish_reason": "length"}, {"finish_reason": "stop"}]}, ("length", "stop")),
        ({"choices": [{"finish_reason": "tool_calls"}]}, ("tool_calls",)),
        ({"type": "message", "stop_reason": "max_tokens"}, ("max_tokens",)),
        ({"type": "message", "stop_reason": "end_turn"}, ("end_turn",)),
        ({"object": "response", "output": [], "status": "completed"}, ("completed",)),
        ({"object": "response", "output": [], "status": "incomplete"}, ("length",)),
    ],
)
def test_why_an_answer_ended_is_read_in_each_apis_words(
    body: dict[str, Any], finishes: tuple[str, ...]
) -> None:
    assert read(body) == Outcome(finishes)


def test_events_are_read_too() -> None:
    chat = [{"choices": [{"delta": {"content": "a"}, "finish_reason": None}]}]
    assert streamed(*chat, {"choices": [{"delta": {}, "finish_reason": "length"}]}) == Outcome(
        ("length",)
    )
    events = [
        {"type": "message_start", "message": {"stop_reason": None}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    ]
    assert streamed(*events) == Outcome(("end_turn",))


@pytest.mark.parametrize("body", [{}, [], "text", {"choices": []}, {"text": "?", "meta_info": {}}])
def test_an_answer_that_is_none_is_not_the_agents_fault(body: Any) -> None:
    assert read(body).failed
    assert "an answer that is none" in read(body).error


def test_a_stream_that_breaks_off_is_not_the_agents_fault() -> None:
    assert streamed({"choices": [{"delta": {"content": "a"}, "finish_reason": None}]}).failed
    assert outcome(200, b"data: {", streamed=True).failed


@pytest.mark.parametrize(
    ("status", "error", "code", "failed"),
    [
        (400, {"message": "no messages", "code": None}, "", False),
        (400, {"message": "too long", "code": CONTEXT_FULL}, CONTEXT_FULL, False),
        (401, {"message": "wrong key", "code": "invalid_api_key"}, "invalid_api_key", False),
        (502, {"message": "no server", "code": "engine"}, "engine", True),
        (503, {"message": "the run ended this sample", "code": "aborted"}, "aborted", True),
        (500, "in words only", "", True),
        (503, {"type": "api_error", "message": "the run ended this sample"}, "aborted", True),
        (400, {"message": "prompt is too long: 9 tokens"}, CONTEXT_FULL, False),
    ],
)
def test_errors_of_the_gateway_are_told_apart_from_mistakes_of_the_agent(
    status: int, error: Any, code: str, failed: bool
) -> None:
    found = read({"error": error}, status)
    assert (found.code, found.failed, found.finishes) == (code, failed, ())
    assert found.error.startswith(f"status {status}: ")


def test_an_error_in_a_stream_counts_although_its_status_was_200() -> None:
    assert streamed({"error": {"message": "gone", "code": "engine"}}).failed
    assert not streamed({"error": {"message": "too long", "code": CONTEXT_FULL}}).failed


@pytest.mark.parametrize(("status", "failed"), [(404, False), (502, True)])
def test_an_error_that_is_no_json_counts_by_its_status(status: int, failed: bool) -> None:
    found = outcome(status, b"<html>not here</html>", streamed=False)
    assert found.failed is failed
    assert "not here" in found.error


def test_a_refusal_is_an_error_of_both_apis() -> None:
    found = refusal("enough", "limit_turns")
    assert found["type"] == "error"
    assert found["error"]["type"] == "invalid_request_error"
    assert (found["error"]["message"], found["error"]["code"]) == ("enough", "limit_turns")
