"""Environments for tests: of every interface, and with everything that goes wrong.

``LIFE`` is what happened to them, in order.
"""

import asyncio
import random
import threading
import time

LIFE = []


class Echo:
    """Tells what was done, and pays 1, 2, 3 and so on; ends at "end", is cut off at "cut"."""

    def __init__(self, start="go"):
        self.start = start
        LIFE.append("made")

    def reset(self, seed=None):
        self.steps, self.seed = 0, seed
        LIFE.append(f"reset {threading.current_thread() is threading.main_thread()}")
        return f"{self.start} {seed}", {"info": 1}

    def step(self, action):
        self.steps += 1
        LIFE.append(f"step {action}")
        return f"did {action}", self.steps, action == "end", action == "cut", {}

    def close(self):
        LIFE.append("closed")


class Quick(Echo):
    quick = True


class Old(Echo):
    """As Gym had it."""

    def reset(self, seed=None):
        return super().reset(seed)[0]

    def step(self, action):
        told, reward, done, _, info = super().step(action)
        return told, reward, done, info


class Async(Echo):
    async def reset(self, seed=None):
        await asyncio.sleep(0)
        return super().reset(seed)

    async def step(self, action):
        await asyncio.sleep(0.001)
        return super().step(action)

    async def close(self):
        await asyncio.sleep(0.001)
        super().close()


class Numbers(Echo):
    """Observations that are no texts, and nothing to close."""

    close = None

    def reset(self, seed=None):
        return [1, {"a": 2}]

    def step(self, action):
        return {1, 2} if action == "set" else (3, 4), True, False, False, {}


class Random(Echo):
    """Does something else each time."""

    def step(self, action):
        told, *rest = super().step(action)
        return f"{told} {random.SystemRandom().random()}", *rest


class Flaky(Echo):
    """Deterministic, until it is played again."""

    played = 0

    def reset(self, seed=None):
        Flaky.played += 1
        return super().reset(seed)

    def step(self, action):
        if Flaky.played > 1 and action == "b":
            raise ConnectionError("gone")
        return super().step(action)


class Broken(Echo):
    def __init__(self, what="step", how="raise", **more):
        super().__init__(**more)
        self.what, self.how = what, how

    def fail(self, what):
        if self.what == what:
            if self.how == "raise":
                raise ValueError(f"no {what}")
            if self.how == "stop":
                raise StopIteration
            if self.how == "exit":
                raise SystemExit(3)
            if self.how == "timeout":
                raise TimeoutError("the game server is slow")
            time.sleep(float(self.how))

    def reset(self, seed=None):
        self.fail("reset")
        return super().reset(seed)

    def step(self, action):
        self.fail("step")
        return super().step(action)

    def close(self):
        super().close()
        self.fail("close")


class Answers(Echo):
    """Answers a step with what it was made with."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def step(self, action):
        return self.answer


class NoStep:
    def reset(self, seed=None):
        return ""

    def close(self):
        LIFE.append("closed")


def slow_to_make(seconds):
    time.sleep(seconds)
    return Echo()


def fails(**arguments):
    raise OSError("no display")


async def in_time():
    return Quick()


NOT_CALLABLE = 3
