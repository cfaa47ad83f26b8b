"""Holds traces against what clients were told, and against another implementation's log-probs.

Nothing here is the gateway's own code: the text of an answer and its calls are worked out anew from
the sampled tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from gateway_clients import TOOLS
from gateway_model import CLOSE, OPEN
from gateway_sessions import Answer, Session
from slime_hookspecs import Segment, Trace

CALL = re.compile(re.escape(OPEN) + "(.*?)" + re.escape(CLOSE), re.DOTALL)
REPLAYED_TOGETHER = 64


@dataclass(frozen=True)
class Written:
    """One answer of the model: a sampled segment, and the trace up to it."""

    before: Trace
    segment: Segment


def written(traces: Iterable[Trace]) -> list[Written]:
    """Each answer once, however many branches share it."""
    found: dict[tuple[int, ...], Written] = {}
    for trace in traces:
        for place, segment in enumerate(trace.segments):
            if segment.kind == "sampled":
                # Branches share the segments themselves.
                way = tuple(id(one) for one in trace.segments[: place + 1])
                found.setdefault(way, Written(Trace(trace.segments[:place]), segment))
    return list(found.values())


def complaints(session: Session, traces: Sequence[Trace], tokenizer: Any) -> list[str]:
    """What clients were told that is in no trace, and the other way round."""
    left, found = written(traces), []
    for answer in session.answers:
        fits = (one for one in left if matches(answer, one, tokenizer))
        if (one := next(fits, None)) is None:
            found.append(f"no trace has {answer.told} as the answer to {answer.request}")
            continue
        left.remove(one)
    if len(left) > session.cuts:
        found.append(f"{len(left)} answers in traces, {session.cuts} requests that were left")
    if not session.leaves <= len(traces) <= session.leaves + session.cuts:
        found.append(
            f"{len(traces)} traces of {session.leaves} conversations, {session.cuts} requests left"
        )
    return found


def matches(answer: Answer, one: Written, tokenizer: Any) -> bool:
    """Whether a client was told just what a segment holds, after just what it had said."""
    told, request = answer.told, answer.request
    if told.tokens != len(one.segment.tokens):
        return False
    if told.logprobs not in (None, one.segment.logprobs):
        return False
    if (told.text, told.calls) != read(one.segment, request.tools, request.stop, tokenizer):
        return False
    if isinstance(request.history, str):
        return request.history == "".join(_said(part, tokenizer) for part in one.before.segments)
    before = tokenizer.decode(one.before.tokens, skip_special_tokens=False)
    place = 0
    for text in given(answer):
        place = before.find(text, place) + len(text)
        if place < len(text):
            return False
    return True


def given(answer: Answer) -> list[str]:
    """Texts of a request that the model did not say."""
    found: list[str] = []
    for message in answer.request.history:
        if message["role"] == "assistant":
            continue
        blocks = message["content"]
        if isinstance(blocks, str):
            found.append(blocks)
        else:
            found += [block.get("content") or block.get("text") or "" for block in blocks]
    return found


def read(
    segment: Segment, tools: bool, stop: Sequence[str], tokenizer: Any
) -> tuple[str, tuple[tuple[str, Any], ...]]:
    """Text and calls in sampled tokens."""
    tokens = list(segment.tokens)
    if tokens[-1] in tokenizer.all_special_ids:
        tokens.pop()
    text = tokenizer.decode(tokens, skip_special_tokens=not tools)
    text = text[: min([at for one in stop if (at := text.find(one)) >= 0], default=len(text))]
    calls = tuple(_calls(text)) if tools else ()
    return (text[: text.find(OPEN)].strip() if calls else text), calls


def _calls(text: str) -> Iterable[tuple[str, Any]]:
    for found in CALL.findall(text):
        try:
            call = json.loads(found)
        except json.JSONDecodeError:
            continue
        if isinstance(call, dict) and call.get("name") in TOOLS:
            yield call["name"], call.get("arguments", {})


def _said(segment: Segment, tokenizer: Any) -> str:
    """A segment as a client of text completions knows it."""
    own = segment.kind == "sampled"
    return str(tokenizer.decode(segment.tokens, skip_special_tokens=own))


def differences(network: Any, traces: Sequence[tuple[Trace, float]]) -> list[float]:
    """How far each sampled token's log-prob is from that of the replay, at its temperature."""
    found: list[float] = []
    ordered = sorted(traces, key=lambda one: len(one[0]))
    for start in range(0, len(ordered), REPLAYED_TOGETHER):
        found += _replay(network, ordered[start : start + REPLAYED_TOGETHER])
    return found


def _replay(network: Any, traces: Sequence[tuple[Trace, float]]) -> list[float]:
    longest = max(len(trace) for trace, _ in traces)
    rows = [trace.tokens + [0] * (longest - len(trace)) for trace, _ in traces]
    lengths = torch.tensor([[len(trace)] for trace, _ in traces])
    ids = torch.tensor(rows)
    with torch.no_grad():
        logits = network(ids, attention_mask=(torch.arange(longest) < lengths).long()).logits
    heat = torch.tensor([temperature for _, temperature in traces]).view(-1, 1, 1)
    table = torch.log_softmax(logits[:, :-1] / heat, -1)
    again = table.gather(-1, ids[:, 1:, None]).squeeze(-1)
    recorded = torch.tensor([t.logprobs + [0.0] * (longest - len(t)) for t, _ in traces])[:, 1:]
    masks = torch.tensor([t.loss_mask + [0] * (longest - len(t)) for t, _ in traces])[:, 1:]
    apart = (again - recorded).abs()[masks.bool()]
    return [float(one) for one in apart]
