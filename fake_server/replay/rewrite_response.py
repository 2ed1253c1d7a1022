"""A recorded response -> the answer for a live client: its ids, its length, its coding."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Collection
from typing import Any, Final

from comfyrec.timeline import Exchange, HttpMessage
from fake_server.replay.recorded.id_mapping import RecordedIds
from fake_server.source import Request, Response
from fake_server.storage.pictures import picture

__all__ = ["SYNTHESIZED", "image_type", "json_answer", "rewritten_response", "substitute"]

SYNTHESIZED: Final = "X-Comfyrec-Synthesized"
"""The header of every answer that was not recorded; its value says where the answer comes from."""
INFLATED_MAX: Final = 64 * 1024 * 1024
"""Bytes of one inflated body; a recording is hostile input too."""
_SIDE: Final = 64
_IMAGES: Final = {"jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP"}
# What belongs to the connection or is made anew by whoever sends the answer (RFC 9110, 7.6.1).
_DROPPED: Final = frozenset(
    (
        "connection", "content-length", "date", "keep-alive", "proxy-connection", "server",
        "te", "trailer", "transfer-encoding", "upgrade",
    )
)  # fmt: skip
_WORDS: Final = ("json", "text/", "javascript", "xml")
# content coding -> what zlib calls it
_WBITS: Final = {"gzip": 31, "deflate": 15}

Rename = Callable[[str], str]


def rewritten_response(
    exchange: Exchange,
    request: Request,
    recorded_ids: RecordedIds,
    rename: Rename,
    numbers: Collection[str] = (),
) -> Response:
    """The answer of a recorded exchange, for the client that asks now.

    Args:
        exchange: with a response.
        request: of the live client; says which content codings it takes.
        recorded_ids: the ids of the recording.
        rename: recorded id -> live id.
        numbers: the ids that it is about and that are numbers.
    """
    response = exchange.response
    assert response is not None, "no exchange without an answer is kept, except a hang-up"
    headers = tuple(
        (name, recorded_ids.renamed(value, rename, numbers))
        for name, value in response.headers
        if name.lower() not in _DROPPED
    )
    status = exchange.status or 200
    if response.stored is not None:
        return Response(status, headers, stored=response.stored)
    if response.omitted_bytes:
        return _omitted(exchange, status, headers)
    coding = response.header("Content-Encoding").lower()
    if coding:
        return _coded(response, request, status, headers, recorded_ids, rename, numbers)
    body = _renamed(response, response.body, recorded_ids, rename, numbers)
    return Response(status, headers, body)


def _renamed(
    response: HttpMessage,
    body: bytes,
    recorded_ids: RecordedIds,
    rename: Rename,
    numbers: Collection[str],
) -> bytes:
    kind = response.header("Content-Type").lower()
    if not body or (kind and not any(word in kind for word in _WORDS)):
        return body
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return body
    template = recorded_ids.template(text, numbers)
    return body if template is None else template.filled(rename).encode()


def _coded(
    response: HttpMessage,
    request: Request,
    status: int,
    headers: tuple[tuple[str, str], ...],
    recorded_ids: RecordedIds,
    rename: Rename,
    numbers: Collection[str],
) -> Response:
    """Inflate, rename, and deflate again if the client takes it that way."""
    coding = response.header("Content-Encoding").lower()
    plain = _inflated(response.body, coding)
    if plain is None:
        return Response(status, headers, response.body)
    body = _renamed(response, plain, recorded_ids, rename, numbers)
    if coding in request.header("Accept-Encoding").lower():
        packer = zlib.compressobj(wbits=_WBITS[coding])
        return Response(status, headers, packer.compress(body) + packer.flush())
    plain_headers = tuple(h for h in headers if h[0].lower() != "content-encoding")
    return Response(status, plain_headers, body)


def _inflated(body: bytes, coding: str) -> bytes | None:
    if coding not in _WBITS:
        return None
    reader = zlib.decompressobj(wbits=_WBITS[coding])
    try:
        plain = reader.decompress(body, INFLATED_MAX)
    except zlib.error:
        return None
    return None if reader.unconsumed_tail else plain


def _omitted(exchange: Exchange, status: int, headers: tuple[tuple[str, str], ...]) -> Response:
    """The recording left the body out: an honest substitute, a picture for a picture."""
    assert exchange.response is not None
    mark = (SYNTHESIZED, f"body of {exchange.response.omitted_bytes} bytes was not recorded")
    kind = exchange.response.header("Content-Type").lower()
    if kind.startswith("image/"):
        name = dict(exchange.query).get("filename", f"x.{kind.rpartition('/')[2]}")
        return Response(status, (*headers, mark), substitute(name))
    return Response(status, (*headers, mark), b"{}" if "json" in kind else b"")


def image_type(name: str) -> str:
    """The Content-Type of a picture, by its name."""
    return f"image/{_format(name).lower()}"


def substitute(name: str) -> bytes:
    """A small picture in the place of one that was not recorded, of the kind that its name says."""
    return picture(width=_SIDE, height=_SIDE, seed=len(name), format=_format(name))


def _format(name: str) -> str:
    return _IMAGES.get(name.rpartition(".")[2].lower(), "PNG")


def json_answer(value: Any, status: int, mark: str) -> Response:
    """A JSON answer that was not recorded; ``mark`` says where it comes from."""
    headers = (("Content-Type", "application/json; charset=utf-8"), (SYNTHESIZED, mark))
    return Response(status, headers, json.dumps(value).encode())
