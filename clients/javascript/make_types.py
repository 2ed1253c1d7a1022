"""Writes ``src/events.ts`` and ``src/control.ts`` from the schemas: ``python make_types.py``.

``--check`` writes nothing and exits 1 when one of them is out of date.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from comfyrec.control.operation import Empty
from comfyrec.control.plane import OPERATIONS, openapi
from comfyrec.events.schema import KNOWN

SRC = Path(__file__).parent / "src"
HEAD = "// Made by make_types.py from comfyrec's schemas; do not edit.\n\n"


def files() -> dict[Path, str]:
    """What each generated file should hold."""
    return {
        SRC / "events.ts": HEAD + "\n\n".join(_events()) + "\n",
        SRC / "control.ts": HEAD + "\n\n".join(_control()) + "\n",
    }


# --- events ----------------------------------------------------------------------------------


def _events() -> Iterator[str]:
    seen: dict[str, type] = {}
    members = {name: _type(get_type_hints(event)["data"], seen) for name, event in KNOWN.items()}
    done: set[str] = set()
    while todo := [name for name in seen if name not in done]:
        for name in todo:
            done.add(name)
            yield _interface(name, seen[name], seen)
    rows = "\n".join(f"  {name!r}: {data};".replace("'", '"') for name, data in members.items())
    yield (
        "/** The text messages of a ComfyUI server: type -> data. */\n"
        f"export interface EventData {{\n{rows}\n}}"
    )
    yield "export type EventType = keyof EventData;"
    yield (
        "export type ComfyEvent = { [T in EventType]: { type: T; data: EventData[T] } }[EventType];"
    )


def _interface(name: str, kind: type, seen: dict[str, type]) -> str:
    hints = get_type_hints(kind)
    rows = [
        f"  {field.encode_name}{'' if field.required else '?'}: {_type(hints[field.name], seen)};"
        for field in msgspec.structs.fields(kind)
        if not field.encode_name.startswith("(")
    ]
    return "\n".join([f"export interface {name} {{", *rows, "}"])


_PLAIN = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}


def _type(hint: Any, seen: dict[str, type]) -> str:
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        kept = [one for one in arguments if one not in (msgspec.UnsetType, msgspec.Raw)]
        return " | ".join(dict.fromkeys(_type(one, seen) for one in kept))
    if origin is Literal:
        return " | ".join(f'"{one}"' for one in arguments)
    if origin in (list, tuple):
        inner = _type(arguments[0], seen)
        return f"({inner})[]" if " " in inner else f"{inner}[]"
    if origin is dict:
        return f"Record<string, {_type(arguments[1], seen)}>"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        seen[hint.__name__] = hint
        return hint.__name__
    return "unknown"


# --- the control plane -----------------------------------------------------------------------


def _control() -> Iterator[str]:
    schemas = openapi().components["schemas"]
    for name, schema in schemas.items():
        about = f"/** {schema['description']} */\n" if schema.get("description") else ""
        yield f"{about}export interface {name} {_object(schema)}"
    yield "\n".join(["export interface Operations {", *map(_operation, OPERATIONS), "}"])
    rows = [f'  {one.name}: ["{one.method}", "{one.path}"],' for one in OPERATIONS]
    kind = "Record<keyof Operations, readonly [string, string]>"
    yield "\n".join(["export const OPERATIONS = {", *rows, f"}} as const satisfies {kind};"])


def _operation(operation: Any) -> str:
    body = "undefined" if operation.body is Empty else operation.body.__name__
    query = msgspec.json.schema(operation.query)["$defs"][operation.query.__name__]
    asked = _object(query).replace("\n", " ")
    about = f"  /** {operation.summary} */\n"
    kinds = f"body: {body}; query: {asked}; gives: {operation.gives.__name__}"
    return f"{about}  {operation.name}: {{ {kinds} }};"


def _object(schema: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = [
        f"  {name}{'' if name in required else '?'}: {_of_schema(about)};"
        for name, about in schema.get("properties", {}).items()
    ]
    return "\n".join(["{", *rows, "}"])


def _of_schema(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return " | ".join("null" if one is None else f'"{one}"' for one in schema["enum"])
    if "const" in schema:
        return str(schema["const"]).lower()
    if "anyOf" in schema:
        return " | ".join(map(_of_schema, schema["anyOf"]))
    match schema.get("type"):
        case "string":
            return "string"
        case "integer" | "number":
            return "number"
        case "boolean":
            return "boolean"
        case "null":
            return "null"
        case "array":
            return _array(schema)
        case "object":
            values = schema.get("additionalProperties")
            return (
                f"Record<string, {_of_schema(values) if isinstance(values, dict) else 'unknown'}>"
            )
    return "unknown"


def _array(schema: dict[str, Any]) -> str:
    if "prefixItems" in schema:
        return f"[{', '.join(map(_of_schema, schema['prefixItems']))}]"
    inner = _of_schema(schema.get("items", {}))
    return f"({inner})[]" if " " in inner else f"{inner}[]"


def main() -> int:
    """Write the files, or say which are out of date."""
    stale = [p for p, text in files().items() if not p.exists() or p.read_text("utf-8") != text]
    for path in stale:
        if "--check" in sys.argv:
            print(f"{path.name} is out of date; run python clients/javascript/make_types.py")
        else:
            path.write_text(files()[path], encoding="utf-8")
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
