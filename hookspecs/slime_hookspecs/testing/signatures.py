"""Which hooks a plugin implements, and what is wrong with its definitions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, final

import pluggy

from slime_hookspecs.contract import HOOKS, PROJECT, Colour, HookInfo
from slime_hookspecs.testing.checks import nearest

Kind: TypeAlias = Literal["known", "marked", "arguments", "colour"]

PREFIX: Final = "slime_"

_UNFILLED: Final = {
    inspect.Parameter.KEYWORD_ONLY: "is keyword-only, and those are never filled",
    inspect.Parameter.VAR_KEYWORD: "collects keywords, and none are ever passed",
    inspect.Parameter.VAR_POSITIONAL: "collects positions, and arguments go by name",
}


@final
@dataclass(frozen=True, slots=True)
class Complaint:
    """Something wrong with a definition.

    Attributes:
        kind: Which promise it breaks.
        message: The definition, and what is wrong with it.
    """

    kind: Kind
    message: str


@final
@dataclass(frozen=True, slots=True)
class Definitions:
    """What a plugin defines.

    Attributes:
        hooks: Its implementations that can be called, by hook name.
        complaints: What is wrong with the others.
    """

    hooks: dict[str, Callable[..., Any]]
    complaints: tuple[Complaint, ...]


def definitions(target: object) -> Definitions:
    """The implementations of a plugin object, which is a module or an instance."""
    manager = pluggy.PluginManager(PROJECT)
    hooks: dict[str, Callable[..., Any]] = {}
    complaints: list[Complaint] = []
    for name in dir(target):
        if inspect.ismodule(function := getattr(target, name, None)) or not callable(function):
            continue
        options: Any = manager.parse_hookimpl_opts(target, name)
        wrong = list(_wrong(name, function, options))
        complaints += wrong
        if options is not None and not wrong and name in HOOKS:
            hooks[name] = function
    return Definitions({name: hooks[name] for name in HOOKS if name in hooks}, tuple(complaints))


def _wrong(name: str, function: Callable[..., Any], options: Any) -> Iterator[Complaint]:
    if options is None:
        if name in HOOKS and inspect.isroutine(function):
            yield Complaint("marked", f"{describe(function)}: mark it with @hookimpl")
        return
    if name not in HOOKS:
        if not options["optionalhook"]:
            hint = nearest(name, HOOKS)
            yield Complaint("known", f"{describe(function)}: there is no hook {name!r}{hint}")
        return
    if options["wrapper"] or options["hookwrapper"]:
        what = "pluggy wrappers are not called: implement slime_wrap_generate or slime_wrap_reward"
        yield Complaint("marked", f"{describe(function)}: {what}")
    for kind, what in (*_wrong_colour(HOOKS[name], function), *_wrong_arguments(name, function)):
        yield Complaint(kind, f"{describe(function)}: {what}")


def _wrong_colour(info: HookInfo, function: Callable[..., Any]) -> Iterator[tuple[Kind, str]]:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        yield "colour", "it is a generator, which would never be iterated: return the value"
        return
    is_async = inspect.iscoroutinefunction(function)
    if info.colour is Colour.ASYNC and not is_async:
        yield "colour", "the hook is awaited: write `async def`"
    if info.colour is Colour.SYNC and is_async:
        yield "colour", "the hook is called without await: write `def`"


def _wrong_arguments(name: str, function: Callable[..., Any]) -> Iterator[tuple[Kind, str]]:
    offered = HOOKS[name].parameters
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in _UNFILLED:
            yield "arguments", f"{parameter.name!r} {_UNFILLED[parameter.kind]}"
        elif parameter.name not in offered:
            listed = ", ".join(offered) or "no arguments"
            hint = nearest(parameter.name, offered)
            yield (
                "arguments",
                f"the hook has no argument {parameter.name!r}{hint} (it offers {listed})",
            )


def describe(function: Callable[..., Any]) -> str:
    """A definition on one line with its place: ``async def name(arguments) at file:line``."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    place = f" at {code.co_filename}:{code.co_firstlineno}" if code else ""
    colour = "async def" if inspect.iscoroutinefunction(function) else "def"
    # Postponed annotations come as strings; their quotes are not in the source.
    signature = str(inspect.signature(function)).replace("'", "")
    return f"{colour} {function.__name__}{signature}{place}"
