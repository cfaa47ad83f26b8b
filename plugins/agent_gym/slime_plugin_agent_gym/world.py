"""One environment of one episode, whichever of the usual interfaces it has.

An environment is any object with ``reset(seed=...)`` and ``step(action)``, and perhaps ``close()``;
each may be a coroutine function. ``reset`` gives an observation, or ``(observation, info)`` as
Gymnasium has it. ``step`` gives ``(observation, reward, terminated, truncated, info)``, or Gym's
``(observation, reward, done, info)``. One with a true ``quick`` is called on the event loop.
"""

from __future__ import annotations

import inspect
import json
import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn, final

from slime_hookspecs import RunError

from slime_plugin_agent_gym.calls import Calls
from slime_plugin_agent_gym.loading import factory, no_environment
from slime_plugin_agent_gym.options import Options

LOG: Final = logging.getLogger("slime.plugin.agent_gym")


class EnvironmentFailed(RunError):  # noqa: N818
    """An environment raised, hung, or answered with what is no answer."""


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step led to.

    Attributes:
        text: What the model is told.
        reward: Of this step.
        terminated: The episode is over by the rules.
        truncated: It is over by a limit of the environment.
    """

    text: str
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False


@final
class World:
    """An environment that was opened, and what its failures are called."""

    def __init__(self, env: Any, calls: Calls, options: Options, seed: int) -> None:
        self._env = env
        self._calls = calls
        self._options = options
        self._seed = seed
        self._steps = 0

    async def reset(self) -> str:
        """The first observation.

        Raises:
            EnvironmentFailed: it raised or hung.
        """
        what = f"reset(seed={self._seed})"
        answer = await self._ask(what, self._env.reset, seed=self._seed)
        self._steps = 0
        pair = isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict)
        return self._text(answer[0] if pair else answer)

    async def step(self, action: Any) -> Outcome:
        """What an action leads to.

        Raises:
            EnvironmentFailed: it raised, hung, or gave no such tuple.
        """
        self._steps += 1
        what = f"step({action!r:.80}) in turn {self._steps}"
        answer = await self._ask(what, self._env.step, action)
        if not isinstance(answer, tuple) or len(answer) not in (4, 5):
            wanted = "(observation, reward, terminated, truncated, info)"
            self._fail(what, f"gave {answer!r:.100}; it must give {wanted}")
        observation, reward, *ends, _ = answer
        number = _number(reward)
        if number is None:
            self._fail(what, f"gave the reward {reward!r:.60}; it must be a finite number")
        return Outcome(self._text(observation), number, bool(ends[0]), any(map(bool, ends[1:])))

    async def _ask(self, what: str, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        try:
            return await self._calls.run(function, *given, **named)
        except Exception as error:
            self._fail(what, f"raised {type(error).__name__}: {error}", error)

    def _fail(self, what: str, why: str, error: Exception | None = None) -> NoReturn:
        message = f"environment {self._options.env!r} with seed {self._seed}: {what} {why}"
        raise EnvironmentFailed(message) from error

    def _text(self, observation: Any) -> str:
        text = observation if isinstance(observation, str) else _written(observation)
        most = self._options.observation_chars
        return text if len(text) <= most else text[:most] + " [cut]"


@asynccontextmanager
async def opened(options: Options, seed: int) -> AsyncIterator[World]:
    """An environment that is closed whatever happens: at the end, after errors, when cancelled.

    Raises:
        EnvironmentFailed: its factory raised or hung.
    """
    make, held, whole = factory(options.env), list[Any](), False
    calls = Calls(options.step_timeout_s, quick=bool(getattr(make, "quick", False)))

    def build() -> Any:
        held.append(make(**options.env_args))
        return held[-1]

    try:
        held[:] = [await _built(calls, build, options)]
        yield World(held[0], calls, options, seed)
        whole = True
    finally:
        await _close(calls, held, wait=whole)


async def _built(calls: Calls, build: Callable[[], Any], options: Options) -> Any:
    try:
        env = await calls.run(build)
    except Exception as error:
        raise EnvironmentFailed(
            f"environment {options.env!r}: its factory raised {type(error).__name__}: {error}"
        ) from error
    if wrong := no_environment(env):
        raise EnvironmentFailed(f"environment {options.env!r}: {wrong}")
    return env


async def _close(calls: Calls, held: list[Any], *, wait: bool) -> None:
    """Close what was made, at once or when a call that hangs comes back."""

    def shut() -> None:
        for env in held:
            getattr(env, "close", lambda: None)()

    coroutine = any(inspect.iscoroutinefunction(getattr(env, "close", None)) for env in held)
    try:
        if coroutine:
            await calls.run(held[0].close)
        elif wait and not calls.quick:
            await calls.run(shut)
        else:
            calls.finally_run(shut)
    except Exception as error:
        LOG.warning("closing an environment raised %s: %s", type(error).__name__, error)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _written(observation: Any) -> str:
    if hasattr(observation, "tolist"):
        observation = observation.tolist()
    try:
        return json.dumps(observation)
    except (TypeError, ValueError):
        return str(observation)
