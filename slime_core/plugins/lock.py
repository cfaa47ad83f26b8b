"""The lock file: exactly which code a run may load, told without importing any of it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, final

from slime_hookspecs import ConfigError, PluginError

from slime_core.plugins import installed
from slime_core.plugins.code import code_digest
from slime_core.plugins.installed import Plugin

SCHEMA: Final = "slime.plugins.lock/1"
FILE: Final = "slime-plugins.lock"


@final
@dataclass(frozen=True, slots=True)
class LockedPlugin:
    """One plugin that may be loaded.

    Attributes:
        name: Name of its entry point.
        distribution: Canonical name of its distribution.
        version: Version of the distribution.
        value: What the entry point names.
        origin: ``vcs:<commit>``, ``editable`` or ``record:<sha256>``.
        code: sha256 of its source files.
    """

    name: str
    distribution: str
    version: str
    value: str
    origin: str
    code: str


@final
@dataclass(frozen=True, slots=True)
class Lock:
    """What a lock file holds.

    Attributes:
        file: Where it lies, for messages.
        plugins: By distribution and entry name.
    """

    file: str
    plugins: tuple[LockedPlugin, ...]

    @classmethod
    def read(cls, file: Path, asked: Sequence[str] = ()) -> Lock:
        """The lock in a file.

        Args:
            file: Where it lies.
            asked: What the user called the plugins of the run, for the message.

        Raises:
            ConfigError: it cannot be read, or is no lock.
        """
        try:
            tree = json.loads(file.read_text("utf-8"))
            if tree["schema"] != SCHEMA:
                raise ValueError(f"its schema is {tree['schema']!r}, expected {SCHEMA!r}")
            return cls(str(file), tuple(LockedPlugin(**row) for row in tree["plugins"]))
        except OSError as error:
            raise ConfigError(
                f"--locked {file}: cannot be read: {error.strerror}\n"
                f"  to write one: {command(str(file), asked)}"
            ) from None
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"--locked {file}: is no lock of plugins: {error}") from None

    def to_json(self) -> str:
        """The text of the file, the same for the same plugins."""
        rows = sorted((asdict(one) for one in self.plugins), key=lambda row: list(row.values()))
        return json.dumps({"schema": SCHEMA, "plugins": rows}, indent=2) + "\n"


def command(file: str, asked: Sequence[str]) -> str:
    """The command that writes a lock for a run that asks for these plugins."""
    return shlex.join(["slime", "plugins", "lock", *asked, "--output", file])


def observe(plugin: Plugin) -> LockedPlugin:
    """A plugin as it lies on this machine's disk now."""
    return LockedPlugin(
        name=plugin.name,
        distribution=plugin.distribution,
        version=plugin.version,
        value=plugin.value,
        origin=installed.origin(plugin.distribution),
        code=code_digest(plugin),
    )


def refuse_unlocked(plugins: Sequence[Plugin], lock: Lock, asked: Sequence[str] = ()) -> None:
    """Raise ``PluginError`` with each way in which plugins are not what the lock holds.

    Args:
        plugins: Those to look at.
        lock: What the lock holds.
        asked: What the user called the plugins of the run, for the command that writes a new lock.
    """
    lines = [line for plugin in plugins for line in _differences(plugin, lock.plugins)]
    if lines:
        raise PluginError(
            "\n".join(
                [
                    f"--locked {lock.file}: what is installed is not what the lock holds",
                    *(f"  {line}" for line in lines),
                    f"  install what it holds, or accept this: {command(lock.file, asked)}",
                ]
            )
        )


def _differences(plugin: Plugin, locked: Iterable[LockedPlugin]) -> Iterator[str]:
    held = {(one.distribution, one.name): one for one in locked}
    expected = held.get((plugin.distribution, plugin.name))
    if expected is None:
        yield f"plugin {plugin.display}: is not in the lock"
        return
    present = observe(plugin)
    for field in fields(LockedPlugin):
        want, have = (_short(getattr(one, field.name)) for one in (expected, present))
        if getattr(expected, field.name) != getattr(present, field.name):
            yield f"plugin {plugin.display}: {field.name} {have}, the lock holds {want}"


def _short(value: Any) -> str:
    kind, colon, digest = str(value).rpartition(":")
    is_digest = len(digest) > 16 and set(digest) <= set("0123456789abcdef")
    return f"{kind}{colon}{digest[:12]}" if is_digest else str(value)
