"""An HTTP request -> what it asks for, in the recording's own ids, so that two can be compared.

What does not change the answer is left out: which socket asks (``clientId``), what clients add to
get past caches (``rand``, ``t``), the port that a server happens to have, the boundary of a form.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from comfyrec.http.forms import BadForm, FormField
from comfyrec.http.large_body import StoredBody, same_bytes, sample_key
from comfyrec.http.routes import is_question
from comfyrec.timeline import Exchange
from fake_server.replay.recorded.id_mapping import deep_renamed
from fake_server.source import Request

__all__ = ["RequestKey", "recorded_request_key", "request_key_of", "skeleton"]

_UNREAD: Final = frozenset(("clientId", "rand", "t", "_", "timestamp"))
# The parameters that the server reads, by the first word of the path; of other paths all but those
# that clients add to get past caches (protocol.md, sections 8 to 11).
_READ: Final = {
    "view": frozenset(("filename", "subfolder", "type", "preview", "channel")),
    "history": frozenset(("max_items", "offset")),
    "queue": frozenset[str](),
    "prompt": frozenset[str](),
    "object_info": frozenset[str](),
    "system_stats": frozenset[str](),
    "features": frozenset[str](),
    "embeddings": frozenset[str](),
    "interrupt": frozenset[str](),
    "free": frozenset[str](),
    "upload": frozenset[str](),
    "ws": frozenset[str](),
    "jobs": frozenset(("status", "workflow_id", "sort_by", "sort_order", "limit", "offset")),
    "userdata": frozenset(("dir", "recurse", "split", "full_info", "overwrite")),
}
# What the server takes where nothing is given.
_DEFAULTS: Final = {"view": (("subfolder", ""), ("type", "output"))}
_DRAWN: Final = re.compile(r"[0-9a-fA-F]{6,}|\d+")
_TEXT_MAX: Final = 256
_LOOPBACK: Final = frozenset(("127.0.0.1", "localhost", "::1"))
# Fields that change an answer by their value.
_TELLING: Final = (
    "Range", "If-None-Match", "If-Modified-Since", "Access-Control-Request-Method", "Comfy-User",
    "Sec-WebSocket-Version",
)  # fmt: skip

Rename = Callable[[str], str]


class RequestKey(msgspec.Struct, frozen=True):
    """What a request asks for."""

    method: str
    path: str
    """Percent-decoded, without ``/api`` in front."""
    prefixed: bool
    query: tuple[tuple[str, str], ...]
    manner: tuple[str, ...]
    """How it was asked: from which origin, for which part."""
    body_key: bytes
    body_form: tuple[str, ...] = ()
    """Names and short texts of a form, without what looks drawn anew."""
    body_bytes: int = 0
    json: Any = None
    """The body as JSON, ids renamed; None when it is none."""
    large: tuple[StoredBody, ...] = ()
    """What of the body stands in files; in ``body_key`` are samples of it."""

    def has_body_of(self, other: RequestKey) -> bool:
        """Whether the bodies of both say the same."""
        return (
            self.body_key == other.body_key
            and len(self.large) == len(other.large)
            and all(map(same_bytes, self.large, other.large))
        )

    @property
    def is_question(self) -> bool:
        """Whether it changes nothing."""
        return is_question(self.method, self.path)

    @property
    def place(self) -> tuple[str, str, tuple[tuple[str, str], ...]]:
        """Method, path and query."""
        return self.method, self.path, self.query

    @property
    def route(self) -> str:
        """The first word of its path; ``v2/jobs`` and ``v2/assets`` of Comfy API v2."""
        return _route(self.path)

    @property
    def family(self) -> str:
        """What it may change, or may be changed by: its route, or one job of Comfy API v2."""
        word = _route(self.path)
        if word == _V2_JOBS and (found := _V2.match(self.path)) and found["id"]:
            return f"{word}/{found['id']}"  # nothing that is done to one job changes another
        return {"upload": "view"}.get(word, word)

    def __str__(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in self.query)
        return f"{self.method} {self.path}{'?' + query if query else ''}"


def skeleton(text: str) -> str:
    """A text without what looks drawn anew: numbers, and runs of hexadecimal digits."""
    return _DRAWN.sub("#", text)


def request_key_of(request: Request, rename: Rename) -> RequestKey:
    """What a live request asks for; ``rename`` turns a live id into the recorded one."""
    return _request_key(request, rename)


def recorded_request_key(exchange: Exchange) -> RequestKey:
    """What a recorded request asked for."""
    return _request_key(exchange.asked, str)


def _request_key(request: Request, rename: Rename) -> RequestKey:
    target = request.parts
    # A slash that was encoded belongs to a name, not to the path.
    segments = [rename(segment).replace("/", "%2F") for segment in target.segments]
    path = "/" + "/".join(segments) if segments else target.path
    # Uploads are not worth the try.
    parsed = request.json if request.body[:1].strip() in _JSON_STARTS else None
    renamed = deep_renamed(parsed, rename) if parsed is not None else None
    return RequestKey(
        method=request.method,
        path=path,
        prefixed=target.prefixed,
        query=tuple(sorted(_read(path, target.pairs, rename))),
        manner=_manner(request.fields),
        body_key=_body_key(request, renamed),
        body_form=tuple(_form(request)),
        body_bytes=request.body_bytes,
        json=renamed,
        large=_large(request),
    )


def _read(path: str, query: Sequence[tuple[str, str]], rename: Rename) -> Iterator[tuple[str, str]]:
    """The parameters that the server decides by: of a name that is given twice, the first."""
    word = _route(path)
    known = _READ.get(word)
    defaults = _DEFAULTS.get(word, ())
    seen = set()
    for name, value in query:
        if name in seen or (name in _UNREAD if known is None else name not in known):
            continue
        seen.add(name)
        if (name, value) not in defaults:
            yield name, rename(value)


# Comfy API v2, which may be mounted below another path; its jobs are not those of /api/jobs.
_V2: Final = re.compile(r"(?:.*/api)?/v2/(?P<family>jobs|assets)(?:/(?P<id>[^/]*)|$)")
_V2_JOBS: Final = "v2/jobs"


def _route(path: str) -> str:
    if found := _V2.match(path):
        return f"v2/{found['family']}"
    word = path.removeprefix("/v2").split("/")[1:2]
    return word[0] if word else ""


_JSON_STARTS: Final = frozenset((b"{", b"[", b'"', b""))


def _manner(fields: Mapping[str, str]) -> tuple[str, ...]:
    # The page names its user as "" where there is only one.
    telling = tuple(
        f"{name}: {fields[name.lower()]}" for name in _TELLING if fields.get(name.lower())
    )
    # A browser says more of where a request comes from than the server's guard reads.
    site = "cross-site" if fields.get("sec-fetch-site") == "cross-site" else ""
    return (_origin(fields), site, _upgrade(fields), *telling)


def _upgrade(fields: Mapping[str, str]) -> str:
    """Whether it asks for a WebSocket, and what is missing for one (protocol.md, section 3)."""
    if fields.get("upgrade", "").lower() != "websocket":
        return ""
    whole = fields.get("sec-websocket-key") and fields.get("sec-websocket-version") == "13"
    return "upgrade" if whole else "bad upgrade"


def _origin(fields: Mapping[str, str]) -> str:
    """How Origin and Host relate, which is all that the server's guard reads (protocol.md, 11)."""
    try:
        origin = urlsplit(fields.get("origin", "")).netloc
    except ValueError:
        return "unreadable"
    host = fields.get("host", "")
    if not origin or _name(host) not in _LOOPBACK:
        return "accepted"
    if _name(origin) != _name(host):
        return "foreign"
    ports = _port(origin), _port(host)
    return "foreign" if all(ports) and ports[0] != ports[1] else "accepted"


