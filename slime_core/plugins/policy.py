"""What a run allows to be loaded: what is trusted and not blocked; with a lock, what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from slime_hookspecs import PluginError

from slime_core.plugins import trust
from slime_core.plugins.blocks import Rule, blocked_hooks, blocker, read, refuse_wrong
from slime_core.plugins.installed import Plugin
from slime_core.plugins.lock import Lock, refuse_unlocked

if TYPE_CHECKING:
    from pathlib import Path


@final
@dataclass(frozen=True, slots=True)
class Policy:
    """What may be loaded.

    Attributes:
        blocks: What must not be, and lists of what alone may.
        lock: The only code that may be, or ``None`` for any.
        asked: What the user called the plugins of the run, for messages.
    """

    blocks: tuple[Rule, ...] = ()
    lock: Lock | None = None
    asked: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        block: Sequence[str] = (),
        locked: Path | None = None,
        trusted: Sequence[str] = (),
        asked: Sequence[str] = (),
    ) -> Policy:
        """What a configuration and the environment say.

        Raises:
            ConfigError: the lock cannot be read.
        """
        rules: tuple[Rule, ...] = (*read(block, "--block"), *trust.read(trusted, "--trust"))
        return cls(rules, Lock.read(locked, asked) if locked else None, tuple(asked))

    def check(self, plugins: Sequence[Plugin], found: Sequence[Plugin]) -> None:
        """Refuse plugins that were asked for and are not allowed. Imports none of them.

        Raises:
            PluginError: one is blocked, or is not what the lock holds.
            ConfigError: a block means nothing.
        """
        refuse_wrong(self.blocks, found)
        for plugin in plugins:
            if block := blocker(plugin, self.blocks):
                raise PluginError(
                    f"plugin {plugin.display} was asked for and is blocked by {block.display}\n"
                    f"  take back the one or the other"
                )
        if self.lock is not None:
            refuse_unlocked(plugins, self.lock, self.asked)

    def hidden(self, plugin: Plugin) -> frozenset[str]:
        """Hooks of a plugin that are blocked."""
        return frozenset(blocked_hooks(plugin, self.blocks))
