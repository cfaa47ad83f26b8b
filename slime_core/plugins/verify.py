"""Step 4a: whether one plugin keeps to the contract: known hooks, right arguments, right colour.

Each error has three lines: who, the offending definition with its place, and what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn, final

from slime_hookspecs import PluginError
from slime_hookspecs.signatures import Complaint, Implementation, Kind, definitions

from slime_core.plugins.loading import LoadedPlugin

__all__ = ["Implementation", "VerifiedPlugin", "implementations", "verify"]


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
    found = definitions(loaded.object)
    for complaint in found.complaints:
        _refuse(loaded, complaint)
    allowed = {
        name: one for name, one in found.implementations.items() if name not in loaded.hidden
    }
    if not allowed:
        wrong = "each of its hooks is blocked: block it whole"
        _refuse(loaded, Complaint(Kind.OBJECT, "", repr(loaded.object), wrong))
    return allowed


def _refuse(loaded: LoadedPlugin, complaint: Complaint) -> NoReturn:
    hook = f", hook {complaint.hook}" if complaint.hook else ""
    who = f"plugin {loaded.display}{hook}"
    raise PluginError(f"{who}\n  {complaint.definition}\n  {complaint.wrong}")
