"""An engine that answers from a script: what ``slime_generate`` is tested with."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

from slime_hookspecs.engine import Sampling
from slime_hookspecs.errors import EngineError
from slime_hookspecs.records import Message, StopReason
from slime_hookspecs.testing.kit.calls import parse
from slime_hookspecs.testing.kit.faults import MALFORMED_ANSWER, Fault, Turn
from slime_hookspecs.testing.kit.recording import Recording
from slime_hookspecs.testing.kit.tokenizer import ASSISTANT, END, TinyTokenizer
from slime_hookspecs.trace import Trace

Script: TypeAlias = Sequence[str] | Callable[[Trace], str]
"""The model's turns, the last of them again and again; or a function from the trace to a turn."""

#: Words that SGLang uses for why it ended.
_FINISH: Final = {
    StopReason.STOP: "stop",
    StopReason.LENGTH: "length",
    StopReason.CONTEXT: "length",
    StopReason.ABORTED: "abort",
}


@final
@dataclass(frozen=True, slots=True)
class EngineCall:
    """One request to the engine.

    Attributes:
        path: ``generate``, or the path that was posted to.
        tokens: Tokens of the trace when it was asked to continue it.
        sampling: How to sample, if the caller said so.
        body: JSON that was posted.
    """

    path: str
    tokens: tuple[int, ...] = ()
    sampling: Sampling | None = None
    body: Mapping[str, Any] | None = None


@final
@dataclass(frozen=True, slots=True)
class Written:
    """What the engine wrote in one call, however it was asked.

    Attributes:
        asked: Tokens that it was asked to continue.
        tokens: Tokens that it wrote.
        logprobs: Their log-probs.
        weight_version: Version of the weights that wrote them.
        stop: Why it ended.
    """

    asked: tuple[int, ...]
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    weight_version: int
    stop: StopReason


@final
class ScriptedEngine:
    """Implements ``slime_hookspecs.Engine`` without servers.

    It finds out from the trace which turn it is, so an interrupted turn is continued where it
    broke off, and one engine may serve any number of samples at once.

    >>> import asyncio
    >>> engine = ScriptedEngine(["The answer is 4."])
    >>> trace = Trace()
    >>> trace.append_prompt(engine.render([{"role": "user", "content": "2+2="}]))
    >>> asyncio.run(engine.generate(trace)).value, engine.decode(trace.response_tokens)
    ('stop', 'The answer is 4.')

    Args:
        script: What the model writes.
        faults: What goes wrong.
        context_length: Most tokens, prompt and response together.
        max_new_tokens: Budget of a call that gives none.
        weight_version: Version of the weights.
        openai_base_url: What the handle says of itself; ``serve`` sets it.
        tokenizer: Encodes, decodes and renders.

    Attributes:
        calls: Every request so far.
        openai_api_key: What clients of ``openai_base_url`` send.
        openai_recording: Their conversations.
        written: What came of those that were answered.
        renders: Number of conversations rendered so far.
    """

    def __init__(
        self,
        script: Script = ("ok",),
        *,
        faults: Sequence[Fault] = (),
        context_length: int = 4096,
        max_new_tokens: int = 512,
        weight_version: int = 1,
        openai_base_url: str = "http://127.0.0.1:9/v1",
        tokenizer: TinyTokenizer | None = None,
    ) -> None:
        self.script = script
        self.faults = tuple(faults)
        self.context_length = context_length
        self.max_new_tokens = max_new_tokens
        self.weight_version = weight_version
        self.openai_base_url = openai_base_url
        self.openai_api_key = "sk-scripted"
        self.openai_recording = Recording()
        self.tokenizer = tokenizer or TinyTokenizer()
        self.calls: list[EngineCall] = []
        self.written: list[Written] = []
        self.renders = 0
        self._numbers = itertools.count()

    @property
    def openai_traces(self) -> list[Trace]:
        """What was asked through ``openai_base_url`` while ``serve`` lasted."""
        return self.openai_recording.traces

    async def generate(self, trace: Trace, sampling: Sampling | None = None) -> StopReason:
        """Continue the trace by the script, as ``Engine.generate`` says."""
        self.calls.append(EngineCall("generate", tuple(trace.tokens), sampling))
        turn = await self._turn(trace, sampling)
        if turn.malformed:
            raise EngineError(f"/generate answered without what is due: {MALFORMED_ANSWER}")
        start = len(trace)
        trace.append_sampled(turn.tokens, logprobs(turn.tokens, start), self.weight_version)
        return turn.stop

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[dict[str, Any]] | None = None,
        *,
        add_generation_prompt: bool = True,
    ) -> list[int]:
        """Token ids of a conversation in the tokenizer's chat template."""
        self.renders += 1
        return self.tokenizer.render(messages, tools, add_generation_prompt=add_generation_prompt)

    def parse(self, trace: Trace, tools: Sequence[dict[str, Any]] | None = None) -> Message:
        """The assistant message in the trace's last turn; calls are ``<tool_call>`` JSON."""
        return parse(self.decode(trace.last_turn), tools)

    def extend(
        self,
        trace: Trace,
        messages: Sequence[Message],
        new: Sequence[Message],
        tools: Sequence[dict[str, Any]] | None = None,
    ) -> list[int]:
        """Token ids to append after a turn of the model, as ``Engine.extend`` says."""
        ended = trace.last_turn[-1:] == [END]
        return [*([] if ended else [END]), *self.tokenizer.render(new)]

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of token ids, special tokens left out."""
        return self.tokenizer.decode(tokens)

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text."""
        return self.tokenizer.encode(text)

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Answer ``/generate`` in SGLang's shape.

        Raises:
            EngineError: another path, or a fault.
        """
        self.calls.append(EngineCall(path, body=body))
        if path.rstrip("/") != "/generate":
            raise EngineError(f"{path}: 404 Not Found; the scripted engine posts to /generate")
        return await self.answer(body)

    async def answer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """SGLang's JSON for a request with ``input_ids`` or ``text``, and ``sampling_params``."""
        tokens = body.get("input_ids")
        tokens = self.encode(str(body.get("text", ""))) if tokens is None else list(tokens)
        turn = await self._turn(trace_of(tokens), _sampling(body.get("sampling_params") or {}))
        if turn.malformed:
            return dict(MALFORMED_ANSWER)
        values = logprobs(turn.tokens, len(tokens))
        rows = [[value, token, None] for value, token in zip(values, turn.tokens, strict=True)]
        meta: dict[str, Any] = {
            "id": str(body.get("rid", len(self.calls))),
            "finish_reason": {"type": _FINISH[turn.stop]},
            "prompt_tokens": len(tokens),
            "completion_tokens": len(turn.tokens),
            "weight_version": str(self.weight_version),
        }
        if body.get("return_logprob"):
            meta["output_token_logprobs"] = rows
        text = self.decode(turn.tokens)
        return {"text": text, "output_ids": list(turn.tokens), "meta_info": meta}

    async def _turn(self, trace: Trace, sampling: Sampling | None) -> Turn:
        call = next(self._numbers)
        turn = Turn(self, *self._planned(trace, sampling or Sampling()))
        for fault in self.faults:
            if fault.hits(call):
                await fault.happen(turn)
        await asyncio.sleep(0)
        for _ in turn.tokens if turn.delay_s else ():
            await asyncio.sleep(turn.delay_s)
        if not turn.malformed:
            self._note(trace, turn)
        return turn

    def _note(self, trace: Trace, turn: Turn) -> None:
        asked, tokens = tuple(trace.tokens), tuple(turn.tokens)
        values = tuple(logprobs(tokens, len(asked)))
        self.written.append(Written(asked, tokens, values, self.weight_version, turn.stop))

    def _planned(self, trace: Trace, sampling: Sampling) -> tuple[list[int], StopReason]:
        """What the script has the model write, within the budget, and why it ends."""
        room = self.context_length - len(trace)
        if room <= 0:
            return [], StopReason.CONTEXT
        wanted = sampling.max_new_tokens
        wanted = self.max_new_tokens if wanted is None else wanted
        tokens = self._cut([*self._rest(trace)], sampling)
        if len(tokens) <= min(room, wanted):
            return tokens, StopReason.STOP
        reason = StopReason.LENGTH if wanted <= room else StopReason.CONTEXT
        return tokens[: max(0, min(room, wanted))], reason

    def _rest(self, trace: Trace) -> list[int]:
        number, written = position(trace)
        if callable(self.script):
            # The turn is a function of what led up to it, not of how much of it is written.
            text = self.script(_without_tail(trace, len(written)))
        else:
            text = self.script[min(number, len(self.script) - 1)] if self.script else ""
        whole = [*self.encode(text), END]
        return whole[len(written) :] if whole[: len(written)] == written else whole

    def _cut(self, tokens: list[int], sampling: Sampling) -> list[int]:
        """The tokens up to the first stop string or stop token, that included."""
        ends = [tokens.index(t) + 1 for t in sampling.stop_token_ids or () if t in tokens]
        for text in sampling.stop or ():
            needle = self.encode(text)
            places = range(len(tokens) - len(needle) + 1)
            found = (at for at in places if tokens[at : at + len(needle)] == needle)
            ends += [at + len(needle) for at in itertools.islice(found, 1)]
        return tokens[: min(ends, default=len(tokens))]


