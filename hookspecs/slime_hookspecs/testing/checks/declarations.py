"""Declarations: what the plugin says of itself can be read, and is true."""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from slime_hookspecs.batch import wrong_batch_field
from slime_hookspecs.signatures import Kind
from slime_hookspecs.testing.checks import CheckFailed, NotApplicable, check
from slime_hookspecs.testing.subject import Subject

#: Hooks of which a plugin with the capability must have one.
NEEDS_HOOK: Final[Mapping[str, tuple[str, ...]]] = {
    "fan_out": ("slime_generate", "slime_wrap_generate"),
    "group_reward": ("slime_group_reward",),
    "multi_turn": ("slime_generate", "slime_wrap_generate"),
    "no_host_sync": ("slime_loss", "slime_token_advantage"),
    "policy_gradient": ("slime_loss",),
    "zero_on_equal_rewards": ("slime_advantage",),
}


@check("declarations.object", "declarations")
def names_a_module_or_instance(subject: Subject) -> None:
    """The entry point names a module or an instance, and it implements at least one hook."""
    _complain(subject, Kind.OBJECT)


@check("declarations.known_hooks", "declarations")
def known_hooks(subject: Subject) -> None:
    """Every function that is marked as a hook has the name of one."""
    _complain(subject, Kind.KNOWN)


@check("declarations.marked", "declarations")
def marked(subject: Subject) -> None:
    """Every function that is named like a hook is marked as one, and none as a pluggy wrapper."""
    _complain(subject, Kind.MARKED)


@check("declarations.arguments", "declarations")
def arguments(subject: Subject) -> None:
    """Implementations take only arguments that their hooks offer, by plain name."""
    _complain(subject, Kind.ARGUMENTS)


@check("declarations.colours", "declarations")
def colours(subject: Subject) -> None:
    """Hooks that are awaited are coroutine functions, and those called in place are not."""
    _complain(subject, Kind.COLOUR)


@check("declarations.options", "declarations", hooks=("slime_options",))
def options(subject: Subject) -> None:
    """The options are a dataclass whose fields all have defaults of types that TOML can give."""
    kind = subject.hooks["slime_options"]()
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise CheckFailed(f"slime_options returned {kind!r}; return the dataclass itself")
    for field in dataclasses.fields(kind):
        if field.init and field.default is field.default_factory is dataclasses.MISSING:
            raise CheckFailed(f"{kind.__name__}.{field.name} has no default")
    try:
        kind()
    except Exception as error:
        told = subject.told(error)
        raise CheckFailed(f"{kind.__name__}() without arguments raised {told}") from error
    try:
        kind(**subject.conformance.options)
    except Exception as error:
        raise CheckFailed(f"Conformance.options do not fit: {subject.told(error)}") from error


@check("declarations.options_help", "declarations", hooks=("slime_options",))
def options_help(subject: Subject) -> None:
    """Every option says what it does, for ``--help`` and the documentation."""
    kind = _options_type(subject)
    bare = [f.name for f in dataclasses.fields(kind) if f.init and not f.metadata.get("help")]
    if bare:
        raise CheckFailed(
            f"{kind.__name__} has options without help: {', '.join(bare)}; "
            f'write field(default=..., metadata={{"help": "..."}})'
        )


@check("declarations.options_round_trip", "declarations", hooks=("slime_options",))
def options_round_trip(subject: Subject) -> None:
    """Options survive the way through JSON that carries them to every process of a run."""
    kind = _options_type(subject)
    hints = typing.get_type_hints(kind, include_extras=True)
    for made in (kind(), kind(**subject.conformance.options)):
        fields = [field.name for field in dataclasses.fields(kind) if field.init]
        try:
            text = json.dumps({n: _to_json(getattr(made, n)) for n in fields})
            raw = json.loads(text)
            values = {name: _from_json(raw[name], hints[name]) for name in fields}
            again = kind(**values)
        except Exception as error:
            raise CheckFailed(f"{made!r} does not survive JSON: {error}") from error
        for name in fields:
            if getattr(again, name) != getattr(made, name):
                raise CheckFailed(
                    f"{kind.__name__}.{name} is {getattr(made, name)!r}, and "
                    f"{getattr(again, name)!r} after a round trip through JSON"
                )


