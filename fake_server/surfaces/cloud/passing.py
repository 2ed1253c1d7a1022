"""What the server behind answers for Comfy Cloud, in the shape of Comfy Cloud."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from comfyrec.http.request import loads_or_none
from fake_server.http.responses import json_response
from fake_server.source import Request, Response
from fake_server.surfaces.cloud.answers import in_plain_text, iso_time, not_found, translated
from fake_server.surfaces.surface import Asking

__all__ = ["pass_on", "without_keys"]

_KEYS: Final = ("authorization", "x-api-key")
_LOCAL_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?")


def without_keys(request: Request) -> tuple[tuple[str, str], ...]:
    """The header fields of a request, but for its key."""
    return tuple((name, value) for name, value in request.headers if name.lower() not in _KEYS)


def pass_on(request: Request) -> Asking[Response]:
    """Ask the server behind the same, and give its answer as Comfy Cloud writes it."""
    family = request.path.split("/")[1]
    # Metadata is always whole there.
    asked = request.with_query(full_info="true", split=None) if family == "userdata" else request
    answer = yield msgspec.structs.replace(asked, headers=without_keys(request))
    if family == "userdata":
        return in_plain_text(_dated(answer) if request.method == "POST" else answer)
    if answer.status == 405 or answer.body == b"null":
        raise not_found("what the path names")  # ids and blueprints that cannot be there
    if family == "experiment" and answer.status == 400:
        raise not_found("preview")
    if family in ("assets", "tags") and answer.status < 400 and answer.body:
        told = _as_cloud_has(loads_or_none(answer.body), request.origin)
        return json_response(told, answer.status)
    return translated(answer)


def _dated(answer: Response) -> Response:
    value = loads_or_none(answer.body)
    if answer.status != 200 or not isinstance(value, dict) or "modified" not in value:
        return answer
    modified = iso_time(int(value["modified"]) * 1_000)
    return json_response({**value, "modified": modified})


def _as_cloud_has(value: Any, origin: str) -> Any:
    """Assets with what is null left out, times of the zone, whole addresses, and their hash."""
    if isinstance(value, list):
        return [_as_cloud_has(one, origin) for one in value]
    if isinstance(value, str):
        return f"{value}Z" if _LOCAL_TIME.fullmatch(value) else value
    if not isinstance(value, dict):
        return value
    told = {name: _as_cloud_has(one, origin) for name, one in value.items() if one is not None}
    if isinstance(told.get("hash"), str):
        told["asset_hash"] = told.pop("hash")
    if str(told.get("preview_url", "")).startswith("/"):
        told["preview_url"] = f"{origin}{told['preview_url']}"
    return told
