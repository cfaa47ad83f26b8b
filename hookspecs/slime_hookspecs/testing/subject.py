"""A plugin under test, as checks see it: imported when first needed, and called by hook name."""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import importlib
import inspect
import sys
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Final, final

from slime_hookspecs.conformance import Conformance
from slime_hookspecs.context import AnyContext, Context, RunInfo
from slime_hookspecs.contract import HOOKS
from slime_hookspecs.data import DataSource
from slime_hookspecs.errors import PluginError
from slime_hookspecs.places import folder_of, own_folder
from slime_hookspecs.records import Prompt
from slime_hookspecs.testing import samples
from slime_hookspecs.testing.checks import NotApplicable
from slime_hookspecs.testing.child import Child
from slime_hookspecs.testing.probe import Probe, probe
from slime_hookspecs.testing.raised import ChildDied, ChildRaised, mistake, told
from slime_hookspecs.testing.signatures import Definitions, Kind, definitions
from slime_hookspecs.testing.target import Target

#: The check that reports each kind of wrong definition.
CHECK_OF: Final = {
    Kind.OBJECT: "declarations.object",
    Kind.KNOWN: "declarations.known_hooks",
    Kind.MARKED: "declarations.marked",
    Kind.ARGUMENTS: "declarations.arguments",
    Kind.COLOUR: "declarations.colours",
}
#: Seconds that an import may take before it counts as hung.
IMPORT_TIMEOUT_S: Final = 20.0
FRESH_TIMEOUT_S: Final = 15.0
UNOPENED: Final = "the data source does not open, which data_source.opens reports"
_SOURCES: Final = frozenset({".py", ".so", ".pyd"})


