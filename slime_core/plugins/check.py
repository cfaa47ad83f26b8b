"""Step 2: whether a plugin can run here, told from its metadata. Imports nothing."""

from __future__ import annotations

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from slime_hookspecs import API_VERSION, PluginError

from slime_core.plugins import installed
from slime_core.plugins.installed import Plugin

CONTRACT = "slime-hookspecs"


def check(plugin: Plugin) -> Plugin:
    """The plugin itself, if its contract version and requirements are met here.

    Raises:
        PluginError: something is missing or too old; the message ends with the pip command.
    """
    if not plugin.version:
        raise PluginError(
            f"plugin {plugin.display}: its folder in {plugin.location} has no METADATA, so the "
            f"installation is broken\n  to mend it: pip install --force-reinstall <distribution>"
        )
    requirements = [_parse(plugin, text) for text in plugin.requires]
    needed = [
        one for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})
    ]
    _check_contract(plugin, needed)
    _check_requirements(plugin, needed)
    return plugin


def serves(wanted: SpecifierSet, api: str, release: str) -> bool:
    """Whether a host of contract ``api``, installed as ``release``, serves such a plugin.

    A host serves its own minor version and the one before, from 0.1 on.
    """
    major, minor = (int(part) for part in api.split("."))
    before = [f"{major}.{minor - 1}.999"] if minor > 1 or (major and minor) else []
    return any(wanted.contains(one, prereleases=True) for one in [release, *before])


def _check_contract(plugin: Plugin, needed: list[Requirement]) -> None:
    wanted = [one.specifier for one in needed if canonicalize_name(one.name) == CONTRACT]
    if not wanted:
        raise PluginError(
            f"plugin {plugin.display} does not say which version of the contract it was written "
            f"for\n  its dependencies must list {CONTRACT}>={API_VERSION}; "
            f"look for a newer release: pip install --upgrade {plugin.distribution}"
        )
    release = installed.version(CONTRACT) or API_VERSION
    for specifier in wanted:
        if not serves(specifier, API_VERSION, release):
            raise PluginError(_contract_message(plugin, specifier, release))


def _contract_message(plugin: Plugin, wanted: SpecifierSet, release: str) -> str:
    newer = any(
        Version(one.version.removesuffix(".*")) > Version(release)
        for one in wanted
        if one.operator in (">=", ">", "==", "~=")
    )
    target = "slime-rl slime-hookspecs" if newer else plugin.distribution
    return (
        f"plugin {plugin.display} needs {CONTRACT}{wanted}, this host serves {API_VERSION} "
        f"({CONTRACT} {release})\n  to mend it: pip install --upgrade {target}"
    )


def _check_requirements(plugin: Plugin, needed: list[Requirement]) -> None:
    unmet = [(one, have) for one in needed if (have := _unmet(one)) is not None]
    if not unmet:
        return
    lines = [f"  {one} ({have})" for one, have in unmet]
    command = " ".join(f"'{one.name}{one.specifier}'" for one, _ in unmet)
    raise PluginError(
        "\n".join(
            [
                f"plugin {plugin.display} has requirements that are not met",
                *lines,
                f"  to mend it: pip install {command}",
            ]
        )
    )


def _unmet(requirement: Requirement) -> str | None:
    """What is there instead of what is required, or ``None`` if it is met."""
    if canonicalize_name(requirement.name) == CONTRACT:
        return None
    have = installed.version(requirement.name)
    if have is None:
        return "not installed"
    if requirement.specifier.contains(have, prereleases=True):
        return None
    return f"{have} is installed"


def _parse(plugin: Plugin, text: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise PluginError(
            f"plugin {plugin.display}: cannot read its requirement {text!r}: {error}\n"
            f"  look for a newer release: pip install --upgrade {plugin.distribution}"
        ) from error
