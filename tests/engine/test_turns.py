"""A plugin's own tool loop: turns are read with SGLang's parsers and extended token for token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import transformers
from slime_hookspecs import EngineError, Sampling, Trace

from slime_core.engine.client import EngineClient
from slime_core.engine.parsing import Parsers, check

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
ASK = {"role": "user", "content": "1+1"}


@pytest.fixture(scope="module")
def tokenizer(tiny_model_dir: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(tiny_model_dir)


def session(tokenizer: Any, **parsers: str) -> Any:
    client = EngineClient(
        None,
        tokenizer,
        defaults=Sampling(),
        context_length=512,
        retries=0,
        parsers=Parsers(**parsers),
    )
    return client.session(0, None)


def spoken(tokenizer: Any, engine: Any, text: str, *, ended: bool = True) -> Trace:
    trace = Trace()
    trace.append_prompt(engine.render([ASK]))
    tokens = tokenizer.encode(text) + [tokenizer.eos_token_id] * ended
    half = len(tokens) // 2
    for part in (tokens[:half], tokens[half:]):  # as an interrupted and continued turn
        trace.append_sampled(part, [-1.0] * len(part), 0)
    return trace


def test_a_turn_is_read_as_a_message_with_its_calls(tokenizer: Any) -> None:
    engine = session(tokenizer, tool_calls="qwen25")
    message = engine.parse(spoken(tokenizer, engine, f"Look. {CALL}"), [TOOL])
    (call,) = message.pop("tool_calls")
    assert message == {"role": "assistant", "content": "Look."}
    assert call["function"] == {"name": "add", "arguments": '{"a": 1}'}


def test_without_tools_a_call_is_text(tokenizer: Any) -> None:
    engine = session(tokenizer)
    message = engine.parse(spoken(tokenizer, engine, CALL))
    assert message == {"role": "assistant", "content": CALL}


def test_reasoning_is_told_apart(tokenizer: Any) -> None:
    engine = session(tokenizer, reasoning="qwen3")
    message = engine.parse(spoken(tokenizer, engine, "<think>hm</think>2"))
    assert message == {"role": "assistant", "content": "2", "reasoning_content": "hm"}


def test_tools_without_a_parser_are_an_error_that_names_the_option(tokenizer: Any) -> None:
    engine = session(tokenizer)
    with pytest.raises(EngineError, match="give --sglang-tool-call-parser a name"):
        engine.parse(spoken(tokenizer, engine, CALL), [TOOL])


def test_a_parser_that_sglang_does_not_have_is_found_before_it_is_needed() -> None:
    with pytest.raises(ValueError, match="Unsupported tool_call_parser: nothing"):
        check(Parsers(tool_calls="nothing"))
    with pytest.raises(ValueError, match="Unsupported model type: nothing"):
        check(Parsers(reasoning="nothing"))


@pytest.mark.parametrize(
    ("ended", "expected"),
    [(True, "<|tool|>2<|assistant|>"), (False, "<|end|><|tool|>2<|assistant|>")],
)
def test_a_turn_is_followed_by_what_is_new_and_ended_if_it_did_not_end(
    ended: bool, expected: str, tokenizer: Any
) -> None:
    engine = session(tokenizer, tool_calls="qwen25")
    trace = spoken(tokenizer, engine, CALL, ended=ended)
    messages = [ASK, engine.parse(trace, [TOOL])]
    added = engine.extend(trace, messages, [{"role": "tool", "content": "2"}], [TOOL])
    assert tokenizer.decode(added) == expected


def test_a_template_that_drops_turns_is_an_error(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", "{{ messages[-1]['content'] }}")
    engine = session(tokenizer)
    trace = spoken(tokenizer, engine, "2")
    with pytest.raises(EngineError, match="does not keep earlier turns"):
        engine.extend(trace, [ASK, engine.parse(trace)], [ASK])


def test_what_looks_like_a_special_token_in_plain_text_is_text(tokenizer: Any) -> None:
    engine = session(tokenizer)
    tokens = engine.encode("a<|end|>b")
    assert tokenizer.eos_token_id not in tokens
    assert engine.decode(tokens) == "a<|end|>b"
