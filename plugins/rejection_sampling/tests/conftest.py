"""What the tests of this plugin share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from slime_hookspecs import AnyContext, Group, Prompt, Reward, Sample, StopReason
from slime_hookspecs.testing.kit import make_context, make_prompt, make_run, make_sample
from slime_plugin_rejection_sampling import Options

MakeGroup = Callable[..., Group]


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., AnyContext]:
    """A context in a run directory of its own, with these options."""
    return lambda **options: make_context(Options(**options), make_run(tmp_path))


@pytest.fixture
def group() -> MakeGroup:
    """A group with these answers, (reward, text) or (reward, text, stop), numbered from 0."""

    def make(*answers: tuple[float, str] | tuple[float, str, StopReason]) -> Group:
        prompt = make_prompt()
        made = [_answer(prompt, number, *answer) for number, answer in enumerate(answers)]
        return Group(0, prompt, made)

    return make


def _answer(
    prompt: Prompt, number: int, reward: float, text: str, stop: StopReason = StopReason.STOP
) -> Sample:
    sample = make_sample(prompt, response=text, reward=reward)
    sample.index, sample.group_index, sample.stop = number, 0, stop
    sample.rewards = {"task": Reward(reward)}
    return sample
