"""Majority voting: a reward without labels, for answers that most samples of a group agree on.

A sample gets 1 where its answer is the group's most frequent one, else 0, as in test-time
reinforcement learning (Zuo et al. 2025, https://arxiv.org/abs/2504.16084, section 2). Samples
without an answer have no vote and get 0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from slime_hookspecs import ConfigError, Conformance, Context, Group, Prompt, Reward, hookimpl


@dataclass(frozen=True, slots=True)
class Options:
    """Options of ``majority_vote``.

    Attributes:
        pattern: Its last match in a response is the answer: the first group, or all of it.
    """

    pattern: str = field(
        default=r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}",
        metadata={"help": "regular expression whose last match, or group in it, is the answer"},
    )

    def __post_init__(self) -> None:
        """Refuse what is no regular expression."""
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ConfigError(f"majority_vote.pattern {self.pattern!r}: {error}") from error


@hookimpl
def slime_options() -> type:
    """The options class."""
    return Options


@hookimpl
def slime_group_reward(group: Group, ctx: Context[Options]) -> list[Reward]:
    """1 for each sample whose answer is the group's majority; ``agreement`` is its share."""
    pattern = re.compile(ctx.options.pattern)
    answers = [answer(pattern, sample.response) for sample in group.samples]
    winner = majority(group.prompt.id, answers)
    agreement = answers.count(winner) / max(1, len(answers)) if winner is not None else 0.0
    return [
        Reward(
            float(one is not None and one == winner),
            {"agreement": agreement, "answered": float(one is not None)},
        )
        for one in answers
    ]


def answer(pattern: re.Pattern[str], response: str) -> str | None:
    """The last match, without the space around it; ``None`` where there is none, or it is empty."""
    last: re.Match[str] | None = None
    for match in pattern.finditer(response):
        last = match
    if last is None:
        return None
    found = next((one for one in last.groups() if one is not None), last.group())
    return " ".join(found.split()) or None


def majority(prompt_id: str, answers: Sequence[str | None]) -> str | None:
    """The most frequent answer, or ``None`` where there is none.

    A hash of prompt and answer breaks ties: it depends on no order of samples, and favours neither
    small nor short answers.
    """
    votes = Counter(one for one in answers if one is not None)

    def rank(one: str) -> tuple[int, bytes]:
        text = f"{prompt_id}\0{one}".encode(errors="surrogatepass")
        return votes[one], blake2b(text, digest_size=8).digest()

    return max(votes, key=rank, default=None)


@hookimpl
def slime_conformance() -> Conformance:
    """What it promises, on a group that agrees and one that gives no answers."""
    agree = Prompt("agree", [{"role": "user", "content": "2+2="}])
    silent = Prompt("silent", [{"role": "user", "content": "Why?"}])
    return Conformance(
        capabilities=frozenset({"deterministic", "group_reward"}),
        gold=[
            (agree, "\\boxed{4}"),
            (agree, "It is \\boxed{4}."),
            (agree, "\\boxed{5}, no: \\boxed{ 4 }"),
        ],
        bad=[(silent, "I do not know."), (silent, "\\boxed{}"), (silent, "\\boxed{42")],
        reward_range=(0.0, 1.0),
        exempt={"group_reward.malformed_label": "it reads no label"},
    )
