"""What must not be loaded: a distribution, a plugin, or a single hook of it, and who said so."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, final

from slime_core.plugins.names import ambient, canonical, suggestion
from slime_core.plugins.trust import Trust

if TYPE_CHECKING:
    from slime_core.plugins.installed import Plugin

VARIABLE: Final = "SLIME_PLUGINS_BLOCK"
"""Environment variable with blocks, separated by commas or spaces."""

KEPT: Final = "slime_options"
"""The one hook that cannot be blocked: without it nobody could read the plugin's options."""


@final
@dataclass(frozen=True, slots=True)
class Block:
    """One block, as somebody wrote it.

    Attributes:
        text: ``NAME`` (a plugin or a distribution), ``dist-name:entry``, or either with ``.hook``.
        source: Who said so, as messages name it.
    """

    text: str
    source: str

    @property
    def display(self) -> str:
        """How every message names the block."""
        return f"{self.source} {self.text}"

    @property
    def hook(self) -> str:
        """Full name of the hook that is blocked; empty where the whole plugin is."""
        tail = self.text.rpartition(".")[2] if "." in self.text else ""
        return f"slime_{tail.removeprefix('slime_')}" if tail else ""

    def covers(self, plugin: Plugin) -> bool:
        """Whether the block speaks of this plugin, or of a hook of it."""
        target = self.text.rpartition(".")[0] or self.text
        distribution, colon, name = target.rpartition(":")
        if colon:
            return (canonical(distribution), name) == (plugin.distribution, plugin.name)
        return name == plugin.name or canonical(name) == plugin.distribution


Rule: TypeAlias = Block | Trust
"""What may forbid a plugin."""


def read(texts: Iterable[str], source: str, environ: Mapping[str, str] = os.environ) -> list[Block]:
    """The blocks of a configuration, then those of the environment."""
    return [
        *(Block(text, source) for text in texts),
        *(Block(text, VARIABLE) for text in ambient(VARIABLE, environ)),
    ]


def blocker(plugin: Plugin, blocks: Iterable[Rule]) -> Rule | None:
    """What forbids the whole plugin, or ``None``."""
    return next((one for one in blocks if not one.hook and one.covers(plugin)), None)


def blocked_hooks(plugin: Plugin, blocks: Iterable[Rule]) -> dict[str, Rule]:
    """The blocks of single hooks of a plugin, by hook."""
    return {one.hook: one for one in blocks if one.hook and one.covers(plugin)}


def refuse_wrong(blocks: Iterable[Rule], found: Iterable[Plugin]) -> None:
    """Raise ``ConfigError`` for a block that could never work, or that means nothing here.

    One in the environment may speak of what is not installed: it serves many machines.
    """
    plugins = tuple(found)
    for block in (one for one in blocks if isinstance(one, Block)):
        if wrong := _wrong_hook(block) or _wrong_target(block, plugins):
            from slime_hookspecs.errors import ConfigError

            raise ConfigError(f"{block.display}: {wrong}")


def _wrong_hook(block: Block) -> str:
    from slime_hookspecs import HOOKS

    if not block.hook:
        return ""
    if block.hook not in HOOKS:
        near = suggestion(block.hook, HOOKS)
        return f"there is no hook {block.hook!r}{near}; write NAME, DIST-NAME:ENTRY or NAME.HOOK"
    if block.hook == KEPT:
        return f"{KEPT} cannot be blocked, it is how options are read; block the whole plugin"
    return ""


def _wrong_target(block: Block, plugins: tuple[Plugin, ...]) -> str:
    if block.source == VARIABLE or any(block.covers(plugin) for plugin in plugins):
        return ""
    target = block.text.rpartition(".")[0] or block.text
    known = {name for one in plugins for name in (one.name, one.distribution, one.spelling)}
    return f"nothing installed is called {target!r}{suggestion(target, known)}"
