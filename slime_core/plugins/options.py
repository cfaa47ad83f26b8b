"""A plugin's own options: its dataclass, filled from the raw values of the configuration."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from slime_hookspecs import ConfigError, PluginError

from slime_core.plugins.loading import LoadedPlugin
from slime_core.plugins.names import listed, suggestion
from slime_core.plugins.verify import implementations


def options_type(loaded: LoadedPlugin) -> type | None:
    """The dataclass of a plugin's options, or ``None`` if it has none.

    Raises:
        PluginError: ``slime_options`` fails, or answers with anything but a dataclass whose fields
            all have defaults.
    """
    hook = implementations(loaded).get("slime_options")
    if hook is None:
        return None
    kind = ask(loaded, "slime_options", hook.function)
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise PluginError(
            f"plugin {loaded.display}, hook slime_options\n  it returned {kind!r}\n"
            f"  it must return a dataclass, the class itself"
        )
    hints = _hints(loaded, kind)
    for field in _fields(kind):
        if wrong := _wrong_field(field, hints[field.name]):
            raise PluginError(
                f"plugin {loaded.display}, hook slime_options\n  {kind.__name__}.{field.name}\n"
                f"  {wrong}"
            )
    return kind


def _wrong_field(field: dataclasses.Field[Any], hint: Any) -> str | None:
    if field.default is field.default_factory is dataclasses.MISSING:
        return "the field has no default, and every option needs one"
    if any(secret_names(inner) for inner in dataclasses_in(hint)):
        return "a secret must be a field of the options class itself"
    return None


def dataclasses_in(hint: Any) -> Iterator[Any]:
    """The dataclasses that a type names, and those that their fields name."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield hint
        for inner in typing.get_type_hints(hint).values():
            yield from dataclasses_in(inner)
    for argument in typing.get_args(hint):
        yield from dataclasses_in(argument)


def _hints(loaded: LoadedPlugin, kind: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except (NameError, TypeError) as error:
        raise PluginError(
            f"plugin {loaded.display}, hook slime_options\n  {kind.__name__}\n"
            f"  its annotations cannot be read: {error}; import their types at module level"
        ) from error


def ask(loaded: LoadedPlugin, hook: str, function: Callable[[], Any]) -> Any:
    """What a registration hook answers: it is called once, then its answer is remembered.

    Raises:
        PluginError: it raised.
    """
    if hook in loaded.answers:
        return loaded.answers[hook]
    try:
        answer = loaded.answers[hook] = function()
        return answer
    except Exception as error:
        raise PluginError(
            f"plugin {loaded.display}, hook {hook}\n  it raised {type(error).__name__}: {error}\n"
            f"  it is asked once at the start and must answer without any run"
        ) from error


def build_options(loaded: LoadedPlugin, table: Mapping[str, Any], *, anchored: bool = False) -> Any:
    """The plugin's options as an instance of its dataclass, or ``None`` if it has none.

    Args:
        loaded: The plugin.
        table: Raw values by field, as TOML or the command line gives them, or as a plan holds them.
        anchored: Whether paths become absolute: relative ones are in the current folder, as those
            of the core's settings are. What a plan holds stays as it is.

    Raises:
        ConfigError: a key is unknown or a value does not fit its field.
    """
    kind = options_type(loaded)
    fields = {} if kind is None else {field.name: field for field in _fields(kind)}
    for key in table:
        if key not in fields:
            raise ConfigError(
                f"plugin {loaded.display} has no option {key!r}{_meant(loaded, key, fields)}\n"
                f"  its options: {listed(fields)}"
            )
    if kind is None:
        return None
    hints = _hints(loaded, kind)
    make = _anchored if anchored else _from_builtin
    values = {
        key: _convert(loaded, fields[key], hints[key], value, make) for key, value in table.items()
    }
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"options of plugin {loaded.display}: {error}") from error


def _meant(loaded: LoadedPlugin, key: str, fields: Iterable[str]) -> str:
    """The option that was probably meant; for ``no_x`` the way to switch ``x`` off."""
    if key.startswith("no_") and key.removeprefix("no_") in fields:
        name = key.removeprefix("no_")
        return f"; did you mean --no-{flag(loaded.name, name)[2:]}, in TOML {name} = false?"
    return suggestion(key, fields)


def public_options(loaded: LoadedPlugin, options: Any) -> dict[str, Any]:
    """The options as JSON values, secrets left out.

    Raises:
        PluginError: a field holds what JSON cannot.
    """
    if options is None:
        return {}
    try:
        return {
            field.name: to_json(getattr(options, field.name))
            for field in _fields(type(options))
            if not is_secret(field)
        }
    except (TypeError, NotImplementedError) as error:
        raise PluginError(
            f"plugin {loaded.display}, hook slime_options\n  {type(options).__name__}\n"
            f"  its values must have a JSON form: {error}"
        ) from error


