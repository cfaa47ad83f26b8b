"""Random sessions of unmodified clients, and a ledger of what they were told.

Most requests carry the conversation on. Some edit what the model said, go back to an earlier
answer, ask twice at once or for several answers, and some leave before the answer is there or in
the middle of its stream, and ask again.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from dataclasses import dataclass, field, replace

from gateway_clients import Request, Speaker, Told
from gateway_model import PIECES, SPECIALS

LETTERS = "abcxyz019  \n\t.,{}\"'\\<>|é日\u2028\u00a0\u200b\U0001f600\U0001f1e9\x00\x7f"
STOPS = ("e", "o", "\n\n")
TEMPERATURES = (1.0, 1.0, 0.7, 1.3)


@dataclass(frozen=True, eq=False)
class Answer:
    """What a client was told, and what it had asked."""

    request: Request
    told: Told
    parent: Answer | None


@dataclass
class Session:
    """What one client does with one sample.

    Attributes:
        rng: Where its choices come from.
        api: Name of the API.
        speaker: Its client.
        answers: What it was told.
        cuts: Requests that it left; each may have been answered or not.
        did: How often it did what.
    """

    rng: random.Random
    api: str
    speaker: Speaker
    answers: list[Answer] = field(default_factory=list)
    cuts: int = 0
    did: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.temperature = self.rng.choice(TEMPERATURES)
        self.tools = self.api != "text" and self.rng.random() < 0.6

    @property
    def leaves(self) -> int:
        """Conversations that nothing carried on."""
        carried_on = {id(answer.parent) for answer in self.answers}
        return sum(id(answer) not in carried_on for answer in self.answers)

    async def run(self) -> None:
        """Two or three turns."""
        system = words(self.rng) if self.rng.random() < 0.3 else None
        await self._ask(self.speaker.begin(system, words(self.rng)), None)
        for _ in range(self.rng.randint(1, 2)):
            await self._step()

    async def _step(self) -> None:
        kinds = ("on", "edit", "back", "twice")
        (kind,) = self.rng.choices(kinds, (70, 12, 9, 9) if self.api != "text" else (1, 0, 0, 0))
        self.did[f"histories carried on: {kind}"] += 1
        last = self.answers[-1]
        if kind == "edit":
            told = replace(last.told, text=last.told.text + "!", calls=())
            await self._ask(self._history(replace(last, told=told)), None)
        elif kind == "twice":
            await asyncio.gather(*(self._ask(self._history(last), last) for _ in range(2)))
        else:
            one = last if kind == "on" else self.rng.choice(self.answers)
            await self._ask(self._history(one), one)

    def _history(self, answer: Answer) -> object:
        count = max(1, len(answer.told.calls)) + (self.rng.random() < 0.2)
        texts = [words(self.rng) for _ in range(count)]
        return self.speaker.carry_on(answer.request.history, answer.told, texts)

    async def _ask(self, history: object, parent: Answer | None) -> None:
        stop = STOPS if self.api != "text" and self.rng.random() < 0.25 else ()
        budget = self.rng.randint(4, 8)
        request = Request(history, self.tools, stop, self.temperature, budget)
        kinds = ("whole", "streamed", "left", "cut", "several")
        weights = (42, 30, 8, 12, 8 if self.api == "chat" else 0)
        (how,) = self.rng.choices(kinds, weights)
        self.did[f"requests: {how}"] += 1
        if how in ("left", "cut"):
            self.cuts += 1
            await (self._leave(request) if how == "left" else self._cut(request))
        if how == "streamed":
            told = [await self.speaker.streamed(request)]
        else:
            choices = 2 if how == "several" else 1
            told = await self.speaker.whole(replace(request, choices=choices))
        self.answers += [Answer(request, one, parent) for one in told]

    async def _leave(self, request: Request) -> None:
        """Go away while the model writes."""
        work = asyncio.ensure_future(self.speaker.whole(request))
        await asyncio.sleep(self.rng.random() * 0.05)
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work

    async def _cut(self, request: Request) -> None:
        """Go away in the middle of the stream."""
        stream = await self.speaker.stream(request)
        left = self.rng.randint(0, 3)
        async for _ in stream:
            left -= 1
            if left < 0:
                break
        await stream.close()


def words(rng: random.Random) -> str:
    """Some text, with a liking for what tokenizers and templates stumble over."""
    parts = (*PIECES, *SPECIALS)
    return "".join(
        rng.choice(parts)
        if rng.random() < 0.2
        else "".join(rng.choices(LETTERS, k=rng.randint(1, 6)))
        for _ in range(rng.randint(1, 4))
    )
