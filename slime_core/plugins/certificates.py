"""What a certificate of the conformance suite says about a plugin as it is installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, final

from slime_hookspecs import ConfigError

from slime_core.plugins import installed
from slime_core.plugins.installed import Plugin

FILE: Final = "slime-conformance.json"
"""A certificate that a distribution ships in its ``.dist-info`` folder."""


@final
@dataclass(frozen=True, slots=True)
class Standing:
    """What a certificate says.

    Attributes:
        state: ``passed``, ``failed``, or ``outdated``: it speaks of another version.
        summary: The certificate's own line.
        suite_version: Version of the suite.
        source: Where the certificate lies.
    """

    state: Literal["passed", "failed", "outdated"]
    summary: str
    suite_version: str
    source: str

    @property
    def values(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def shipped(plugin: Plugin) -> Standing | None:
    """What the certificate says that the distribution brings; ``None`` without a sound one."""
    text = installed.text(plugin.distribution, FILE)
    try:
        return _standing(plugin, json.loads(text), FILE) if text else None
    except (ValueError, KeyError, TypeError):
        return None


def read(file: Path, plugins: Mapping[str, Plugin]) -> tuple[str, Standing]:
    """The plugin that a certificate file speaks of, and what it says.

    Raises:
        ConfigError: the file is no certificate, or speaks of a plugin that is not looked at.
    """
    try:
        tree = json.loads(file.read_text("utf-8"))
        plugin = plugins.get(tree["plugin"])
        if plugin is None or plugin.distribution != tree["distribution"]:
            raise ConfigError(
                f"--certificate {file}: it speaks of {tree['distribution']}:{tree['plugin']}, "
                f"which is not looked at"
            )
        return plugin.name, _standing(plugin, tree, str(file))
    except OSError as error:
        raise ConfigError(f"--certificate {file}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"--certificate {file}: is no certificate: {error!r}") from None


def _standing(plugin: Plugin, tree: Mapping[str, Any], source: str) -> Standing:
    passed: Literal["passed", "failed"] = "passed" if tree["ok"] is True else "failed"
    state = passed if tree["version"] == plugin.version else "outdated"
    return Standing(state, str(tree["summary"]), str(tree["suite_version"]), source)
