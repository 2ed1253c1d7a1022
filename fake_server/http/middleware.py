"""A request -> the answer of its route, and what the real server's middleware makes of it.

The middleware of ComfyUI in its order, protocol.md section 11: cache headers, compression, then
either the CORS headers or the guard against foreign origins. What aiohttp itself refuses (405, 413,
a handler that raised) passes all of them untouched.
"""

from __future__ import annotations

import ipaddress
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote, urlparse, urlsplit

import msgspec

from comfyrec.http.hint import HINT_HEADER
from fake_server.http.context import Context, HandlerFailed, HttpError
from fake_server.http.frontend import static_file
from fake_server.http.responses import empty, server_error
from fake_server.http.routes import INTERNAL, Found, handler_of, routes_of
from fake_server.http.static import FileAnswer
from fake_server.source import Request, Response

__all__ = ["answer", "is_websocket", "lets_in"]

_IMAGES: Final = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_GONE_S: Final = 3_600
_KEPT_S: Final = 86_400
_KEPT: Final = frozenset({200, 201, 202, 203, 204, 205, 206, 301, 308})
_NOT_KEPT: Final = frozenset({302, 303, 307})
_SQUEEZED: Final = ("application/json", "text/plain")
_CORS_METHODS: Final = "POST, GET, DELETE, PUT, OPTIONS"
_STATIC_METHODS: Final = ("GET", "HEAD")
_OLD_NUMBER: Final = re.compile(r"0x[0-9a-f]{1,8}|0[0-7]{0,11}|[1-9][0-9]{0,9}")
_READING: Final = frozenset({"POST", "PUT", "PATCH"})


def answer(context: Context, request: Request) -> Response:
    """Answer a request that does not become a WebSocket."""
    try:
        given = _around(context, request)
    except HttpError as refused:
        return refused.answer
    except HandlerFailed as failed:
        return server_error([(HINT_HEADER, failed.hint)] if failed.hint else [])
    except RecursionError:  # Python's encoder has its limit, too
        return server_error()
    if given.close:
        return given
    return _cache_headers(context, unquote(request.parts.raw_path), given)


def _around(context: Context, request: Request) -> Response:
    if context.options.cors_origin is not None:
        options = request.method == "OPTIONS"
        given = empty() if options else _routed(context, request)
        given = given if given.close else _cors(context, given)
    else:
        blocked = not lets_in(context, request)
        given = empty(403) if blocked else _unguarded(context, request)
    compress = context.options.compress_responses and not given.close
    return _squeezed(request, given) if compress else given


def _unguarded(context: Context, request: Request) -> Response:
    if request.method == "OPTIONS" and context.era.has("options_everywhere"):
        return empty()
    return _routed(context, request)


def _routed(context: Context, request: Request) -> Response:
    found = routes_of(context.era).find(request.method, request.parts)
    if found.route is None:
        return _hinted(request, lambda: _no_route(context, request, found))
    if found.route.path == "/ws":
        raise HttpError(400, handshake_problem(request))
    if request.method in _READING and len(request.body) > round(context.options.max_upload_size):
        limit = round(context.options.max_upload_size)
        raise HttpError(413, f"Maximum request body size {limit} exceeded.")
    return handler_of(found.route)(context, request, **found.params)


def _hinted(request: Request, refuse: Callable[[], Response]) -> Response:
    """What is said where there is no route; who speaks another API is told how to be understood."""
    surface = next((name for name, base in _OTHERS.items() if base(request)), None)
    if surface is None:
        return refuse()
    hint = (
        f"{request.method} {request.parts.path} is of another API: start with --surface {surface}"
    )
    try:
        given = refuse()
    except HttpError as refused:
        given = refused.answer
    return msgspec.structs.replace(given, headers=(*given.headers, (HINT_HEADER, hint)))


def _is_v2(request: Request) -> bool:
    segments = request.parts.segments
    return (
        request.prefixed and segments[:1] == ("v2",) and segments[1:2] in (("jobs",), ("assets",))
    )


def _is_cloud(request: Request) -> bool:
    first, *rest = [*request.parts.segments, ""]
    status = first == "job" and rest[1:] == ["status", ""]
    return request.prefixed and (status or first in ("history_v2", "user"))


_OTHERS: Final[Mapping[str, Callable[[Request], bool]]] = {"v2": _is_v2, "cloud": _is_cloud}
"""Surfaces that a client may take this server for."""


def _no_route(context: Context, request: Request, found: Found) -> Response:
    target = request.parts
    internal = f"/{target.first_segment}" == INTERNAL and not target.prefixed
    if internal and context.era.has("internal_routes"):
        if found.allowed:
            raise HttpError(405, allow=",".join(sorted(found.allowed)))
        raise HttpError(404)
    if request.method in _STATIC_METHODS:
        return static_file(context, request, target.raw_path)
    raise HttpError(405, allow=",".join(sorted({*found.allowed, *_STATIC_METHODS})))


# --- websockets ------------------------------------------------------------------------------


def is_websocket(context: Context, request: Request) -> bool:
    """Whether the path is that of the websocket, and asked as one asks for it."""
    found = routes_of(context.era).find(request.method, request.parts)
    return found.route is not None and found.route.path == "/ws"


