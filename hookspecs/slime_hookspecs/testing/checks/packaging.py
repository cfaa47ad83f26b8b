"""Packaging: the distribution installs, imports quickly and cleanly, and says what it needs."""

from __future__ import annotations

import keyword
import re
from typing import Final

from packaging.requirements import Requirement

from slime_hookspecs.contract import API_VERSION
from slime_hookspecs.testing.checks import CheckFailed, NotApplicable, check
from slime_hookspecs.testing.probe import Probe
from slime_hookspecs.testing.subject import IMPORT_TIMEOUT_S, Subject

CONTRACT: Final = "slime-hookspecs"
#: Seconds that an import may take: a run imports each plugin in every one of its processes.
IMPORT_BUDGET_S: Final = 1.0
PROBE_TIMEOUT_S: Final = 3 * IMPORT_TIMEOUT_S


@check("packaging.imports", "packaging", timeout_s=PROBE_TIMEOUT_S)
def imports(subject: Subject) -> None:
    """The module imports in a process of its own: no exception, no exit, no hang, no crash."""
    found = subject.probe
    if isinstance(found, str):
        raise CheckFailed(f"importing {subject.target.value}: the process {found}")
    if found.raised:
        raise CheckFailed(f"importing {subject.target.value}: {found.raised}")


@check("packaging.no_heavy_modules", "packaging", timeout_s=PROBE_TIMEOUT_S)
def no_heavy_modules(subject: Subject) -> None:
    """Importing the plugin imports neither torch nor ray nor any other engine."""
    if heavy := _imported(subject).heavy:
        raise CheckFailed(
            f"importing it imports {', '.join(heavy)}; import them inside the functions that "
            f"need them, or under `if TYPE_CHECKING:`"
        )


@check("packaging.import_budget", "packaging", timeout_s=PROBE_TIMEOUT_S)
def import_budget(subject: Subject) -> None:
    """Importing the plugin takes at most a second, at the second attempt if need be."""
    seconds = _imported(subject).seconds
    if seconds > IMPORT_BUDGET_S:
        again = subject.probe_again()
        seconds = again.seconds if isinstance(again, Probe) else seconds
    if seconds > IMPORT_BUDGET_S:
        raise CheckFailed(
            f"importing it takes {seconds:.1f} s, the budget is {IMPORT_BUDGET_S:g} s; move work "
            f"and slow imports into the functions that need them"
        )


@check("packaging.no_cuda", "packaging", timeout_s=PROBE_TIMEOUT_S)
def no_cuda(subject: Subject) -> None:
    """Importing the plugin leaves CUDA alone: a context would take memory in every process."""
    if signs := _imported(subject).cuda:
        raise CheckFailed(f"after importing it, {' and '.join(signs)}")


@check("packaging.no_threads", "packaging", timeout_s=PROBE_TIMEOUT_S)
def no_threads(subject: Subject) -> None:
    """Importing the plugin starts no thread: processes that fork later would lose it."""
    if threads := _imported(subject).threads:
        raise CheckFailed(f"importing it leaves threads running: {', '.join(threads)}")


@check("packaging.imports_twice", "packaging", timeout_s=PROBE_TIMEOUT_S)
def imports_twice(subject: Subject) -> None:
    """The module can be imported again after it was forgotten: it registers nothing globally."""
    if raised := _imported(subject).raised_again:
        raise CheckFailed(f"the second import in one process raised {raised}")


@check("packaging.requires_contract", "packaging")
def requires_contract(subject: Subject) -> None:
    """The distribution requires a range of contract versions, and this one is in it."""
    read = map(Requirement, subject.target.requires)
    # What an extra asks for is not asked of everybody.
    needed = [one for one in read if one.marker is None or one.marker.evaluate({"extra": ""})]
    ours = [one for one in needed if re.sub(r"[-_.]+", "-", one.name).lower() == CONTRACT]
    example = f'dependencies = ["{CONTRACT}>={API_VERSION},<{_next_minor()}"]'
    if not ours:
        raise CheckFailed(f"it does not require {CONTRACT}; write {example}")
    operators = {one.operator for requirement in ours for one in requirement.specifier}
    if not operators & {">=", ">", "~=", "=="} or not operators & {"<", "<=", "~=", "=="}:
        raise CheckFailed(
            f"{ours[0]} has no lower and upper bound; the contract may change; write {example}"
        )
    if not all(one.specifier.contains(f"{API_VERSION}.0", prereleases=True) for one in ours):
        raise CheckFailed(
            f"{ours[0]} excludes contract {API_VERSION}, which this suite checks; write {example}"
        )


@check("packaging.entry_name", "packaging")
def entry_name(subject: Subject) -> None:
    """The entry name is a lower-case identifier, so that flags and TOML tables can have it."""
    name = subject.target.entry
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower():
        raise CheckFailed(f"the entry point is called {name!r}; use a name like 'my_task'")


@check("packaging.unique_name", "packaging")
def unique_name(subject: Subject) -> None:
    """No other installed distribution declares a plugin of the same name."""
    if rivals := subject.target.rivals:
        raise CheckFailed(f"{', '.join(rivals)} declares {subject.target.entry!r} too; rename it")


def _imported(subject: Subject) -> Probe:
    found = subject.probe
    if isinstance(found, str) or found.raised:
        raise NotApplicable("the plugin does not import")
    return found


def _next_minor() -> str:
    major, minor = API_VERSION.split(".")
    return f"{major}.{int(minor) + 1}"
