"""What scenarios of Comfy API v2 are made of: its routes, its errors, its evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from fake_server.scenarios.kit.requests import json_response
from fake_server.source import Request, Response

__all__ = ["CONTENT", "EVENTS", "JOB", "SDK_STUBS", "SPEC", "SUBMIT", "v2_error", "v2_route"]

SPEC: Final = "openapi-v2.yaml 2.0.0 (Comfy-Org/docs)"
SDK_STUBS: Final = ("the stub servers that comfy-python-sdk and comfy-typescript-sdk test with",)
"""Both mirror each other scenario for scenario."""


def v2_route(text: str) -> Callable[[Request], bool]:
    """``GET /jobs/{}``: a method and a path below ``/api/v2``, wherever that is mounted."""
    method, _, path = text.partition(" ")
    wanted = path.split("/")[1:]

    def fits(request: Request) -> bool:
        if request.method != method:
            return False
        segments = request.parts.raw_path.split("/")
        for at in range(len(segments) - 1):
            if segments[at : at + 2] == ["api", "v2"]:
                given = segments[at + 2 :]
                return len(given) == len(wanted) and all(
                    each in ("{}", one) for each, one in zip(wanted, given, strict=True)
                )
        return False

    return fits


SUBMIT: Final = v2_route("POST /jobs")
JOB: Final = v2_route("GET /jobs/{}")
EVENTS: Final = v2_route("GET /jobs/{}/events")
CONTENT: Final = v2_route("GET /assets/{}/content")


def v2_error(status: int, code: str, message: str, *, retry_after: str = "") -> Response:
    """An error in the envelope that all of v2 share."""
    error: dict[str, Any] = {"code": code, "message": message}
    answer = json_response({"error": error}, status)
    more = (("Retry-After", retry_after),) if retry_after else ()
    return msgspec.structs.replace(answer, headers=(*answer.headers, *more))