def handshake_problem(request: Request) -> str:
    """What aiohttp answers to a request that is not a proper upgrade."""
    fields = request.fields
    upgrade = fields.get("upgrade")
    if (upgrade or "").strip().lower() != "websocket":
        return f'No WebSocket UPGRADE hdr: {upgrade}\n Can "Upgrade" only to "WebSocket".'
    connection = fields.get("connection")
    if "upgrade" not in (connection or "").lower():
        return f"No CONNECTION upgrade hdr: {connection}"
    version = fields.get("sec-websocket-version", "")
    if version not in ("13", "8", "7"):
        return f"Unsupported version: {version}"
    return f"Handshake error: {fields.get('sec-websocket-key')!r}"


# --- the guard -------------------------------------------------------------------------------


def lets_in(context: Context, request: Request) -> bool:
    """Whether the guard against foreign origins lets a request pass; always with CORS.

    Raises:
        HandlerFailed: a port that is not a number.
    """
    if context.options.cors_origin is not None:
        return True
    fields = request.fields
    if fields.get("sec-fetch-site") == "cross-site" and context.era.has("fetch_site_guard"):
        return False
    if not context.era.has("origin_guard"):
        return True
    host, origin = fields.get("host"), fields.get("origin")
    if host is None or origin is None:
        return True
    try:
        return _same(host.lower(), origin)
    except ValueError as error:
        raise HandlerFailed(str(error)) from None


def _same(host: str, origin: str) -> bool:
    """The comparison of ComfyUI: without ports where one of the two has none."""
    ours, theirs = urlsplit(f"//{host}"), urlparse(origin)
    their_port = theirs.port  # read first: a port that is not a number ends it here
    if not _is_loopback(ours.hostname):
        return True
    our_name = host if their_port is not None else ours.hostname
    their_name = theirs.netloc.lower() if ours.port is not None else theirs.hostname
    return not our_name or not their_name or our_name == their_name


def _is_loopback(name: str | None) -> bool:
    if name is None:
        return False
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        # The real server asks the resolver, which knows one name and old ways of writing numbers.
        return name == "localhost" or _short_address(name) == 127


def _short_address(name: str) -> int | None:
    """The first byte of an address like ``127.1``, ``0x7f.1`` or ``2130706433``."""
    parts = name.split(".")
    if len(parts) > 4 or not all(_OLD_NUMBER.fullmatch(part) for part in parts):
        return None
    first = int(parts[0], 16 if parts[0][1:2] == "x" else 8 if parts[0][0] == "0" else 10)
    return first if len(parts) > 1 else first >> 24


# --- what is added ---------------------------------------------------------------------------


_LATE: Final = frozenset({"Transfer-Encoding", "Etag", "Last-Modified", "Content-Length"})
"""Fields that aiohttp adds when it prepares an answer, after those of the middleware."""


def _with(given: Response, *fields: tuple[str, str]) -> Response:
    headers = given.headers
    late = next((i for i, (name, _) in enumerate(headers) if name in _LATE), len(headers))
    if 0 < late < len(headers) and headers[late - 1][0] == "Content-Type":
        late -= 1  # a guessed type comes as late
    return msgspec.structs.replace(given, headers=(*headers[:late], *fields, *headers[late:]))


def _cors(context: Context, given: Response) -> Response:
    assert context.options.cors_origin is not None
    methods = _CORS_METHODS + (", PATCH" if context.era.has("cors_patch") else "")
    return _with(
        given,
        ("Access-Control-Allow-Origin", context.options.cors_origin),
        ("Access-Control-Allow-Methods", methods),
        ("Access-Control-Allow-Headers", "Content-Type, Authorization"),
        ("Access-Control-Allow-Credentials", "true"),
    )


def _cache_headers(context: Context, path: str, given: Response) -> Response:
    value = _cache_control(context, path, 200 if isinstance(given, FileAnswer) else given.status)
    if value is None or any(name.lower() == "cache-control" for name, _ in given.headers):
        return given
    return _with(given, ("Cache-Control", value))


def _cache_control(context: Context, path: str, status: int) -> str | None:
    last = path.rpartition("/")[2]
    if path.endswith((".js", ".css")) or (last.startswith("index") and last.endswith(".json")):
        return "no-store" if context.era.has("no_store") else "no-cache"
    if not path.lower().endswith(_IMAGES):
        return None
    if status == 404:
        return f"public, max-age={_GONE_S}"
    if status in _KEPT:
        return f"public, max-age={_KEPT_S}"
    return "no-cache" if status in _NOT_KEPT else None


def _squeezed(request: Request, given: Response) -> Response:
    accepted = request.header("Accept-Encoding")
    kind = next((v for k, v in given.headers if k.lower() == "content-type"), "")
    if kind.partition(";")[0] not in _SQUEEZED or isinstance(given, FileAnswer):
        return given
    if not given.body or "gzip" not in accepted:
        return given
    # aiohttp looks for deflate before gzip.
    coding, bits = ("deflate", 15) if "deflate" in accepted.lower() else ("gzip", 31)
    deflater = zlib.compressobj(wbits=bits)
    body = deflater.compress(given.body) + deflater.flush()
    fields = (("Content-Length", str(len(body))), ("Content-Encoding", coding))
    return msgspec.structs.replace(given, headers=(*given.headers, *fields), body=body)
