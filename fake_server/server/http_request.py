"""What aiohttp has read of a request -> what a source gets of it."""

from __future__ import annotations

from aiohttp import web

from comfyrec.cassette.files.body_file import BodyFile, FileBody
from comfyrec.http.large_body import STORED_MIN, is_stored_type
from fake_server.http.responses import text
from fake_server.server.exchange import transport_of
from fake_server.source import Request, Response

__all__ = ["body_of", "request_of", "stored_body_of", "unmet_expectation", "without_protocols"]


async def body_of(request: web.BaseRequest, limit: int) -> bytes:
    """The body, and no more of it than ``limit`` and one byte."""
    if not request.body_exists:
        return b""
    if request.content.is_eof():
        # It came with the head, as small ones do.
        return request.content.read_nowait()[: limit + 1]
    pieces, size = [], 0
    async for piece in request.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            break
    return b"".join(pieces)[: limit + 1]


async def stored_body_of(request: web.BaseRequest, limit: int) -> FileBody | None:
    """The body in a file, no more of it than ``limit`` and one byte; None for one that is small, or
    that somebody may want to look into as text."""
    if (request.content_length or 0) < STORED_MIN or request.path.endswith("/prompt"):
        return None
    if not is_stored_type(request.headers.get("Content-Type", "")):
        return None
    sink = BodyFile().begin()
    size = 0
    async for piece in request.content.iter_any():
        sink.write(piece)
        size += len(piece)
        if size > limit:
            break
    return sink.done().part(0, limit + 1)


def request_of(
    request: web.BaseRequest, body: bytes = b"", stored: FileBody | None = None
) -> Request:
    """The request as a source takes it."""
    transport = transport_of(request)
    peer = transport.get_extra_info("peername")
    return Request(
        request.method,
        request.raw_path,
        tuple((_text(name), _text(value)) for name, value in request.raw_headers),
        body,
        f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "",
        stored,
        transport.get_extra_info("sslcontext") is not None,
    )


def _text(field: bytes) -> str:
    return field.decode("utf-8", "surrogateescape")


def unmet_expectation(request: web.BaseRequest) -> Response | None:
    """Tell a client to go on that waits for it; an answer for one that expects something else."""
    expected = request.headers.get("Expect", "")
    if not expected or request.version != (1, 1):
        return None
    if expected.lower() == "100-continue":
        transport_of(request).write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None
    return text(f"Unknown Expect: {expected}", 417)


def without_protocols(request: web.BaseRequest) -> web.BaseRequest:
    """The same request without an offer of subprotocols: the source chooses, not aiohttp."""
    if "Sec-WebSocket-Protocol" not in request.headers:
        return request
    kept = request.headers.copy()
    del kept["Sec-WebSocket-Protocol"]
    return request.clone(headers=kept)
