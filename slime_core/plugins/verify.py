"""Step 4a: whether one plugin keeps to the contract: known hooks, right arguments, right colour.

Each error has three lines: who, the offending definition with its place, and what is wrong.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn, final

import pluggy
from slime_hookspecs import HOOKS, PROJECT, Colour, HookInfo, PluginError, SlimeSpecs

from slime_core.plugins.loading import LoadedPlugin
from slime_core.plugins.names import suggestion

_Impl = Any  # pluggy.HookImpl, whose attributes pluggy does not export as types


@final
@dataclass(frozen=True, slots=True)
class Implementation:
    """One plugin's implementation of one hook, verified.

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
class VerifiedPlugin:
    """A plugin that keeps to the contract.

    Attributes:
        loaded: What was imported.
        hooks: Its implementations by hook name, in the order of the contract.
    """

    loaded: LoadedPlugin
    hooks: dict[str, Implementation]

    @property
    def name(self) -> str:
        """Name of the entry point."""
        return self.loaded.name

    @property
    def display(self) -> str:
        """How every message names the plugin."""
        return self.loaded.display


def verify(loaded: LoadedPlugin) -> VerifiedPlugin:
    """The plugin with its implementations.

    Raises:
        PluginError: the plugin breaks the contract.
    """
    return VerifiedPlugin(loaded, implementations(loaded))


def implementations(loaded: LoadedPlugin) -> dict[str, Implementation]:
    """The plugin's implementations by hook name, in the order of the contract.

    Raises:
        PluginError: the plugin breaks the contract.
    """
    _check_object(loaded)
    manager = pluggy.PluginManager(PROJECT)
    manager.register(loaded.object, loaded.name)
    marked = {caller.name: caller.get_hookimpls() for caller in _callers(manager, loaded)}
    found = {
        name: _verify(loaded, name, impls)
        for name, impls in marked.items()
        if name in HOOKS or not impls[0].optionalhook
    }
    _check_unmarked(loaded, manager)
    _check_with_pluggy(loaded, manager)
    if found and not found.keys() - loaded.hidden:
        _refuse(loaded, None, repr(loaded.object), "each of its hooks is blocked: block it whole")
    if not found:
        _refuse(loaded, None, repr(loaded.object), "it implements no hook: mark one with @hookimpl")
    return {name: found[name] for name in HOOKS if name in found and name not in loaded.hidden}


def _callers(manager: pluggy.PluginManager, loaded: LoadedPlugin) -> list[Any]:
    return manager.get_hookcallers(loaded.object) or []


def _verify(loaded: LoadedPlugin, name: str, impls: list[_Impl]) -> Implementation:
    function = impls[0].function
    definition = describe(function)
    if name not in HOOKS:
        wrong = f"there is no hook {name!r}{suggestion(name, HOOKS)}"
        _refuse(loaded, name, definition, wrong)
    if len(impls) > 1:
        _refuse(loaded, name, describe(impls[1].function), "the plugin implements the hook twice")
    info = HOOKS[name]
    for wrong in (*_wrong_marks(impls[0]), *_wrong_colour(info, function)):
        _refuse(loaded, name, definition, wrong)
    parameters = inspect.signature(function).parameters.values()
    for parameter in parameters:
        if complaint := _wrong_parameter(info, parameter):
            _refuse(loaded, name, definition, complaint)
    positions = tuple(info.parameters.index(parameter.name) for parameter in parameters)
    return Implementation(info, function, positions, inspect.iscoroutinefunction(function))


def _wrong_marks(impl: _Impl) -> Iterator[str]:
    if impl.wrapper or impl.hookwrapper:
        yield "pluggy wrappers are not called: implement slime_wrap_generate or slime_wrap_reward"
    if impl.tryfirst or impl.trylast:
        yield "tryfirst and trylast have no effect: plugins run in the order of --plugin"


def _wrong_colour(info: HookInfo, function: Callable[..., Any]) -> Iterator[str]:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        yield "it is a generator, which would never be iterated: return the value instead"
    is_async = inspect.iscoroutinefunction(function)
    if info.colour is Colour.ASYNC and not is_async:
        yield "the hook is awaited: write `async def`"
    if info.colour is Colour.SYNC and is_async:
        yield "the hook is called without await: write `def`"


_UNFILLED: Final = {
    inspect.Parameter.KEYWORD_ONLY: "is keyword-only, and those are never filled: "
    "take it as a plain parameter",
    inspect.Parameter.VAR_KEYWORD: "collects keywords, and none are ever passed: "
    "name the arguments instead",
    inspect.Parameter.VAR_POSITIONAL: "collects positions, and arguments go by name: "
    "name the arguments instead",
}


def _wrong_parameter(info: HookInfo, parameter: inspect.Parameter) -> str | None:
    if parameter.kind in _UNFILLED:
        return f"parameter {str(parameter).partition(':')[0]!r} {_UNFILLED[parameter.kind]}"
    if parameter.name in info.parameters:
        return None
    offered = ", ".join(info.parameters) or "no arguments"
    near = suggestion(parameter.name, info.parameters)
    return f"the hook has no argument {parameter.name!r}{near} (it offers {offered})"


def _check_object(loaded: LoadedPlugin) -> None:
    target = loaded.object
    if inspect.isclass(target):
        wrong = "the entry point names a class: name an instance of it, or its module"
        _refuse(loaded, None, f"class {target.__name__}{_place(target)}", wrong)
    if inspect.isroutine(target) or target is None or isinstance(target, str | int | float):
        definition = describe(target) if inspect.isroutine(target) else repr(target)
        wrong = "the entry point must name a module or an instance whose functions are hooks"
        _refuse(loaded, None, definition, wrong)


def _check_unmarked(loaded: LoadedPlugin, manager: pluggy.PluginManager) -> None:
    for name in HOOKS:
        function = inspect.getattr_static(loaded.object, name, None)
        if not inspect.isfunction(function) or manager.parse_hookimpl_opts(loaded.object, name):
            continue
        wrong = "it has the name of a hook and no @hookimpl, so it would never be called"
        _refuse(loaded, name, describe(function), wrong)


def _check_with_pluggy(loaded: LoadedPlugin, manager: pluggy.PluginManager) -> None:
    """Pluggy's own validation: what ours lets through must satisfy it too."""
    try:
        manager.add_hookspecs(SlimeSpecs)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        _refuse(loaded, None, repr(loaded.object), str(error).replace("\n", " "))


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


def _refuse(loaded: LoadedPlugin, hook: str | None, definition: str, wrong: str) -> NoReturn:
    who = f"plugin {loaded.display}, hook {hook}" if hook else f"plugin {loaded.display}"
    raise PluginError(f"{who}\n  {definition}\n  {wrong}")
