"""Operations -> an OpenAPI 3.1 document."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from comfyrec import __version__
from comfyrec.control.operation import Body, Empty, Operation
from comfyrec.control.shapes import Error

__all__ = ["document"]

_REFERENCES: Final = "#/components/schemas/{name}"
_SERVERS: Final = (
    ("{base}", "The server itself."),
    ("{base}/servers/{id}", "A server that it has made; reachable while that one is stopped."),
)


def document(operations: Sequence[Operation], base: str) -> dict[str, Any]:
    """The members of the document; ``base`` is what all paths begin with."""
    kinds = {kind for one in operations for kind in (one.gives, one.body) if kind is not Empty}
    ordered = sorted({*kinds, Error}, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=_REFERENCES)
    paths: dict[str, Any] = {}
    for one in operations:
        paths.setdefault(one.path or "/", {})[one.method.lower()] = _described(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "comfyrec control plane",
            "version": __version__,
            "description": "What a test may see and do of a simulated ComfyUI server.",
        },
        "servers": [
            {"url": url.replace("{base}", base), "description": about, **_variables(url)}
            for url, about in _SERVERS
        ],
        "paths": paths,
        "components": {"schemas": {name: schemas[name] for name in sorted(schemas)}},
    }


def _variables(url: str) -> dict[str, Any]:
    return {"variables": {"id": {"default": "1"}}} if "{id}" in url else {}


def _described(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": {
            "200": _content(operation.gives.__name__, "Done."),
            "400": _content("Error", "It cannot be done."),
            **(
                {"409": _content("Error", "It did not come in time.")}
                if inspect.iscoroutinefunction(operation.act)
                else {}
            ),
        },
    }
    parameters = [*_path_parameters(operation), *_query_parameters(operation.query)]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not Empty:
        content = _content(operation.body.__name__, "")["content"]
        content["application/json"]["example"] = dict(operation.example)
        described["requestBody"] = {"content": content}
    return described


def _content(name: str, about: str) -> dict[str, Any]:
    schema = {"$ref": _REFERENCES.format(name=name)}
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    if "{id}" not in operation.path:
        return []
    return [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}]


def _query_parameters(query: type[Body]) -> list[dict[str, Any]]:
    schema = msgspec.json.schema(query)["$defs"][query.__name__]
    return [
        {"name": name, "in": "query", "schema": about}
        for name, about in schema.get("properties", {}).items()
    ]
