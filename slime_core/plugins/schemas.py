"""A plugin's options class as a JSON schema, for editors and forms."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec

from slime_core.plugins.options import dataclasses_in, is_secret, to_json


def options_schema(kind: type | None) -> dict[str, Any] | None:
    """The JSON schema of an options class; ``None`` where there is none.

    Help texts become descriptions. A secret is ``writeOnly`` and shows no default. Unknown keys are
    refused, as a run refuses them.
    """
    if kind is None:
        return None
    (root,), parts = msgspec.json.schema_components(
        [kind], schema_hook=_custom, ref_template="#/$defs/{name}"
    )
    schema = parts.pop(str(root["$ref"]).rpartition("/")[2])
    for part in (schema, *parts.values()):
        if part.get("type") == "object" and "properties" in part:
            part["additionalProperties"] = False
    for one in dataclasses_in(kind):
        entries = (schema if one is kind else parts.get(one.__name__, {})).get("properties", {})
        for field in dataclasses.fields(one):
            if field.name in entries:
                _describe(entries[field.name], field)
    return {**schema, "$defs": parts} if parts else dict(schema)


def _describe(entry: dict[str, Any], field: dataclasses.Field[Any]) -> None:
    if field.default_factory is not dataclasses.MISSING:
        entry["default"] = to_json(field.default_factory())
    if text := field.metadata.get("help"):
        entry["description"] = text
    if is_secret(field):
        entry.pop("default", None)
        entry["writeOnly"] = True


def _custom(kind: type) -> dict[str, Any]:
    if issubclass(kind, Path):
        return {"type": "string", "format": "path"}
    raise NotImplementedError(f"no schema for {kind.__name__}")
