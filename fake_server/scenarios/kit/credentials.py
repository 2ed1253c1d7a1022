"""Requests of one client -> the credentials that it takes to a host they are not for.

A redirect leads a client to another host. A library that sends its own headers along gives the key
to whoever runs that host (A83): signed addresses carry an authorization of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fake_server.source import Request

__all__ = ["CredentialWatch"]

_KNOWN_MAX: Final = 64
"""Credentials remembered; a client has one or two, and may rotate them."""
_BYTES_MIN: Final = 6
"""A shorter one might stand in a request by chance."""
_IN_EXTRA_DATA: Final = ("api_key_comfy_org", "auth_token_comfy_org")


class CredentialWatch:
    """Looks at all requests of a client; its own host is the one that it asks first."""

    def __init__(self) -> None:
        self._home = ""
        self._known: dict[bytes, None] = {}

    def look(self, request: Request) -> tuple[bool, list[str]]:
        """Whether credentials were sent to the client's own host, and those for another one.

        Returns:
            True if the request brings a credential to the client's own host; and, of a request to
            another host, what it brings: ``X-API-Key to localhost:8188``.
        """
        host = request.header("Host", "").lower()
        self._home = self._home or host
        given = dict(_credentials(request))
        if host == self._home:
            for value in given.values():
                if len(value) >= _BYTES_MIN and len(self._known) < _KNOWN_MAX:
                    self._known[value] = None
            return bool(given), []
        names = [name for name in given if name in dict(request.headers)]
        if not names and any(value in _whole(request) for value in self._known):
            names = ["a credential"]
        return False, [f"{name} to {host}" for name in names]


def _credentials(request: Request) -> Iterator[tuple[str, bytes]]:
    """Name and value of what a request authorizes itself with."""
    # The rules take a few milliseconds to load: they come with the first request.
    from comfyrec.cassette.redact.rules import Place, is_secret

    for name, value in request.headers:
        if is_secret(name, value.encode("utf-8", "replace"), Place.HEADER):
            yield name, value.rpartition(" ")[2].encode("utf-8", "replace")
    for name, values in request.query.items():
        for value in values:
            if is_secret(name, value.encode("utf-8", "replace"), Place.QUERY):
                yield name, value.encode("utf-8", "replace")
    extra = _extra_data(request)
    for name in _IN_EXTRA_DATA:
        if isinstance(extra.get(name), str):
            yield name, extra[name].encode("utf-8", "replace")


def _extra_data(request: Request) -> dict[str, Any]:
    if b"_comfy_org" not in request.body:
        return {}
    body = request.json
    extra = body.get("extra_data") if isinstance(body, dict) else None
    return extra if isinstance(extra, dict) else {}


def _whole(request: Request) -> bytes:
    lines = "\n".join(f"{name}: {value}" for name, value in request.headers)
    return f"{request.target}\n{lines}\n".encode("utf-8", "replace") + request.body
