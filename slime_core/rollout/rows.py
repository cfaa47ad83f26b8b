"""Prompts, samples and flights as JSON values, and back again without a difference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from slime_hookspecs import (
    Group,
    PluginError,
    Prompt,
    Reward,
    Sample,
    SampleError,
    StopReason,
    Trace,
)

from slime_core.rollout.flights import Flight, Place
from slime_core.rollout.outcomes import Outcome


def prompt_to_dict(prompt: Prompt) -> dict[str, Any]:
    """A prompt as JSON values."""
    return {
        "id": prompt.id,
        "messages": prompt.messages,
        "label": prompt.label,
        "metadata": prompt.metadata,
        "tools": prompt.tools,
    }


def prompt_from_dict(row: Mapping[str, Any]) -> Prompt:
    """The inverse of ``prompt_to_dict``."""
    return Prompt(row["id"], row["messages"], row["label"], row["metadata"], row["tools"])


def sample_to_dict(sample: Sample) -> dict[str, Any]:
    """A sample as JSON values, but for what its plugins put into ``fields`` and ``metadata``."""
    return {
        "index": sample.index,
        "group_index": sample.group_index,
        "prompt": prompt_to_dict(sample.prompt),
        "response": sample.response,
        "stop": sample.stop.value,
        "reward": sample.reward,
        "rewards": sample.rewards,
        "advantage": sample.advantage,
        "error": sample.error,
        "rejected": sample.rejected,
        "metadata": sample.metadata,
        "provenance": sample.provenance,
        "fields": sample.fields,
        "trace": sample.trace.to_list(),
    }


def sample_from_dict(row: Mapping[str, Any]) -> Sample:
    """The inverse of ``sample_to_dict`` after JSON."""
    return Sample(
        index=row["index"],
        group_index=row["group_index"],
        prompt=prompt_from_dict(row["prompt"]),
        trace=Trace.from_list(map(_segment, row["trace"])),
        stop=StopReason(row["stop"]),
        response=row["response"],
        rewards={plugin: Reward(**reward) for plugin, reward in row["rewards"].items()},
        reward=row["reward"],
        advantage=row["advantage"],
        fields=row["fields"],
        metadata=row["metadata"],
        error=None if row["error"] is None else SampleError(**row["error"]),
        provenance=row["provenance"],
        rejected=row.get("rejected", ""),
    )


def _segment(row: dict[str, Any]) -> dict[str, Any]:
    # JSON has no infinity: a log-prob of minus infinity is written as null.
    if None in row["logprobs"]:
        return row | {"logprobs": [-math.inf if p is None else p for p in row["logprobs"]]}
    return row


def flight_to_dict(flight: Flight) -> dict[str, Any]:
    """A flight as JSON values; arrays in ``fields`` and ``metadata`` become lists.

    Raises:
        PluginError: a sample holds something in them that is no JSON value.
    """
    row = {
        "group": flight.group.index,
        "prompt": prompt_to_dict(flight.group.prompt),
        "places": [
            {
                "sample": _plain(place.sample),
                "answer": [_plain(sample) for sample in place.answer],
                "scored": place.scored,
            }
            for place in flight.places
        ],
        "outcome": None,
    }
    if flight.outcome is not None:
        row["outcome"] = {"fate": flight.outcome.fate, "reason": flight.outcome.reason}
    return row


def flight_from_dict(row: Mapping[str, Any]) -> Flight:
    """The inverse of ``flight_to_dict``."""
    places = [_place(one) for one in row["places"]]
    group = Group(row["group"], prompt_from_dict(row["prompt"]), [p.sample for p in places])
    flight = Flight(group, places)
    if row["outcome"] is not None:
        flight.gather()
        flight.outcome = Outcome(group, **row["outcome"])
    return flight


def _place(row: Mapping[str, Any]) -> Place:
    sample = sample_from_dict(row["sample"])
    answer = [sample_from_dict(one) for one in row["answer"]]
    # The sample that was asked for is mostly the one that was answered: one object, not two.
    same = [i for i, one in enumerate(answer) if one.index == sample.index]
    return Place(answer[same[0]] if same else sample, answer, row["scored"])


def _plain(sample: Sample) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = msgspec.to_builtins(sample_to_dict(sample), enc_hook=_listed)
    except TypeError as error:
        raise PluginError(
            f"sample {sample.index} of prompt {sample.prompt.id!r} cannot be kept for later: "
            f"{error}; fields and metadata of a sample must hold JSON values and arrays"
        ) from error
    return plain


def _listed(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{value!r:.80} is a {type(value).__name__}")
