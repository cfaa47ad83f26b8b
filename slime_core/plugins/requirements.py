"""Step 2: whether a plugin can run here, told from its metadata. Imports nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from slime_hookspecs import API_VERSION, PluginError

from slime_core.plugins import installed
from slime_core.plugins.installed import Plugin

CONTRACT = "slime-hookspecs"

Claim: TypeAlias = tuple[Plugin, Requirement]
"""A plugin, and one thing that it requires."""


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
    needed = _needed(plugin)
    _check_contract(plugin, needed)
    _check_requirements(plugin, needed)
    return plugin


def conflicts(plugins: Iterable[Plugin]) -> list[tuple[Plugin, str]]:
    """Each plugin whose requirement is not met and cannot be, beside what other plugins require.

    There is one line for each distribution that they differ about, the same for each such plugin.
    Requirements that are met are not held against each other: they exclude nothing that is here.
    """
    wanted: dict[str, list[Claim]] = {}
    for plugin in plugins:
        for one in _readable(plugin):
            wanted.setdefault(_name(one), []).append((plugin, one))
    found = []
    for claims in wanted.values():
        unmet = [claim for claim in claims if _shortfall(claim[1]) is not None]
        losers = [claim for claim in unmet if _excluded(claim, claims)]
        others = [claim for claim in claims if claim not in unmet and _excluded(claim, losers)]
        found += [(plugin, _told(losers, others)) for plugin, _ in losers]
    return list(dict.fromkeys(found))


def _excluded(claim: Claim, others: Iterable[Claim]) -> bool:
    """Whether another plugin's requirement leaves no release that would do for both."""
    plugin, wanted = claim
    return any(plugin != p and not _agree(wanted.specifier, one.specifier) for p, one in others)


def _told(losers: Sequence[Claim], others: Sequence[Claim]) -> str:
    """Who needs what, those whose need is not met first, and what is there."""
    needs: dict[str, list[str]] = {}
    for plugin, one in (*losers, *others):
        needs.setdefault(str(one), []).append(plugin.display)
    parts = [f"{_few(who)} need{'s' * (len(who) == 1)} {what}" for what, who in needs.items()]
    return f"{', '.join(parts)} ({_shortfall(losers[0][1])})"


def _few(names: Sequence[str]) -> str:
    """The names, or the first and how many more there are."""
    return " and ".join(names) if len(names) < 3 else f"{names[0]} and {len(names) - 1} others"


def refuse_conflicts(plugins: Iterable[Plugin]) -> None:
    """Raise ``PluginError`` where two plugins require releases that exclude each other."""
    lines = dict.fromkeys(line for _, line in conflicts(plugins))
    if lines:
        raise PluginError(
            "\n".join(
                [
                    "the requirements of these plugins exclude each other",
                    *(f"  {line}" for line in lines),
                    "  to mend it: leave one of them out, or look for releases that agree: "
                    "pip install --upgrade <distribution>",
                ]
            )
        )


def _readable(plugin: Plugin) -> list[Requirement]:
    """What the plugin requires; nothing where that cannot be read, which ``check`` reports."""
    try:
        return _needed(plugin)
    except PluginError:
        return []


def _needed(plugin: Plugin) -> list[Requirement]:
    """What the plugin requires on this platform, extras left out."""
    requirements = (_parse(plugin, text) for text in plugin.requires)
    return [one for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})]


def _name(requirement: Requirement) -> str:
    return canonicalize_name(requirement.name)


def _shortfall(requirement: Requirement) -> str | None:
    """As ``_unmet``, for the contract as well."""
    if _name(requirement) != CONTRACT:
        return _unmet(requirement)
    release = installed.version(CONTRACT) or API_VERSION
    if serves(requirement.specifier, API_VERSION, release):
        return None
    return f"this host serves {API_VERSION}"


def _agree(one: SpecifierSet, other: SpecifierSet) -> bool:
    """Whether some release could satisfy both, told from those at the edges of what they say."""
    both = one & other
    return any(both.contains(version, prereleases=True) for version in _edges(both))


def _edges(both: SpecifierSet) -> Iterator[str]:
    """A version at, just below and just above each that the specifiers name, and a huge one."""
    yield from ("0", "99999")
    for specifier in both:
        version = specifier.version.removesuffix(".*")
        yield from (version, f"{version}.0.1", f"{version}.99999")
        yield f"{Version(version).base_version}.dev0"


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
            f"for\n  its dependencies must list {contract_range()}; "
            + _release(
                plugin, f"look for a newer release: pip install --upgrade {plugin.distribution}"
            )
        )
    release = installed.version(CONTRACT) or API_VERSION
    for specifier in wanted:
        if not serves(specifier, API_VERSION, release):
            raise PluginError(_contract_message(plugin, specifier, release))


def contract_range() -> str:
    """What a plugin that is written today should require."""
    major, minor = API_VERSION.split(".")
    return f"{CONTRACT}>={API_VERSION},<{major}.{int(minor) + 1}"


def _release(plugin: Plugin, user: str) -> str:
    """Where requirements are mended: in the author's folder, or by a user with another release."""
    home = installed.home(plugin.distribution)
    return user if home is None else f"edit {home.folder}/pyproject.toml, then: {home.install}"


def _contract_message(plugin: Plugin, wanted: SpecifierSet, release: str) -> str:
    newer = any(
        Version(one.version.removesuffix(".*")) > Version(release)
        for one in wanted
        if one.operator in (">=", ">", "==", "~=")
    )
    upgrade = "to mend it: pip install --upgrade"
    host = f"{upgrade} slime-rl slime-hookspecs"
    cure = host if newer else _release(plugin, f"{upgrade} {plugin.distribution}")
    return (
        f"plugin {plugin.display} needs {CONTRACT}{wanted}, this host serves {API_VERSION} "
        f"({CONTRACT} {release})\n  {cure}"
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
