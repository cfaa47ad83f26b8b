"""From the name of an environment to its factory, imported when first needed."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from slime_hookspecs import ConfigError, SlimeError
from slime_hookspecs.spelling import suggestion

from slime_plugin_agent_gym.options import Options

Factory: TypeAlias = Callable[..., Any]

#: Games that come with this package.
GAMES: Final[Mapping[str, str]] = {
    "number_guessing": "slime_plugin_agent_gym.games.number_guessing:NumberGuessing",
    "tic_tac_toe": "slime_plugin_agent_gym.games.tic_tac_toe:TicTacToe",
}
ARENA: Final = "textarena:"


def factory(name: str) -> Factory:
    """What makes the environment of a name.

    Raises:
        ConfigError: there is no such game, module or factory.
    """
    if not name:
        known = ", ".join(GAMES)
        raise ConfigError(
            f"agent_gym has no environment; name one with --agent-gym.env: {known}, "
            f"textarena:GAME, or module:factory of your own"
        )
    if name.startswith(ARENA):
        return _arena(name.removeprefix(ARENA))
    path = GAMES.get(name, name)
    module, colon, attribute = path.partition(":")
    if not (colon and module and attribute):
        raise ConfigError(
            f"agent_gym.env is {name!r}{suggestion(name, GAMES)}; "
            f"an environment of your own is module:factory"
        )
    return _attribute(_module(module, name), attribute, name)


def check(options: Options) -> None:
    """Make the environment once, and close it: what is wrong with it is found before a run starts.

    Raises:
        ConfigError: it cannot be made with these arguments, or is none.
    """
    make = factory(options.env)
    try:
        env = make(**options.env_args)
    except SlimeError:
        raise
    except Exception as error:
        raise ConfigError(
            f"agent_gym.env is {options.env!r}, and with env_args {options.env_args} it raised "
            f"{type(error).__name__}: {error}"
        ) from error
    if inspect.isawaitable(env):
        return  # A coroutine factory makes it in the run.
    if wrong := no_environment(env):
        raise ConfigError(f"agent_gym.env is {options.env!r}: {wrong}")
    close = getattr(env, "close", None)
    if close is not None and not inspect.iscoroutinefunction(close):
        close()


def no_environment(env: Any) -> str:
    """What an object lacks to be an environment, or nothing."""
    lacking = [name for name in ("reset", "step") if not callable(getattr(env, name, None))]
    return f"the factory made {env!r:.100}, without {lacking[0]}()" if lacking else ""


def _module(module: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except Exception as error:
        raise ConfigError(
            f"agent_gym.env is {name!r}, and importing {module!r} raised "
            f"{type(error).__name__}: {error}"
        ) from error


def _attribute(module: Any, attribute: str, name: str) -> Factory:
    found = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = suggestion(part, [one for one in dir(found) if not one.startswith("_")])
            raise ConfigError(f"agent_gym.env is {name!r}, and there is no {part!r}{near}")
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(f"agent_gym.env is {name!r}, which is no factory but {found!r:.100}")
    made: Factory = found
    return made


def _arena(game: str) -> Factory:
    from slime_plugin_agent_gym.arena import Arena, games

    known = games()
    if game not in known:
        raise ConfigError(f"textarena has no game {game!r}{suggestion(game, known)}")

    def make(**arguments: Any) -> Arena:
        return Arena(game, **arguments)

    return make
