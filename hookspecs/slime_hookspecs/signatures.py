"""Which hooks a plugin implements, and what is wrong with its definitions.

The host refuses a plugin by this, and the conformance suite reports it: both see the same.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

import pluggy

from slime_hookspecs.contract import HOOKS, PROJECT, Colour, HookInfo
from slime_hookspecs.specs import SlimeSpecs
from slime_hookspecs.spelling import suggestion


class Kind(enum.Enum):
    """Which promise a definition breaks."""

    OBJECT = "object"  #: the entry point names a module or an instance with hooks
    KNOWN = "known"  #: what is marked has the name of a hook
    MARKED = "marked"  #: what has the name of a hook is marked, once, as a plain implementation
    ARGUMENTS = "arguments"  #: it takes what its hook offers, by plain name
    COLOUR = "colour"  #: it is a coroutine function where it is awaited, and only there


_Wrong: TypeAlias = Iterator[tuple[Kind, str]]


@final
@dataclass(frozen=True, slots=True)
class Implementation:
    """One plugin's implementation of one hook, in order.

    Attributes:
        hook: The hook's promises.
        function: The function as the plugin wrote it.
        positions: For each of its parameters, the position among the spec's arguments.
        is_async: Whether it is a coroutine function.
    """

    hook: HookInfo
    function: Callable[..., Any]
    positions: tuple[int, ...]
    is_async: bool


@final
@dataclass(frozen=True, slots=True)
class Complaint:
    """Something wrong with a definition.

    Attributes:
        kind: Which promise it breaks.
        hook: The hook that it is about; empty where it is about the plugin as a whole.
        definition: The offending definition, with its place.
        wrong: What is wrong with it, and what would be right.
    """

    kind: Kind
    hook: str
    definition: str
    wrong: str

    @property
    def message(self) -> str:
        """Definition and complaint in one."""
        return f"{self.definition}: {self.wrong}"


@final
@dataclass(frozen=True, slots=True)
class Definitions:
    """What a plugin defines.

    Attributes:
        implementations: Those that can be called, by hook, in the order of the contract.
        complaints: What is wrong with the others, in the order of their names.
    """

    implementations: dict[str, Implementation]
    complaints: tuple[Complaint, ...]

    @property
    def hooks(self) -> dict[str, Callable[..., Any]]:
        """The functions alone, by hook."""
        return {name: one.function for name, one in self.implementations.items()}


def definitions(target: object) -> Definitions:
    """The implementations of a plugin object, which is a module or an instance."""
    if wrong := _wrong_object(target):
        return Definitions({}, (wrong,))
    manager = pluggy.PluginManager(PROJECT)
    found: dict[str, Implementation] = {}
    complaints: list[Complaint] = []
    for attribute, function in _routines(target):
        options: Any = manager.parse_hookimpl_opts(target, attribute)
        name = (options or {}).get("specname") or attribute
        wrongs = list(_wrong(name, function, options))
        if name in found and options is not None:
            wrongs.append((Kind.MARKED, "the plugin implements the hook twice"))
        complaints += [Complaint(kind, name, describe(function), what) for kind, what in wrongs]
        if options is not None and name in HOOKS and not wrongs:
            found[name] = _implementation(HOOKS[name], function)
    if not complaints:
        complaints += _wrong_as_a_whole(target, manager, found)
    return Definitions({name: found[name] for name in HOOKS if name in found}, tuple(complaints))


def _routines(target: object) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every function of the plugin by name. Properties are not read: that may do anything."""
    for name in dir(target):
        if not isinstance(inspect.getattr_static(target, name, None), property):
            found = getattr(target, name, None)
            if inspect.isroutine(found):
                yield name, found


def _implementation(info: HookInfo, function: Callable[..., Any]) -> Implementation:
    parameters = inspect.signature(function).parameters
    positions = tuple(info.parameters.index(name) for name in parameters)
    return Implementation(info, function, positions, inspect.iscoroutinefunction(function))


