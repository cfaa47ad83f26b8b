"""Step 3: import the plugins that were asked for, and nothing else."""

from __future__ import annotations

import importlib
import socket
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from slime_hookspecs import PluginError

from slime_core.plugins import installed
from slime_core.plugins.faults import cuda_message, import_message
from slime_core.plugins.finding import find, pick
from slime_core.plugins.installed import Plugin
from slime_core.plugins.policy import Policy
from slime_core.plugins.requirements import check, refuse_conflicts
from slime_core.plugins.watchdog import import_limit, limit_s


@final
@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """A plugin after loading.

    Attributes:
        plugin: What was found.
        object: The imported module, or the instance that the entry point names.
        hidden: Its hooks that are blocked, as if it did not have them.
        answers: What its registration hooks answered; each is asked once.
    """

    plugin: Plugin
    object: Any
    hidden: frozenset[str] = frozenset()
    answers: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Name of the entry point."""
        return self.plugin.name

    @property
    def display(self) -> str:
        """How every message names the plugin."""
        return self.plugin.display


def load(
    names: Iterable[str],
    found: Sequence[Plugin] | None = None,
    policy: Policy | None = None,
) -> list[LoadedPlugin]:
    """Check and import the named plugins, in this order; a name that is repeated counts once.

    Args:
        names: Spellings: ``entry`` or ``dist-name:entry``.
        found: What ``find`` returned; looked up where it is not given.
        policy: What may be loaded; by default all that the environment does not block.

    Raises:
        PluginError: a plugin is unknown, ambiguous, not allowed, cannot run here, or fails to
            import.
        ConfigError: a block means nothing.
    """
    known = find() if found is None else found
    allowed = Policy.of() if policy is None else policy
    wanted = list(dict.fromkeys(pick(name, known, allowed.blocks) for name in names))
    refuse_namesakes(wanted)
    allowed.check(wanted, known)
    refuse_conflicts(wanted)
    return [import_plugin(check(plugin), allowed.hidden(plugin)) for plugin in wanted]


def load_exactly(distribution: str, name: str) -> LoadedPlugin:
    """Check and import one plugin by its distribution, without looking at any other.

    Raises:
        PluginError: it is not installed on this machine, cannot run here, or fails to import.
    """
    plugin = installed.entry(distribution, name)
    if plugin is None:
        raise PluginError(
            f"the plan needs plugin {name!r} of {distribution}, which is not installed on "
            f"{socket.gethostname()}\n  to install it there: pip install {distribution}"
        )
    return import_plugin(check(plugin))


def refuse_namesakes(plugins: Iterable[Plugin]) -> None:
    """Raise ``PluginError`` where two plugins of one run have the same entry name."""
    seen: dict[str, Plugin] = {}
    for plugin in plugins:
        other = seen.setdefault(plugin.name, plugin)
        if other != plugin:
            raise PluginError(
                f"{other.spelling} and {plugin.spelling} are both called {plugin.name!r}; "
                f"one run can load only one of them"
            )


def import_plugin(plugin: Plugin, hidden: frozenset[str] = frozenset()) -> LoadedPlugin:
    """Import what the entry point names. One that does not return ends the process.

    Raises:
        PluginError: the import raised, tried to exit or initialised CUDA, or the attribute is not
            there.
    """
    seconds, had_cuda = limit_s(), has_cuda()
    try:
        with import_limit(plugin, seconds):
            target: Any = importlib.import_module(plugin.module)
            for part in filter(None, plugin.attribute.split(".")):
                target = getattr(target, part)
    # A plugin's top-level code may raise anything, and sys.exit() in it must not end the host.
    except (Exception, SystemExit) as error:
        raise PluginError(import_message(plugin, error)) from error
    if has_cuda() and not had_cuda:
        raise PluginError(cuda_message(plugin))
    return LoadedPlugin(plugin, target, hidden)


def has_cuda() -> bool:
    """Whether this process has initialised CUDA."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    return bool(cuda is not None and cuda.is_initialized())