def _name(netloc: str) -> str:
    return netloc.rpartition("@")[2].rpartition(":")[0].strip("[]") or netloc


def _port(netloc: str) -> str:
    tail = netloc.rpartition(":")[2]
    return tail if tail.isdigit() and tail != netloc else ""


def _body_key(request: Request, parsed: Any) -> bytes:
    if not request.body_bytes:
        return b""
    if parsed is not None:
        return _digest(json.dumps(parsed, sort_keys=True).encode())
    if request.header("Content-Type").startswith("multipart/"):
        try:
            return _form_digest(request.form())
        except BadForm:
            return _digest(request.body)
    if request.stored is not None:
        return sample_key(request.stored)
    return _digest(request.body)


def _large(request: Request) -> tuple[StoredBody, ...]:
    if request.stored is None:
        return ()
    try:
        fields = request.form()
    except BadForm:
        return (request.stored,)
    found = tuple(field.stored for field in fields if field.stored is not None)
    return found if fields else (request.stored,)


def _form_digest(fields: Sequence[FormField]) -> bytes:
    """Without a copy: an upload may be large."""
    found = hashlib.blake2b(digest_size=16)
    for field in fields:
        named = field.name, field.filename, field.content_type, field.size
        found.update(repr(named).encode())
        found.update(field.value if field.stored is None else sample_key(field.stored))
    return found.digest()


def _form(request: Request) -> Iterator[str]:
    if not request.header("Content-Type").startswith("multipart/"):
        return
    try:
        fields = request.form()
    except BadForm:
        return
    for field in fields:
        text = field.value[:_TEXT_MAX].decode("utf-8", "replace")
        yield f"{field.name}={skeleton(text if field.filename is None else field.filename)}"


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
