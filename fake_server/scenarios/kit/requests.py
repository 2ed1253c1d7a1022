"""Which of ComfyUI's routes a request asks for, as a scenario writes it; JSON bodies, both ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from comfyrec.events import comfy_json
from comfyrec.http.request import loads_or_none
from fake_server.http.responses import json_response
from fake_server.source import Request

__all__ = ["RoutePattern", "json_response", "posts", "read_json", "route", "write_json"]


class RoutePattern(msgspec.Struct, frozen=True):
    """A method, ``*`` for every one, and a path: ``{}`` stands for one segment, a final ``*`` for
    the rest. A path that begins with ``/api`` is asked for there only, all others anywhere."""

    method: str
    path: str

    def __call__(self, request: Request) -> bool:
        """Whether the request asks for this route."""
        if self.method not in ("*", request.method):
            return False
        wanted, target = self.path.removeprefix("/").split("/"), request.parts
        if wanted[0] == "api":
            if not target.prefixed:
                return False
            del wanted[0]
        given = target.segments
        if wanted[-1] == "*":
            return given[: len(wanted) - 1] == tuple(wanted[:-1])
        return len(wanted) == len(given) and all(
            each in ("{}", segment) for each, segment in zip(wanted, given, strict=True)
        )

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def route(*texts: str) -> Callable[[Request], bool]:
    """One of several routes, each written ``GET /history/{}``; ``*`` fits every method."""
    patterns = [RoutePattern(*text.split(" ", 1)) for text in texts]
    return lambda request: any(fits(request) for fits in patterns)


posts = route("POST /prompt")
"""Whether a request submits a prompt."""

read_json = loads_or_none
"""A JSON value (NaN allowed) of an answer's body, or None for what is not JSON. That of a request
is ``request.json``, which is read once."""


def write_json(value: Any) -> bytes:
    """A JSON body as ComfyUI's server writes it: Python's default separators and NaN."""
    return comfy_json(value).encode()