@final
class Subject:
    """The plugin under test.

    Args:
        target: What was found in metadata.
    """

    def __init__(self, target: Target) -> None:
        self.target = target

    @property
    def display(self) -> str:
        """How every message names the plugin."""
        return self.target.display

    @property
    def own(self) -> set[Path]:
        """Files and folders of the plugin's own code, as far as it is imported."""
        known = self.__dict__.get("definitions")
        folders = [own_folder(function) for function in known.hooks.values()] if known else []
        return {one for one in (folder_of(self.target.module), *folders) if one}

    def told(self, error: BaseException, limit: int | None = None) -> str:
        """An exception in words, with the line of the plugin's own code: ``raised.told``."""
        return told(error, self.own, limit)

    def mistake(self, error: BaseException) -> str:
        """What tells the mistake behind an exception from others: ``raised.mistake``."""
        return mistake(error, self.own)

    @cached_property
    def probe(self) -> Probe | str:
        """Facts about its import, from a process that did nothing else; or how that one ended."""
        return self.probe_again()

    def probe_again(self) -> Probe | str:
        """The same as ``probe``, measured anew."""
        with Child(self.target) as child:
            try:
                return Probe(**child.call(probe, timeout_s=IMPORT_TIMEOUT_S))
            except (ChildDied, ChildRaised) as error:
                return str(error)

    @cached_property
    def object(self) -> Any:
        """What the entry point names, imported.

        Raises:
            NotApplicable: it does not import, which ``packaging.imports`` reports.
        """
        if isinstance(self.probe, str) or self.probe.raised:
            raise NotApplicable("the plugin does not import")
        found: Any = importlib.import_module(self.target.module)
        for part in filter(None, self.target.attribute.split(".")):
            found = getattr(found, part)
        return found

    @cached_property
    def definitions(self) -> Definitions:
        """Its implementations, and what is wrong with its definitions."""
        return definitions(self.object)

    @property
    def hooks(self) -> dict[str, Callable[..., Any]]:
        """Its implementations that can be called, by hook name."""
        return self.definitions.hooks

    @cached_property
    def broken(self) -> dict[str, str]:
        """Hooks that it means to implement and that nobody can call, and who reports why.

        A function with a name that is nearly a hook's is meant to be that hook.
        """
        wrong = {
            name: f"its {one.hook} cannot be called, which {CHECK_OF[one.kind]} reports"
            for one in self.definitions.complaints
            for name in (one.hook, *difflib.get_close_matches(one.hook, HOOKS, n=1))
        }
        missing = set(HOOKS) - set(self.hooks)
        return {name: why for name, why in wrong.items() if name in missing}

    def must_work(self, hook: str) -> None:
        """Nothing is said of what depends on a hook that is broken.

        Raises:
            NotApplicable: it is ``broken``.
        """
        if hook in self.broken:
            raise NotApplicable(self.broken[hook])

    @cached_property
    def conformance(self) -> Conformance:
        """What the author says of the plugin.

        Raises:
            PluginError: the hook fails, or answers with something else.
        """
        if "slime_conformance" not in self.hooks:
            return Conformance()
        try:
            answer = self.hooks["slime_conformance"]()
        except Exception as error:
            what = self.told(error)
            raise PluginError(f"plugin {self.display}: slime_conformance raised {what}") from error
        if not isinstance(answer, Conformance):
            raise PluginError(
                f"plugin {self.display}: slime_conformance returned {answer!r}; "
                f"it must return a slime_hookspecs.Conformance"
            )
        return answer

    @cached_property
    def options_type(self) -> type | None:
        """The class that ``slime_options`` returns, or ``None``."""
        hook = self.hooks.get("slime_options")
        return None if hook is None else hook()

    @cached_property
    def options(self) -> Any:
        """Its options, with those of ``Conformance.options`` set.

        Raises:
            NotApplicable: they cannot be made, which ``declarations.options`` reports.
        """
        self.must_work("slime_options")
        try:
            kind = self.options_type
            return None if kind is None else kind(**self.conformance.options)
        except Exception as error:
            raise NotApplicable(
                f"its options cannot be made ({self.told(error)}), "
                f"which declarations.options reports"
            ) from error

    @cached_property
    def folder(self) -> Path:
        """A folder of its own, deleted at the end."""
        self._folder = tempfile.TemporaryDirectory(prefix="slime-conformance-")
        return Path(self._folder.name)

    @cached_property
    def run(self) -> RunInfo:
        """The facts of the run that hooks are told about."""
        return samples.run_info(self.folder)

    def context(self, **changes: Any) -> AnyContext:
        """What a rollout or trainer hook is told."""
        return Context(self.run, **{"options": self.options, **changes})

    def bound(self, hook: str) -> Callable[..., Any]:
        """The hook as a function of all the spec's arguments, in the spec's order."""
        function = self.hooks[hook]
        taken = set(inspect.signature(function).parameters)
        places = [i for i, name in enumerate(HOOKS[hook].parameters) if name in taken]
        names = [HOOKS[hook].parameters[i] for i in places]

        def call(*arguments: Any) -> Any:
            return function(**{n: arguments[i] for n, i in zip(names, places, strict=True)})

        return call

    def call(self, hook: str, *arguments: Any) -> Any:
        """Call a hook with all the spec's arguments; one that is async is run to its end."""
        answer = self.bound(hook)(*arguments)
        return asyncio.run(_wait(answer)) if inspect.isawaitable(answer) else answer

    def is_async(self, hook: str) -> bool:
        """Whether the plugin wrote the hook as a coroutine function."""
        return inspect.iscoroutinefunction(self.hooks[hook])

    def data_source(self) -> DataSource:
        """A new data source.

        Raises:
            NotApplicable: it does not open, which ``data_source.opens`` reports.
        """
        try:
            made = self.call("slime_data_source", self.options, self.run)
        except NotApplicable:
            raise
        except Exception as error:
            raise NotApplicable(UNOPENED) from error
        if not isinstance(made, DataSource):
            raise NotApplicable(UNOPENED)
        return made

    @cached_property
    def prompts(self) -> list[Prompt]:
        """A few prompts: the author's, else the data source's, else the suite's.

        Raises:
            NotApplicable: the data source, whose prompts hooks expect, does not open.
        """
        given = [one for one, _ in (*self.conformance.gold, *self.conformance.bad)]
        if given:
            return list({one.id: one for one in given}.values())
        return self._drawn() or [samples.prompt(number) for number in range(4)]

    def _drawn(self) -> list[Prompt]:
        """The data source's first prompts; none where the author asks for none of it."""
        if "data_source.opens" in self.conformance.exempt:
            return []
        self.must_work("slime_data_source")
        if "slime_data_source" not in self.hooks:
            return []
        try:
            return list(self.data_source().take(4))
        except NotApplicable:
            raise
        except Exception as error:  # Many open their files only now.
            raise NotApplicable(UNOPENED) from error

    def fresh(
        self,
        function: Callable[[Subject, Any], Any],
        payload: Any = None,
        *,
        hash_seed: str = "random",
        timeout_s: float = FRESH_TIMEOUT_S,
    ) -> Any:
        """What a module's function ``(subject, payload)`` returns in a new process.

        Raises:
            ChildRaised: the function raised there.
            ChildDied: the process crashed or took too long.
        """
        with Child(self.target, hash_seed=hash_seed) as child:
            return child.call(function, payload, timeout_s=timeout_s)

    @cached_property
    def digest(self) -> str:
        """sha256 over names and contents of the source files that the plugin runs."""
        source = getattr(sys.modules.get(self.target.module), "__file__", None)
        if source is None:
            return "unknown"
        file, total = Path(source), hashlib.sha256()
        within = (
            file.parent.rglob("*") if "." in self.target.module or _is_package(file) else [file]
        )
        for path in sorted(path for path in within if path.suffix in _SOURCES):
            content = path.read_bytes()
            total.update(f"{path.relative_to(file.parent)}\0{len(content)}\0".encode())
            total.update(content)
        return f"sha256:{total.hexdigest()}"


def _is_package(file: Path) -> bool:
    return file.name == "__init__.py"


async def _wait(answer: Any) -> Any:
    return await answer