def logprobs(tokens: Sequence[int], start: int) -> list[float]:
    """Plausible log-probs that depend on token and place only, ``[n]``."""
    return [
        -0.05 - ((token * 31 + (start + place) * 17) % 64) / 32
        for place, token in enumerate(tokens)
    ]


def position(trace: Trace) -> tuple[int, list[int]]:
    """How many turns the model finished in a trace, and what it wrote of the one it is in."""
    finished, written = 0, list[int]()
    for segment in trace.segments:
        if segment.kind != "sampled":
            finished += bool(written)
            written = []
            continue
        for token in segment.tokens:
            written.append(token)
            if token == END:
                finished, written = finished + 1, []
    return finished, written


def trace_of(tokens: Sequence[int]) -> Trace:
    """The trace that token ids look like: assistant turns are sampled, all else is given."""
    trace, speaking = Trace(), False
    for token in tokens:
        if speaking:
            trace.append_sampled([token], [0.0], 0)
        elif trace.sampled_length:
            trace.append_observed([token])
        else:
            trace.append_prompt([token])
        speaking = token == ASSISTANT or (speaking and token != END)
    return trace


def _without_tail(trace: Trace, count: int) -> Trace:
    if not count:
        return trace
    shorter = Trace()
    left = len(trace) - count
    for row in trace.to_list():
        keep = min(left, len(row["tokens"]))
        cut = {**row, "tokens": row["tokens"][:keep], "logprobs": row["logprobs"][:keep]}
        shorter = Trace([*shorter.segments, *Trace.from_list([cut]).segments])
        left -= keep
    return shorter


def _sampling(parameters: Mapping[str, Any]) -> Sampling:
    stop = parameters.get("stop")
    return Sampling(
        max_new_tokens=parameters.get("max_new_tokens"),
        stop=[stop] if isinstance(stop, str) else stop,
        stop_token_ids=parameters.get("stop_token_ids"),
    )
