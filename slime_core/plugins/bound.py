"""What the loops call: plain functions, resolved once, with no plugin machinery between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

from slime_hookspecs import HOOKS, BatchField, PluginError

from slime_core.plugins.names import suggestion
from slime_core.plugins.verify import Implementation


@final
@dataclass(frozen=True, slots=True, eq=False)
class BoundHook:
    """One plugin's implementation of one hook, ready to be called.

    Attributes:
        plugin: Entry name of the plugin.
        version: Version of its distribution.
        hook: Name of the hook.
        options: The plugin's options, as its own dataclass; ``None`` if it has none.
        is_async: Whether ``function`` is a coroutine function, so that ``call`` is to be awaited.
        weight: Weight of a reward; 1 for everything else.
        function: The function as the plugin wrote it; takes what it names, in its own order.
        call: Takes all arguments of the hook by position, in the order of the contract. Made in
            each process anew, and not picklable.
    """

    plugin: str
    version: str
    hook: str
    options: Any
    is_async: bool
    weight: float
    function: Callable[..., Any]
    call: Callable[..., Any]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """All hooks of a run, ready to be called.

    Attributes:
        hooks: Implementations by hook name, in plan order; hooks that nobody serves are absent.
        batch_fields: What plugins declared, in plan order.
        plugin_options: Options by plugin.
        field_owners: Which plugin declared each batch field.
    """

    hooks: Mapping[str, tuple[BoundHook, ...]]
    batch_fields: tuple[BatchField, ...]
    plugin_options: Mapping[str, Any]
    field_owners: Mapping[str, str] = field(default_factory=dict)

    def one(self, hook: str) -> BoundHook:
        """The implementation of a hook that exactly one plugin serves.

        Raises:
            PluginError: no plugin of the run serves it.
        """
        found = self.maybe(hook)
        if found is None:
            raise PluginError(
                f"no plugin of this run implements {hook}: name one that does with --plugin\n"
                f"  plugins of this run: {', '.join(self.plugin_options) or 'none'}"
            )
        return found

    def maybe(self, hook: str) -> BoundHook | None:
        """The implementation of a hook that at most one plugin serves, or ``None``."""
        return next(iter(self.all(hook)), None)

    def all(self, hook: str) -> tuple[BoundHook, ...]:
        """All implementations of a hook, in plan order."""
        if hook not in HOOKS:
            raise KeyError(f"there is no hook {hook!r}{suggestion(hook, HOOKS)}")
        return self.hooks.get(hook, ())

    def options(self, plugin: str) -> Any:
        """The options of a plugin of this run; ``None`` if it has none."""
        return self.plugin_options[plugin]


def adapt(implementation: Implementation) -> Callable[..., Any]:
    """A callable that takes all of a hook's arguments and passes on those that the function names.

    It is the function itself where that takes all of them in order, and else a function that is
    written for this one, as ``lambda sample, ctx: function(sample)``. Where the function is a
    coroutine function, its coroutine is what comes back.
    """
    function, positions = implementation.function, implementation.positions
    offered = implementation.hook.parameters
    if positions == tuple(range(len(offered))):
        return function
    named = ", ".join(offered[position] for position in positions)
    source = f"lambda {', '.join(offered)}: _function({named})"
    # Unpacking a list of arguments costs five calls. A global is found faster than a closed-over
    # name, and the names in the source are the contract's own.
    code = compile(source, f"<arguments of {implementation.hook.name}>", "eval")
    adapter: Callable[..., Any] = eval(code, {"_function": function})
    return adapter


def note(exc: BaseException, plugin: str, hook: str, what: str) -> None:
    """Add a line to an exception that says whose it is; its type and traceback stay.

    Args:
        exc: The exception on its way up.
        plugin: Who raised it, as messages name it.
        hook: Name of the hook.
        what: What was being worked on, e.g. ``sample 7 of prompt 12``.
    """
    exc.add_note(f"in plugin {plugin}, hook {hook}, {what}")
