"""What the JSON of records, events, stories and diffs looks like: JSON Schema, and TypeScript."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from comfyrec.cassette.text import Line
from comfyrec.events.schema import KNOWN
from comfyrec.show.diff import Diff
from comfyrec.timeline.story import Story

__all__ = ["json_schema", "typescript"]

_REF: Final = "#/$defs/{name}"
_NAME: Final = re.compile(r"[A-Za-z_$][\w$]*")


def json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12, with ``Story``, ``Diff``, ``RecordLine`` and ``Event`` in ``$defs``.

    A record is a line of a text cassette, an event a text message of the server.
    """
    data = {name: _data_of(event) for name, event in KNOWN.items()}
    lines = tuple(_below(Line))
    wanted = [Story, Diff, *lines, *(kind for kind in data.values() if kind is not dict)]
    schemas, defs = msgspec.json.schema_components(wanted, schema_hook=_anything, ref_template=_REF)
    of_lines = list(schemas)[2 : 2 + len(lines)]
    of_data = iter(list(schemas)[2 + len(lines) :])
    events = [
        _event(name, {"type": "object"} if kind is dict else next(of_data))
        for name, kind in data.items()
    ]
    own = {"RecordLine": {"anyOf": of_lines}, "Event": {"anyOf": events}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {**defs, **own},
    }


def _data_of(event: type[msgspec.Struct]) -> Any:
    (kind,) = [field.type for field in msgspec.structs.fields(event) if field.name == "data"]
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else dict


def _below(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


def _anything(kind: type) -> dict[str, Any]:
    """What is read late, or need not be there, may be anything."""
    return {}


def _event(name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"type": {"const": name}, "data": dict(data)},
        "required": ["type", "data"],
    }


# --- TypeScript ------------------------------------------------------------------------------


def typescript() -> str:
    """The same as TypeScript types."""
    lines = ["// Made by 'comfyrec schema --typescript'.", ""]
    for name, schema in json_schema()["$defs"].items():
        about = schema.get("description", "").split("\n\n")[0].replace("\n", " ")
        if about:
            lines.append(f"/** {about.replace('*/', '* /')} */")
        lines += [f"export type {_identifier(name)} = {_type(schema)};", ""]
    return "\n".join(lines)


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _type(schema: Mapping[str, Any], indent: str = "") -> str:
    if "$ref" in schema:
        return _identifier(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(map(json.dumps, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type(one, indent) for one in schema["anyOf"]))
    kind = schema.get("type")
    if kind == "object":
        return _object(schema, indent)
    if kind == "array":
        if "prefixItems" in schema:
            return f"[{', '.join(_type(one, indent) for one in schema['prefixItems'])}]"
        items = schema.get("items")
        return f"Array<{_type(items, indent) if isinstance(items, Mapping) else 'unknown'}>"
    plain = {"integer": "number", "number": "number", "string": "string", "boolean": "boolean"}
    return plain.get(str(kind), "null" if kind == "null" else "unknown")


def _object(schema: Mapping[str, Any], indent: str) -> str:
    fields = schema.get("properties")
    if not fields:
        values = schema.get("additionalProperties")
        below = _type(values, indent) if isinstance(values, Mapping) else "unknown"
        return f"{{ [name: string]: {below} }}"
    required, deeper = schema.get("required", ()), f"{indent}  "
    lines = []
    for name, field in fields.items():
        key = name if _NAME.fullmatch(name) else json.dumps(name)
        mark = "" if name in required else "?"
        lines.append(f"{deeper}{key}{mark}: {_type(field, deeper)};")
    return "\n".join(["{", *lines, f"{indent}}}"])
