"""Reads what SGLang's ``/generate`` answers: tokens, log-probs, weight version, why it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from slime_hookspecs.errors import EngineError
from slime_hookspecs.records import StopReason

#: A log-prob above 0 by no more than this is float noise on a certain token.
NOISE = 1e-3


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """What the server wrote.

    Attributes:
        tokens: Token ids, the one that ended the turn included, ``[n]``.
        logprobs: Log-prob of each under the distribution that it was drawn from, ``[n]``.
        finish: SGLang's word: ``stop``, ``length`` or ``abort``.
        weight_version: As the server reports it, ``None`` where that is no number.
        first_token_s: Seconds from the request's arrival to its first token, where the server says
            so: with ``--sglang-enable-metrics``.
    """

    tokens: list[int]
    logprobs: list[float]
    finish: str
    weight_version: int | None
    first_token_s: float | None = None


def read(body: Mapping[str, Any]) -> Answer:
    """The answer in the JSON of a ``/generate`` response with log-probs.

    Raises:
        EngineError: the JSON is not such a response.
    """
    try:
        meta = body["meta_info"]
        rows = meta.get("output_token_logprobs") or ()
        tokens = [row[1] for row in rows]
        logprobs = [row[0] for row in rows]
        if max(logprobs, default=0.0) > 0.0:
            logprobs = [_clamped(value) for value in logprobs]
        if len(tokens) != meta.get("completion_tokens", len(tokens)):
            raise EngineError(
                f"server wrote {meta['completion_tokens']} tokens but sent {len(tokens)} log-probs"
            )
        finish = meta["finish_reason"]["type"]
        return Answer(tokens, logprobs, finish, _version(meta), _first_token_s(meta))
    except (KeyError, TypeError, IndexError) as error:
        raise EngineError(
            f"/generate answered without {error}: {str(body)[:500]}; is this an SGLang server?"
        ) from error


def stop_reason(answer: Answer, wanted: int) -> StopReason:
    """Why generation ended, where ``wanted`` tokens were to come if the context had room."""
    if answer.finish == "abort":
        return StopReason.ABORTED
    if answer.finish != "length":
        return StopReason.STOP
    return StopReason.LENGTH if len(answer.tokens) >= wanted else StopReason.CONTEXT


def _clamped(logprob: float) -> float:
    if logprob > NOISE:
        raise EngineError(f"server sent a log-prob of {logprob}, which is above 0")
    return min(logprob, 0.0)


def _version(meta: Mapping[str, Any]) -> int | None:
    version = meta.get("weight_version")
    return int(version) if version is not None and str(version).isdecimal() else None


def _first_token_s(meta: Mapping[str, Any]) -> float | None:
    arrived, first = meta.get("request_received_ts"), meta.get("prefill_finished_time")
    if not isinstance(arrived, float) or not isinstance(first, float):
        return None
    return max(0.0, first - arrived)
