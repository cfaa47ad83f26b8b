"""Prompts, samples, groups and contexts with sensible values for whatever a test does not say."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slime_hookspecs.context import AnyContext, Context, RunInfo
from slime_hookspecs.records import Group, Prompt, Reward, Sample, SampleError, StopReason
from slime_hookspecs.testing.kit.engine import logprobs
from slime_hookspecs.testing.kit.tokenizer import END, TinyTokenizer
from slime_hookspecs.trace import Trace

_numbers = itertools.count()


def make_prompt(text: str = "2+2=", label: Any = "4", **fields: Any) -> Prompt:
    """A prompt of one user message.

    >>> make_prompt("1+1=", "2", id="a").messages
    [{'role': 'user', 'content': '1+1='}]
    """
    values = {"id": f"prompt-{text}", "messages": [{"role": "user", "content": text}]}
    return Prompt(**{**values, "label": label, **fields})


def make_sample(
    prompt: Prompt | None = None,
    *,
    response: str | None = None,
    tokens: Sequence[int] | None = None,
    reward: float | None = None,
    **fields: Any,
) -> Sample:
    """A sample: not generated yet, or finished where a response or its tokens are given.

    >>> make_sample().stop.value, make_sample(response="4").stop.value
    ('pending', 'stop')
    """
    prompt = prompt or make_prompt()
    number = next(_numbers)
    values: dict[str, Any] = {"index": number, "group_index": number}
    if response is not None or tokens is not None:
        values |= _finished(prompt, response, tokens)
    if reward is not None:
        values |= {"reward": reward, "rewards": {"made": Reward(reward)}}
    return Sample(**{**values, "prompt": prompt, **fields})


def make_group(
    rewards: Sequence[float | None] = (0.0, 1.0), prompt: Prompt | None = None, index: int = 0
) -> Group:
    """A group with these rewards; ``None`` is a sample that failed.

    >>> len(make_group([0.0, None, 1.0]).scored)
    2
    """
    prompt = prompt or make_prompt()
    samples = [
        make_sample(prompt, response=f"answer {place}", reward=reward, group_index=index)
        for place, reward in enumerate(rewards)
    ]
    for sample in samples:
        if sample.reward is None:
            sample.error = SampleError("made", "slime_reward", "ValueError", "made to fail")
            sample.stop = StopReason.FAILED
    return Group(index, prompt, samples)


def make_run(directory: Path = Path(), **facts: Any) -> RunInfo:
    """The facts of a small run.

    >>> make_run(seed=7).seed
    7
    """
    values = {
        "name": "test",
        "directory": directory,
        "model": directory / "model",
        "seed": 0,
        "steps": 2,
        "prompts_per_step": 4,
        "samples_per_prompt": 4,
        "max_response_tokens": 512,
    }
    return RunInfo(**{**values, **facts})


def make_context(options: Any = None, run: RunInfo | None = None, **fields: Any) -> AnyContext:
    """What a hook is told.

    >>> make_context(deadline_s=5.0).deadline_s
    5.0
    """
    return Context(run or make_run(), options, **fields)


def _finished(prompt: Prompt, response: str | None, tokens: Sequence[int] | None) -> dict[str, Any]:
    tokenizer, trace = TinyTokenizer(), Trace()
    if tokens is None:
        tokens = [*tokenizer.encode(response or ""), END]
    trace.append_prompt(tokenizer.render(prompt.messages, prompt.tools))
    trace.append_sampled(tokens, logprobs(tokens, len(trace)), 1)
    text = tokenizer.decode(tokens) if response is None else response
    return {"trace": trace, "stop": StopReason.STOP, "response": text}
