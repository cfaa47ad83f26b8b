"""Step 1: which plugins are installed, and which one a name means. Imports none of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from slime_core.plugins import installed
from slime_core.plugins.blocks import Rule, blocker
from slime_core.plugins.installed import Plugin
from slime_core.plugins.names import split


def find() -> tuple[Plugin, ...]:
    """Every installed plugin, sorted by entry name and distribution.

    The order of the file system plays no part. A distribution that a folder earlier on ``sys.path``
    shadows is left out, as an import would.
    """
    return tuple(sorted(_visible(installed.entries()), key=order))


def pick(spelling: str, found: Sequence[Plugin], rules: Sequence[Rule] = ()) -> Plugin:
    """The plugin that ``entry`` or ``dist-name:entry`` means.

    Args:
        spelling: What somebody wrote.
        found: What ``find`` returned.
        rules: Blocks and lists of trust. They settle a name that several distributions claim where
            they leave one of them; a plugin that is alone is returned whatever they say.

    Raises:
        PluginError: nothing has this name, or several distributions claim it.
    """
    distribution, name = split(spelling)
    claims = [
        plugin
        for plugin in found
        if plugin.name == name and distribution in (None, plugin.distribution)
    ]
    if len(claims) > 1:
        claims = [one for one in claims if not blocker(one, rules)] or claims
    if len(claims) != 1:
        from slime_hookspecs.errors import PluginError

        from slime_core.plugins.missing import unknown

        raise PluginError(_claimed(name, claims, rules) if claims else unknown(spelling, found))
    return claims[0]


def _visible(plugins: Iterable[Plugin]) -> Iterable[Plugin]:
    """Those of each distribution's first location on ``sys.path``, which an import would take.

    A folder that stands on the path twice gives each of them twice, and counts once.
    """
    first: dict[str, str] = {}
    for plugin in dict.fromkeys(plugins):
        if first.setdefault(plugin.distribution, plugin.location) == plugin.location:
            yield plugin


def order(plugin: Plugin) -> tuple[str, str, str]:
    """What plugins are sorted by."""
    return plugin.name, plugin.distribution, plugin.version


def _claimed(name: str, claims: Sequence[Plugin], rules: Sequence[Rule]) -> str:
    if len({plugin.distribution for plugin in claims}) == 1:
        versions = " and ".join(plugin.version for plugin in claims)
        one = claims[0]
        return (
            f"plugin {name!r}: {one.distribution} is installed twice in {one.location}, "
            f"as {versions}\n"
            f"  to mend it: pip uninstall {one.distribution} (until none is left), then install it"
        )
    lines = [f"  {_choice(plugin, blocker(plugin, rules))}" for plugin in claims]
    return "\n".join([f"several distributions claim the plugin name {name!r}; pick one", *lines])


def _choice(plugin: Plugin, block: Rule | None) -> str:
    how = f"blocked by {block.display}" if block else f"--plugin {plugin.spelling}"
    return f"{plugin.distribution} {plugin.version}: {how}"
