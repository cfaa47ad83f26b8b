"""The plan: exactly which plugins a run uses, for which hooks, with which options, as JSON.

It lies in the run directory and in every checkpoint. Every process loads from it and answers with
the fingerprint of what it found, so that no two of them can run different code unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, final

from slime_hookspecs import PluginError

#: Hooks whose code decides what a model learns: changed ones are refused on resume.
LEARNING_HOOKS: Final = (
    "slime_reward",
    "slime_group_reward",
    "slime_loss",
    "slime_advantage",
    "slime_token_advantage",
)


@final
@dataclass(frozen=True, slots=True)
class PlannedPlugin:
    """One plugin of a plan.

    Attributes:
        name: Name of its entry point.
        distribution: Canonical name of its distribution.
        version: Version of the distribution.
        value: What the entry point names.
        origin: ``vcs:<commit>``, ``editable`` or ``record:<sha256>``.
        code: sha256 of its source files.
        hooks: The hooks that it serves in this run.
    """

    name: str
    distribution: str
    version: str
    value: str
    origin: str
    code: str
    hooks: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """What ``bind`` decided, in a form that travels.

    Attributes:
        api: Version of the contract.
        plugins: In the order in which chains run.
        roles: Which plugin fills each role.
        weights: Weight of each plugin that gives rewards; 0 reports it and adds nothing.
        options: Each plugin's options as JSON values, secrets left out.
    """

    api: str
    plugins: tuple[PlannedPlugin, ...]
    roles: Mapping[str, str]
    weights: Mapping[str, float]
    options: Mapping[str, Mapping[str, Any]]

    @property
    def options_digest(self) -> str:
        """sha256 of all options."""
        return _sha256(_canonical(self.options))

    @property
    def fingerprint(self) -> str:
        """sha256 of the canonical JSON: equal where, and only where, the same would run."""
        return _sha256(_canonical(self._tree()))

    def to_json(self) -> str:
        """The plan as JSON text, the same for the same plan."""
        return json.dumps(self._tree(), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The inverse of ``to_json``.

        Raises:
            PluginError: the text is no plan, or was changed by hand.
        """
        try:
            tree = json.loads(text)
            digest = tree.pop("options_digest")
            plugins = tuple(
                PlannedPlugin(**{**row, "hooks": tuple(row["hooks"])})
                for row in tree.pop("plugins")
            )
            plan = cls(plugins=plugins, **tree)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise PluginError(f"this is not a plan of slime: {error!r}") from error
        if plan.options_digest != digest:
            raise PluginError("the options in the plan do not fit their digest: it was edited")
        return plan

    def _tree(self) -> dict[str, Any]:
        return {**asdict(self), "options_digest": self.options_digest}


def differences(a: Plan, b: Plan) -> list[str]:
    """Readable lines about everything that differs, ``a`` on the left; empty for equal plans."""
    return [
        *_changed("contract", a.api, b.api),
        *_plugin_differences(a, b),
        *_table_differences("role", a.roles, b.roles),
        *_table_differences("weight of", a.weights, b.weights),
        *_option_differences(a, b),
    ]


def compare(saved: Plan, current: Plan) -> list[str]:
    """Readable lines about changed code of rewards, losses and advantages; empty where none did."""
    lines: list[str] = []
    for hook in LEARNING_HOOKS:
        old, new = _servers(saved, hook), _servers(current, hook)
        for name in sorted(old.keys() | new.keys()):
            if line := _code_change(old.get(name), new.get(name)):
                lines.append(f"{hook.removeprefix('slime_')}: {line}")
    return lines


def _servers(plan: Plan, hook: str) -> dict[str, PlannedPlugin]:
    return {plugin.name: plugin for plugin in plan.plugins if hook in plugin.hooks}


def _code_change(old: PlannedPlugin | None, new: PlannedPlugin | None) -> str | None:
    if new is None:
        return f"{_display(old)} no longer serves it"
    if old is None:
        return f"{_display(new)} did not serve it in the saved run"
    if (old.distribution, old.value, old.code) == (new.distribution, new.value, new.code):
        return None
    before, after = (
        f"{one.distribution} {one.version} (code {one.code[:12]})" for one in (old, new)
    )
    return f"the code of {new.name} changed: {before} -> {after}"


def _display(plugin: PlannedPlugin | None) -> str:
    return f"{plugin.name} ({plugin.distribution} {plugin.version})" if plugin else "no plugin"


def _plugin_differences(a: Plan, b: Plan) -> Iterator[str]:
    left = {plugin.name: plugin for plugin in a.plugins}
    right = {plugin.name: plugin for plugin in b.plugins}
    for name in sorted(left.keys() ^ right.keys()):
        side = "first" if name in left else "second"
        yield f"plugin {name}: only in the {side} plan"
    shared = [name for name in left if name in right]
    for name in shared:
        yield from _fields_differences(left[name], right[name])
    order = [name for name in right if name in left]
    yield from _changed("order of plugins", ", ".join(shared), ", ".join(order))


def _fields_differences(a: PlannedPlugin, b: PlannedPlugin) -> Iterator[str]:
    for field in ("distribution", "version", "value", "origin"):
        yield from _changed(f"plugin {a.name}: {field}", getattr(a, field), getattr(b, field))
    if a.code != b.code:
        yield f"plugin {a.name}: source files differ ({a.code[:12]} != {b.code[:12]})"
    yield from _changed(f"plugin {a.name}: hooks", ", ".join(a.hooks), ", ".join(b.hooks))


def _option_differences(a: Plan, b: Plan) -> Iterator[str]:
    for name in sorted(a.options.keys() | b.options.keys()):
        label = f"option of {name}:"
        yield from _table_differences(label, a.options.get(name, {}), b.options.get(name, {}))


def _table_differences(label: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(a.keys() | b.keys()):
        yield from _changed(f"{label} {key}", a.get(key), b.get(key))


def _changed(what: str, a: Any, b: Any) -> Iterator[str]:
    if a != b:
        yield f"{what}: {a} != {b}"


def _canonical(tree: Any) -> str:
    return json.dumps(tree, sort_keys=True, separators=(",", ":"))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