def flag(plugin: str, option: str) -> str:
    """How an option is spelled on the command line."""
    return f"--{plugin}.{option}".replace("_", "-")


def secret_names(kind: type | None) -> frozenset[str]:
    """Names of the fields with ``metadata={"secret": True}``."""
    return (
        frozenset(field.name for field in _fields(kind) if is_secret(field))
        if kind
        else frozenset()
    )


def is_secret(field: dataclasses.Field[Any]) -> bool:
    """Whether a field must never be written anywhere."""
    return field.metadata.get("secret") is True


def _fields(kind: type) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(kind) if field.init]


def _convert(
    loaded: LoadedPlugin,
    field: dataclasses.Field[Any],
    hint: Any,
    value: Any,
    make: Callable[[type, Any], Any],
) -> Any:
    _refuse_nested(loaded, field.name, hint, value)
    if isinstance(value, str):
        value = _from_text(hint, value)
    try:
        return msgspec.convert(value, hint, strict=False, dec_hook=make)
    except msgspec.ValidationError as error:
        raise ConfigError(_misfit(loaded, field, hint, value, error)) from None
    except (TypeError, NotImplementedError) as error:
        raise PluginError(
            f"plugin {loaded.display}, hook slime_options\n  {field.name}: {hint}\n"
            f"  an option of this type cannot be read from a configuration: {error}"
        ) from error


def _from_text(hint: Any, text: str) -> Any:
    """A text as the command line gives it, for a type that is none: one item of a list, a table."""
    if typing.get_origin(hint) is list:
        return [text]  # a flag that may be repeated was given once
    if is_table(hint):
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(text)
    return text


def is_table(hint: Any) -> bool:
    """Whether an option's type is a mapping or a dataclass, perhaps one that may be ``None``."""
    kinds = [typing.get_origin(one) or one for one in (hint, *typing.get_args(hint))]
    optional = kinds[0] in (typing.Union, types.UnionType)
    return any(
        isinstance(kind, type) and (issubclass(kind, Mapping) or dataclasses.is_dataclass(kind))
        for kind in (kinds[1:] if optional else kinds[:1])
    )


def _misfit(
    loaded: LoadedPlugin, field: dataclasses.Field[Any], hint: Any, value: Any, error: Exception
) -> str:
    # msgspec's text may quote the value, which a secret must not show.
    found = ("a secret", "") if is_secret(field) else (repr(value), f" ({error})")
    expected = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
    spelled = flag(loaded.name, field.name) + (""" '{"name": value}'""" if is_table(hint) else "")
    return (
        f"option {field.name!r} of plugin {loaded.display} is {found[0]}\n"
        f"  expected {expected}{found[1]}\n"
        f"  in TOML: [plugin.{loaded.name}] {field.name} = ...; on the command line: {spelled}"
    )


def _refuse_nested(loaded: LoadedPlugin, path: str, hint: Any, value: Any) -> None:
    """Unknown keys inside a dataclass field, which msgspec would drop in silence."""
    if not (
        isinstance(hint, type) and dataclasses.is_dataclass(hint) and isinstance(value, Mapping)
    ):
        return
    hints = typing.get_type_hints(hint)
    for key, inner in value.items():
        if key not in hints:
            raise ConfigError(
                f"plugin {loaded.display} has no option '{path}.{key}'{suggestion(key, hints)}\n"
                f"  known there: {listed(hints)}"
            )
        _refuse_nested(loaded, f"{path}.{key}", hints[key], inner)


def _from_builtin(kind: type, value: Any) -> Any:
    if issubclass(kind, Path) and isinstance(value, str):
        return Path(value)
    if isinstance(value, kind):
        return value
    raise NotImplementedError(f"no way to make {kind.__name__} from {type(value).__name__}")


def _anchored(kind: type, value: Any) -> Any:
    """As ``_from_builtin``, with paths absolute. An empty text is a path that was not set."""
    made = _from_builtin(kind, value)
    return made.expanduser().absolute() if isinstance(made, Path) and value else made


def to_json(value: Any) -> Any:
    """An option's value as a plan or a schema holds it."""
    plain = msgspec.to_builtins(value, str_keys=True, order="deterministic", enc_hook=_to_builtin)
    # Through text and back, so that a plan equals the one that is read from its JSON.
    return json.loads(json.dumps(plain))


def _to_builtin(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} has none")
