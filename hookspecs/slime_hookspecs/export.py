"""Writes the whole contract as JSON, from the code itself, for tools and for reviewers of changes.

``python -m slime_hookspecs.export`` prints it; ``hookspecs/contract.json`` is what it printed last.
With ``--facade`` it prints ``slime_hookspecs/facade.py`` instead.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cached_property
from importlib import import_module
from importlib.resources import files
from typing import Any, Final

import slime_hookspecs
from slime_hookspecs import datasets
from slime_hookspecs.conformance import CAPABILITIES
from slime_hookspecs.contract import API_VERSION, ENTRY_POINT_GROUP, HOOKS, PROJECT, HookInfo
from slime_hookspecs.errors import SlimeError
from slime_hookspecs.specs import SlimeSpecs

SCHEMA: Final = "slime.contract/1"

#: What a plugin may import besides ``slime_hookspecs`` itself, by module.
HELPERS: Final = {
    "slime_hookspecs.datasets": datasets.__all__,
    "slime_hookspecs.options": ["check_ranges"],
    "slime_hookspecs.spelling": ["suggestion"],
}

JSON = dict[str, Any]


def contract() -> JSON:
    """The contract as JSON values: hooks in their order, all else by name.

    ``records`` are dataclasses with their fields; ``interfaces`` are protocols and ``Trace``, with
    their public members. ``helpers`` are what other modules offer. Types are as in the source.
    """
    return {
        "schema": SCHEMA,
        "api_version": API_VERSION,
        "project": PROJECT,
        "entry_point_group": ENTRY_POINT_GROUP,
        "hooks": {name: _hook(info) for name, info in HOOKS.items()},
        "records": dict(_classes(dataclasses.is_dataclass, _record)),
        "interfaces": dict(_classes(_is_interface, _members)),
        "aliases": dict(_aliases()),
        "enums": dict(_classes(_is_enum, lambda kind: {e.name: e.value for e in kind})),
        "errors": dict(_classes(_is_error, _error)),
        "capabilities": dict(CAPABILITIES),
        "helpers": {module: dict(_helpers(module, names)) for module, names in HELPERS.items()},
    }


def to_text() -> str:
    """The contract as the text of ``contract.json``."""
    return json.dumps(contract(), indent=2, ensure_ascii=False) + "\n"


def digest(text: str) -> str:
    """SHA-256 of a contract's text; ``CHANGELOG.md`` records that of each version."""
    return hashlib.sha256(text.encode()).hexdigest()


def _hook(info: HookInfo) -> JSON:
    signature = inspect.signature(getattr(SlimeSpecs, info.name))
    arguments = {name: _written(signature.parameters[name].annotation) for name in info.parameters}
    return {
        "role": info.role,
        "arguments": arguments,
        "returns": _written(signature.return_annotation),
        "cardinality": info.cardinality.value,
        "colour": info.colour.value,
        "process": info.process.value,
        "on_failure": info.on_failure.value,
        "since": info.since,
    }


def _classes(
    wanted: Callable[[type], bool], describe: Callable[[Any], JSON]
) -> Iterator[tuple[str, JSON]]:
    for name in slime_hookspecs.__all__:
        value = getattr(slime_hookspecs, name)
        if inspect.isclass(value) and wanted(value):
            yield name, describe(value)


def _helpers(module: str, names: Iterable[str]) -> Iterator[tuple[str, Any]]:
    for name in names:
        value = getattr(import_module(module), name)
        if dataclasses.is_dataclass(value):
            yield name, _record(value)
        elif inspect.isclass(value):
            yield name, {"__init__": _member(value.__init__), **_members(value)}
        else:
            yield name, _member(value) if callable(value) else repr(value)


def _is_interface(kind: type) -> bool:
    other = dataclasses.is_dataclass(kind) or _is_enum(kind) or _is_error(kind)
    return not other and kind is not SlimeSpecs


def _is_enum(kind: type) -> bool:
    return issubclass(kind, enum.Enum)


def _is_error(kind: type) -> bool:
    return issubclass(kind, SlimeError)


def _error(kind: type[SlimeError]) -> JSON:
    parent = kind.__base__
    return {"parent": parent.__name__ if parent else "", "exit_status": kind.exit_status}


def _record(kind: Any) -> JSON:
    fields = {field.name: _field(field) for field in dataclasses.fields(kind)}
    return {
        "frozen": kind.__dataclass_params__.frozen,
        "fields": fields,
        "members": _members(kind, skipped=fields),
    }


def _field(field: dataclasses.Field[Any]) -> JSON:
    described = {"type": _written(field.type)}
    if field.default is not dataclasses.MISSING:
        described["default"] = _value(field.default)
    elif field.default_factory is not dataclasses.MISSING:
        made_by = getattr(field.default_factory, "__name__", "")
        described["default"] = f"{made_by}()" if made_by.isidentifier() else "made anew"
    return described


def _value(default: Any) -> str:
    return str(default) if isinstance(default, enum.Enum) else repr(default)


def _members(kind: type, skipped: Collection[str] = ()) -> JSON:
    return {
        name: _member(value)
        for name, value in vars(kind).items()
        if not name.startswith("_") and name not in skipped
    }


def _member(value: Any) -> str:
    if isinstance(value, property | cached_property):
        getter: Any = value.fget if isinstance(value, property) else value.func
        return f"property -> {_written(inspect.signature(getter).return_annotation)}"
    kind = "classmethod " if isinstance(value, classmethod) else ""
    function = inspect.unwrap(value.__func__ if kind else value)
    colour = "async def" if inspect.iscoroutinefunction(function) else "def"
    return f"{kind}{colour} {_signature(inspect.signature(function))}"


def _signature(signature: inspect.Signature) -> str:
    parts, keyword_only = [], False
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            parts.append("*")
            keyword_only = True
        annotated = parameter.annotation is not parameter.empty
        name = f"**{name}" if parameter.kind is parameter.VAR_KEYWORD else name
        text = f"{name}: {_written(parameter.annotation)}" if annotated else name
        default = parameter.default
        shown = default.__name__ if inspect.isfunction(default) else repr(default)
        parts.append(f"{text} = {shown}" if default is not parameter.empty else text)
    return f"({', '.join(parts)}) -> {_written(signature.return_annotation)}"


def _aliases() -> Iterator[tuple[str, str]]:
    """Type aliases as they are written in the modules of the contract."""
    for file in sorted(files("slime_hookspecs").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".py"):
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.AnnAssign | ast.Assign) and node.value:
                    target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
                    name, value = ast.unparse(target), ast.unparse(node.value)
                    if _is_alias(name) or value.startswith("Literal["):
                        yield name, value


def _is_alias(name: str) -> bool:
    public = name in slime_hookspecs.__all__
    return public and hasattr(getattr(slime_hookspecs, name), "__origin__")


def _written(annotation: Any) -> str:
    """An annotation as in the source; ``None`` and classes come evaluated where not postponed."""
    return annotation.__name__ if inspect.isclass(annotation) else str(annotation)


if __name__ == "__main__":
    if "--facade" in sys.argv[1:]:
        from slime_hookspecs.facade_source import facade

        print(facade(), end="")
    else:
        print(to_text(), end="")
