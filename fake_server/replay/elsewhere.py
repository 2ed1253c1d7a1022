"""Redirects to hosts that the recorder did not stand before, such as a storage's: to stand-ins.

Comfy Cloud and deployments send whoever wants a file to a signed URL of another host, where clients
go by themselves. A recording has no answer of that host, the URL has expired, and a test should not
reach for the network. So in a replay such a redirect leads to the replay itself, under another name
of the same machine where there is one, and there is a stand-in of the right kind.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Collection, Iterator
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import msgspec

from comfyrec.http.request import loads_or_none
from comfyrec.timeline import Exchange, Timeline
from fake_server.http.static import file_answer
from fake_server.replay.rewrite_response import SYNTHESIZED, image_type, substitute
from fake_server.source import Request, Response
from fake_server.storage.memory import StoredFile
from fake_server.surfaces.surface import elsewhere

__all__ = ["Elsewhere"]

_PATH: Final = "/comfyrec-stand-in/"
_PICTURES: Final = ("png", "jpg", "jpeg", "webp")
_DEPTH_MAX: Final = 6


class Elsewhere:
    """Where redirects of one recording lead to.

    Args:
        timeline: the recording.
        known: ``host:port`` whose place the replay's own takes anyway.
        notify: gets a sentence for each other host, once.
    """

    def __init__(
        self, timeline: Timeline, known: Collection[str], notify: Callable[[str], None]
    ) -> None:
        self._timeline, self._known, self._notify = timeline, known, notify
        self._told: set[str] = set()

    def redirected(self, exchange: Exchange, response: Response, request: Request) -> Response:
        """An answer, with a redirect to a host that was not recorded led to a stand-in.

        Args:
            exchange: as recorded.
            response: its answer, for the live client.
            request: of the live client.
        """
        if not 300 <= response.status < 400 or exchange.response is None:
            return response
        location = exchange.response.header("Location")
        host = _host(location)
        if not host or host in self._known:
            return response
        if host not in self._told:
            self._told.add(host)
            self._notify(
                f"{exchange.method} {exchange.path} led to {host}, which was not recorded; "
                "stand-ins are served in place of its files"
            )
        name = self._name(exchange, location)
        own = f"{elsewhere(request.origin)}{_PATH}{quote(host, safe='')}/{quote(name, safe='')}"
        headers = tuple(
            (key, own if key.lower() == "location" else value) for key, value in response.headers
        )
        return msgspec.structs.replace(response, headers=headers)

    def answer(self, request: Request) -> Response | None:
        """The stand-in that a request asks for; None: it asks for something else."""
        raw = request.parts.raw_path
        if not raw.startswith(_PATH) or request.method not in ("GET", "HEAD"):
            return None
        host, _, name = raw[len(_PATH) :].partition("/")
        name = unquote(name)
        picture = name.rpartition(".")[2].lower() in _PICTURES
        kind = image_type(name) if picture else mimetypes.guess_type(name)[0]
        data = substitute(name) if picture else b""
        mark = (SYNTHESIZED, f"a file of {quote(unquote(host), safe=':.[]')} was not recorded")
        typed = ("Content-Type", kind or "application/octet-stream")
        found = file_answer(request, StoredFile(data, 0), 0, (typed, mark))
        length = ("content-length", "transfer-encoding")
        headers = tuple(one for one in found.headers if one[0].lower() not in length)
        return Response(found.status, headers, found.body)

    def _name(self, exchange: Exchange, location: str) -> str:
        """What the file is called that a redirect leads to."""
        asked = dict(exchange.query).get("filename")
        words = exchange.path.split("/")
        known = next((self._names[word] for word in words if word in self._names), None)
        name = asked or known or unquote(urlsplit(location).path)
        return name.rpartition("/")[2] or "file"

    @cached_property
    def _names(self) -> dict[str, str]:
        """id -> what an answer has called the output or asset."""
        found: dict[str, str] = {}
        for exchange in self._timeline.exchanges:
            if exchange.response is None or "/v2/" not in exchange.path:
                continue
            said = (loads_or_none(one.message.data) for one in exchange.response.said)
            for value in (exchange.response_json, *said):
                found.update(_named(value))
        return found


def _host(location: str) -> str:
    try:
        return urlsplit(location).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""


def _named(value: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """(id, name) of everything in a JSON value that has both."""
    if depth > _DEPTH_MAX:
        return
    if isinstance(value, list):
        for one in value:
            yield from _named(one, depth + 1)
    elif isinstance(value, dict):
        name = value.get("name") or value.get("file_path")
        if isinstance(value.get("id"), str) and isinstance(name, str):
            yield value["id"], name
        for one in value.values():
            yield from _named(one, depth + 1)