@check("declarations.defaults", "declarations", hooks=("slime_defaults",))
def defaults(subject: Subject) -> None:
    """The settings that the task wants are a nested mapping as TOML would give it."""
    given = subject.call("slime_defaults")
    if not isinstance(given, Mapping):
        raise CheckFailed(f"slime_defaults returned {given!r}; return a nested mapping")
    if wrong := next(_wrong_defaults(given, ""), None):
        raise CheckFailed(wrong)


@check("declarations.batch_fields", "declarations", hooks=("slime_batch_fields",))
def batch_fields(subject: Subject) -> None:
    """Declared batch fields are well-formed, and their names are free."""
    given = subject.call("slime_batch_fields")
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise CheckFailed(f"slime_batch_fields returned {given!r}; return a list of BatchField")
    names = [getattr(field, "name", None) for field in given]
    for field in given:
        for wrong in wrong_batch_field(field):
            raise CheckFailed(f"{field!r}: {wrong}")
        if names.count(field.name) > 1:
            raise CheckFailed(f"two batch fields are called {field.name!r}")


@check("declarations.capabilities", "declarations", hooks=("slime_conformance",))
def capabilities(subject: Subject) -> None:
    """A capability that the plugin declares comes with a hook that could have it."""
    declared = sorted(subject.conformance.capabilities & set(NEEDS_HOOK))
    idle = [name for name in declared if not set(NEEDS_HOOK[name]) & set(subject.hooks)]
    for name in idle:
        if not set(NEEDS_HOOK[name]) & set(subject.broken):
            raise CheckFailed(f"it declares {name}, and has no {' or '.join(NEEDS_HOOK[name])}")
    for hook in (hook for name in idle for hook in NEEDS_HOOK[name]):
        subject.must_work(hook)


def _complain(subject: Subject, kind: Kind) -> None:
    wrong = [one.message for one in subject.definitions.complaints if one.kind == kind]
    if wrong:
        raise CheckFailed("\n".join(wrong))


def _options_type(subject: Subject) -> Any:
    """The class that it returns, or ``NotApplicable`` where ``declarations.options`` fails."""
    subject.options  # noqa: B018
    kind = subject.options_type
    if kind is None or not dataclasses.is_dataclass(kind):
        raise NotApplicable("slime_options returns no dataclass")
    return kind


def _to_json(value: Any) -> Any:
    return msgspec.to_builtins(value, str_keys=True, enc_hook=_encode)


def _encode(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _from_json(value: Any, hint: Any) -> Any:
    return msgspec.convert(value, hint, strict=False, dec_hook=_decode)


def _decode(kind: type, value: Any) -> Any:
    if issubclass(kind, Path) and isinstance(value, str):
        return kind(value)
    raise TypeError(f"no way to make {kind.__name__} from {type(value).__name__}")


def _wrong_defaults(table: Mapping[Any, Any], path: str) -> Iterator[str]:
    for key, value in table.items():
        where = f"{path}{key}"
        if not isinstance(key, str) or not re.fullmatch(r"[a-z][a-z0-9_-]*", key):
            yield (
                f"slime_defaults has the key {where!r}; keys are names of settings, and a setting "
                f"of a table is nested: {{'rollout': {{'samples_per_prompt': 8}}}}"
            )
        elif isinstance(value, Mapping):
            yield from _wrong_defaults(value, f"{where}.")
        elif not isinstance(value, str | int | float | bool | list):
            yield f"slime_defaults gives {where} = {value!r}, which TOML has no value for"
