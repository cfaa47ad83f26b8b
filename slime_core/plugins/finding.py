"""Step 1: which plugins are installed, and which one a name means. Imports none of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from slime_core.plugins import installed
from slime_core.plugins.installed import Plugin
from slime_core.plugins.names import listed, split, suggestion


def find() -> tuple[Plugin, ...]:
    """Every installed plugin, sorted by entry name and distribution.

    The order of the file system plays no part. A distribution that a folder earlier on ``sys.path``
    shadows is left out, as an import would.
    """
    return tuple(sorted(_visible(installed.entries()), key=order))


def pick(spelling: str, found: Sequence[Plugin]) -> Plugin:
    """The plugin that ``entry`` or ``dist-name:entry`` means.

    Raises:
        PluginError: nothing has this name, or several distributions claim it.
    """
    distribution, name = split(spelling)
    claims = [
        plugin
        for plugin in found
        if plugin.name == name and distribution in (None, plugin.distribution)
    ]
    if len(claims) != 1:
        from slime_hookspecs.errors import PluginError

        raise PluginError(_claimed(name, claims) if claims else _unknown(spelling, found))
    return claims[0]


def _visible(plugins: Iterable[Plugin]) -> Iterable[Plugin]:
    """Those of each distribution's first location on ``sys.path``, which an import would take."""
    first: dict[str, str] = {}
    for plugin in plugins:
        if first.setdefault(plugin.distribution, plugin.location) == plugin.location:
            yield plugin


def order(plugin: Plugin) -> tuple[str, str, str]:
    """What plugins are sorted by."""
    return plugin.name, plugin.distribution, plugin.version


def _unknown(spelling: str, found: Sequence[Plugin]) -> str:
    distribution, name = split(spelling)
    if others := [one for one in found if spelling in (one.module, one.distribution)]:
        return _another_name(spelling, others)
    known = {plugin.spelling if distribution else plugin.name for plugin in found}
    target = distribution or f"slime-plugin-{name.replace('_', '-')}"
    near = suggestion(spelling, known)
    return (
        f"unknown plugin {spelling!r}: nothing installed has this name{near}\n"
        f"  installed in {sys.prefix}: {listed(known)}\n"
        f"  to install it: pip install {target}"
    )


def _another_name(spelling: str, named: Sequence[Plugin]) -> str:
    what = "distribution" if spelling == named[0].distribution else "module"
    lines = [f"  {plugin.display}: --plugin {plugin.name}" for plugin in named]
    first = (
        f"unknown plugin {spelling!r}: this is the name of a {what}, "
        f"and a plugin goes by that of its entry point"
    )
    return "\n".join([first, *lines])


def _claimed(name: str, claims: Sequence[Plugin]) -> str:
    if len({plugin.distribution for plugin in claims}) == 1:
        versions = " and ".join(plugin.version for plugin in claims)
        one = claims[0]
        return (
            f"plugin {name!r}: {one.distribution} is installed twice in {one.location}, "
            f"as {versions}\n"
            f"  to mend it: pip uninstall {one.distribution} (until none is left), then install it"
        )
    lines = [
        f"  {plugin.distribution} {plugin.version}: --plugin {plugin.spelling}" for plugin in claims
    ]
    return "\n".join([f"several distributions claim the plugin name {name!r}; pick one", *lines])