def _wrong_object(target: object) -> Complaint | None:
    if inspect.isclass(target):
        definition = f"class {target.__name__}{_place(target)}"
        wrong = "the entry point names a class: name an instance of it, or its module"
        return Complaint(Kind.OBJECT, "", definition, wrong)
    if inspect.isroutine(target) or target is None or isinstance(target, str | int | float):
        definition = describe(target) if inspect.isroutine(target) else repr(target)
        wrong = "the entry point must name a module or an instance whose functions are hooks"
        return Complaint(Kind.OBJECT, "", definition, wrong)
    return None


def _wrong_as_a_whole(
    target: object, manager: pluggy.PluginManager, found: dict[str, Implementation]
) -> Iterator[Complaint]:
    if not found:
        wrong = "it implements no hook: mark one with @hookimpl"
        yield Complaint(Kind.OBJECT, "", repr(target), wrong)
        return
    try:  # What ours lets through must satisfy pluggy's own validation too.
        manager.register(target)
        manager.add_hookspecs(SlimeSpecs)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        yield Complaint(Kind.KNOWN, "", repr(target), str(error).replace("\n", " "))


def _wrong(name: str, function: Callable[..., Any], options: Any) -> _Wrong:
    if options is None:
        if name in HOOKS:
            what = "it has the name of a hook and no @hookimpl, so it would never be called"
            yield Kind.MARKED, what
    elif name in HOOKS:
        yield from _wrong_marks(options)
        yield from _wrong_colour(HOOKS[name], function)
        yield from _wrong_arguments(HOOKS[name], function)
    elif not options["optionalhook"]:
        yield Kind.KNOWN, f"there is no hook {name!r}{suggestion(name, HOOKS)}"


def _wrong_marks(options: Any) -> _Wrong:
    if options["wrapper"] or options["hookwrapper"]:
        what = "pluggy wrappers are not called: implement slime_wrap_generate or slime_wrap_reward"
        yield Kind.MARKED, what
    if options["tryfirst"] or options["trylast"]:
        yield (
            Kind.MARKED,
            "tryfirst and trylast have no effect: plugins run in the order of --plugin",
        )


def _wrong_colour(info: HookInfo, function: Callable[..., Any]) -> _Wrong:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        what = "it is a generator, which would never be iterated: return the value instead"
        yield Kind.COLOUR, what
        return
    is_async = inspect.iscoroutinefunction(function)
    if info.colour is Colour.ASYNC and not is_async:
        yield Kind.COLOUR, "the hook is awaited: write `async def`"
    if info.colour is Colour.SYNC and is_async:
        yield Kind.COLOUR, "the hook is called without await: write `def`"


_UNFILLED: Final = {
    inspect.Parameter.KEYWORD_ONLY: "is keyword-only, and those are never filled: "
    "take it as a plain parameter",
    inspect.Parameter.VAR_KEYWORD: "collects keywords, and none are ever passed: "
    "name the arguments instead",
    inspect.Parameter.VAR_POSITIONAL: "collects positions, and arguments go by name: "
    "name the arguments instead",
}


def _wrong_arguments(info: HookInfo, function: Callable[..., Any]) -> _Wrong:
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in _UNFILLED:
            shown = str(parameter).partition(":")[0]
            yield Kind.ARGUMENTS, f"parameter {shown!r} {_UNFILLED[parameter.kind]}"
        elif parameter.name not in info.parameters:
            offered = ", ".join(info.parameters) or "no arguments"
            near = suggestion(parameter.name, info.parameters)
            what = f"the hook has no argument {parameter.name!r}{near} (it offers {offered})"
            is_setting = parameter.default is not parameter.empty and not near
            cure = "; a setting of the plugin's own is a field of its options" if is_setting else ""
            yield Kind.ARGUMENTS, what + cure


def describe(function: Callable[..., Any]) -> str:
    """A definition on one line with its place: ``async def name(arguments)  at file:line``."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    place = f"  at {code.co_filename}:{code.co_firstlineno}" if code else ""
    colour = "async def" if inspect.iscoroutinefunction(function) else "def"
    # Postponed annotations come as strings; their quotes are not in the source.
    signature = str(inspect.signature(function)).replace("'", "")
    return f"{colour} {function.__name__}{signature}{place}"


def _place(target: type) -> str:
    try:
        return f"  at {inspect.getfile(target)}:{inspect.getsourcelines(target)[1]}"
    except (OSError, TypeError):
        return ""
