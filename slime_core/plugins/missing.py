"""What to say to a name that no plugin has: another one, one that was not declared, or none."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Final

from slime_core.plugins import installed
from slime_core.plugins.installed import ENTRY_POINT_GROUP, Distribution, Plugin
from slime_core.plugins.names import canonical, listed, split, suggestion
from slime_core.plugins.plain import CONTRACT

#: How much a group of entry points must look like ours to be a misspelling of it.
_ALIKE: Final = 0.85


def unknown(spelling: str, found: Sequence[Plugin]) -> str:
    """The message to a spelling that means none of the plugins that were found."""
    distribution, name = split(spelling)
    target = distribution or f"slime-plugin-{canonical(name)}"
    named = [one for one in found if {one.module, one.distribution} & {spelling, target}]
    if named:
        return _another_name(spelling, named)
    if undeclared := _undeclared(distribution, name):
        return _without_entry_point(spelling, name, undeclared)
    known = {plugin.spelling if distribution else plugin.name for plugin in found}
    near = suggestion(spelling, known)
    return (
        f"unknown plugin {spelling!r}: nothing installed has this name{near}\n"
        f"  installed in {sys.prefix}: {listed(known)}\n"
        f"  to install it: pip install {target}"
    )


def _another_name(spelling: str, named: Sequence[Plugin]) -> str:
    lines = [f"  {plugin.display}: --plugin {plugin.name}" for plugin in named]
    one = named[0]
    if spelling in (one.distribution, one.module):
        what = "distribution" if spelling == one.distribution else "module"
        wrong = f"this is the name of a {what}, and a plugin goes by that of its entry point"
    else:
        wrong = f"{one.distribution} {one.version} has no entry point of this name, but"
    return "\n".join([f"unknown plugin {spelling!r}: {wrong}", *lines])


def _undeclared(distribution: str | None, name: str) -> Distribution | None:
    """What is installed and was probably meant, though it declares no plugin."""
    bare = [
        one
        for one in installed.distributions()
        if all(group != ENTRY_POINT_GROUP for group, _, _ in one.points)
    ]
    plain = canonical(name)
    exact = distribution or f"slime-plugin-{plain}"
    likely = [one for one in bare if one.name == exact]
    if not distribution:
        likely += [one for one in bare if name in (entry for _, entry, _ in _misspelt(one))]
        likely += [one for one in bare if f"-{plain}-" in f"-{one.name}-" and _is_meant(one)]
    return next(iter(likely), None)


def _misspelt(one: Distribution) -> Iterator[tuple[str, str, str]]:
    """Entry points in a group whose name looks like ours."""
    from difflib import get_close_matches

    for point in one.points:
        if get_close_matches(point[0], [ENTRY_POINT_GROUP], cutoff=_ALIKE):
            yield point


def _is_meant(one: Distribution) -> bool:
    """Whether a distribution of a like name was written for slime, or by whoever sits here."""
    written = any(canonical(text).startswith(CONTRACT) for text in one.requires)
    return written or installed.home(one.name) is not None


def _without_entry_point(spelling: str, name: str, one: Distribution) -> str:
    misspelt = list(_misspelt(one))
    has = [f"  it has {entry} = {value} in the group {group}" for group, entry, value in misspelt]
    module = one.name.replace("-", "_")
    modules = [module] if module in one.modules else [*one.modules, module]
    value = misspelt[0][2] if misspelt else modules[0]
    entry = misspelt[0][1] if misspelt else canonical(name).removeprefix("slime-plugin-")
    home = installed.home(one.name)
    return "\n".join(
        [
            f"unknown plugin {spelling!r}: {one.name} {one.version} is installed, but has no entry "
            f"point in the group {ENTRY_POINT_GROUP}",
            *has,
            "  its pyproject.toml needs these lines:",
            f'    [project.entry-points."{ENTRY_POINT_GROUP}"]',
            f'    {entry.replace("-", "_")} = "{value}"',
            f"  then install it again: {home.install if home else 'pip install FOLDER'}",
        ]
    )
