"""An episode: the model reasons and searches, is told what was found, and answers in the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from slime_hookspecs import Engine, Sample, Sampling, StopReason, Trace

from slime_plugin_search_r1.options import Options
from slime_plugin_search_r1.passages import Passage, Retriever
from slime_plugin_search_r1.turns import (
    STOPS,
    Turn,
    read_turn,
    unfinished,
    well_formed,
    without_tags,
)

NOTHING_FOUND: Final = "Nothing was found. Try other words."

#: Characters that no token is longer than, as a rule: of a longer passage the rest is not even
#: looked at.
CHARACTERS_A_TOKEN: Final = 32


async def play(
    sample: Sample, engine: Engine, retriever: Retriever, options: Options, budget: int
) -> StopReason:
    """Let the model search until it answers, or a limit is reached.

    All that an interrupted attempt knew is in the trace: a turn that was broken off is finished
    first, and a search that was not answered yet is made.

    Args:
        sample: Its trace grows.
        engine: Writes the model's turns.
        retriever: Answers its searches.
        options: Limits.
        budget: Most tokens that the model writes in all its turns.

    Returns:
        Why it ended.

    Raises:
        RetrievalError: a search got no answer, after retries.
    """
    trace = sample.trace
    if not len(trace):
        trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    while True:
        turn = _last(trace, engine)
        if not turn.whole:
            stop = await _speak(trace, engine, options, budget)
            if stop is not StopReason.STOP:
                return stop
            turn = _last(trace, engine)
        if turn.did == "answer":
            return StopReason.STOP
        if _replies(trace) >= options.max_replies:
            return StopReason.TURNS
        text = await _reply(turn, engine, retriever, options)
        told = _tokens(text, turn, sample, engine, options)
        if len(trace) + len(told) >= engine.context_length:
            return StopReason.CONTEXT
        trace.append_observed(told)


def account(trace: Trace, engine: Engine, options: Options) -> dict[str, Any]:
    """What the trace tells of its turns, as JSON values; the last turn is not among them."""
    answered = [engine.decode(tokens) for tokens in _answered(trace)]
    searches = sum(read_turn(text).did == "search" for text in answered)
    return {
        "searches": searches,
        "mistakes": len(answered) - searches,
        "well_formed": all(well_formed(text, think=options.think) for text in answered),
    }


def shown(passages: Sequence[Passage]) -> str:
    """Passages as the model reads them."""
    lines = [f"Doc {n}{_titled(one)}: {one.text}" for n, one in enumerate(passages, 1)]
    return without_tags("\n".join(lines)) or NOTHING_FOUND


def framed(text: str) -> str:
    """A reply in its tags."""
    return f"<information>{text}</information>"


async def _speak(trace: Trace, engine: Engine, options: Options, budget: int) -> StopReason:
    """Let the model write its turn to the end, in however many attempts."""
    while True:
        written = trace.last_turn
        left = budget - trace.sampled_length
        if options.turn_tokens:
            left = min(left, options.turn_tokens - len(written))
        if left <= 0:
            return StopReason.LENGTH
        rests = unfinished(engine.decode(written))
        # These stop strings stand in for the run's own.
        stop = await engine.generate(trace, Sampling(max_new_tokens=left, stop=[*STOPS, *rests]))
        if stop is not StopReason.STOP or _last(trace, engine).whole:
            return stop
        if not engine.decode(trace.last_turn[len(written) :]).endswith(tuple(rests) or "\0"):
            return stop  # The model ended its turn itself.


async def _reply(turn: Turn, engine: Engine, retriever: Retriever, options: Options) -> str:
    if turn.did == "mistake":
        return framed(turn.text)
    text = shown(await retriever.search(turn.text))
    return framed(_cut(text, engine, options.information_tokens))


def _cut(text: str, engine: Engine, limit: int) -> str:
    text = text[: limit * CHARACTERS_A_TOKEN]
    tokens = engine.encode(text)
    if len(tokens) <= limit:
        return text
    # The last character may have lost some of its bytes.
    return engine.decode(tokens[:limit]).rstrip("\ufffd")


def _tokens(text: str, turn: Turn, sample: Sample, engine: Engine, options: Options) -> list[int]:
    """A reply as tokens: more text in the model's own turn, or a message after it.

    What the model ended itself cannot go on, so that a reply to it is a message in any case.
    """
    if options.reply_as == "text" and turn.whole:
        return engine.encode(f"\n\n{text}\n\n")
    role = "user" if options.reply_as == "text" else options.reply_as
    spoken = {"role": "assistant", "content": engine.decode(sample.trace.last_turn)}
    before = [*sample.prompt.messages, spoken]
    return engine.extend(sample.trace, before, [{"role": role, "content": text}])


def _last(trace: Trace, engine: Engine) -> Turn:
    return read_turn(engine.decode(trace.last_turn))


def _replies(trace: Trace) -> int:
    return sum(segment.kind == "observed" for segment in trace.segments)


def _answered(trace: Trace) -> Iterator[list[int]]:
    """Tokens of each turn that was followed by a reply."""
    turn = list[int]()
    for segment in trace.segments:
        if segment.kind == "sampled":
            turn += segment.tokens
        elif segment.kind == "observed":
            yield turn
            turn = []


def _titled(passage: Passage) -> str:
    return f" (Title: {passage.title})" if passage.title else ""
