"""An HTTP request, taken apart: the one reader of targets, queries, header fields and JSON bodies.

Every part is read once, when it is first asked for, and stays with the request: a body that passes
scenarios, a fixture and the routes is parsed by the first of them that looks. So what a request
gives must not be changed; copy a value to change it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

import msgspec

from comfyrec.events.nesting import NESTED_MAX, nests_deeper
from comfyrec.http.forms import BadForm, FormField, fields_of, fields_of_stored, parameters
from comfyrec.http.large_body import StoredBody

__all__ = [
    "NESTS_MAX",
    "NotJson",
    "NotText",
    "Request",
    "Target",
    "loads",
    "loads_or_none",
    "target_of",
]

NESTS_MAX: Final = 950
"""Lists and objects in each other that a server's Python reads, up to 3.12; ours may read more."""
_API: Final = "api"
# RFC 9112 section 3.2.2: scheme and authority before the path, as clients of a proxy send them.
_ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


class NotText(ValueError):
    """A body that is not in the charset that its Content-Type names, or in an unknown one."""


class NotJson(ValueError):
    """A body that is not JSON."""


# --- targets ---------------------------------------------------------------------------------


class Target(msgspec.Struct, frozen=True):
    """A request target, taken apart as aiohttp does it for ComfyUI.

    The absolute form (``http://host/prompt``) names the same as the origin form (``/prompt``), and
    a fragment is left out. ``/api`` in front of a path is not part of it: ComfyUI answers most
    routes with and without.
    """

    raw_path: str
    """As sent, still percent-encoded, ``/api`` included."""
    raw_query: str
    """As sent, without the question mark."""
    segments: tuple[str, ...]
    """Of the path, each percent-decoded by itself: an encoded slash belongs to its segment. Empty
    for a target that is not a path, such as ``*``."""
    prefixed: bool
    """Whether ``/api`` stood in front."""
    pairs: tuple[tuple[str, str], ...]
    """Names and values of the query, decoded, in order."""
    query: Mapping[str, tuple[str, ...]]
    """The same: each name with all its values."""
    path: str
    """Percent-decoded, without ``/api`` in front."""

    @property
    def first_segment(self) -> str:
        """What a family of routes has in common: ``history`` of ``/api/history/some-id``."""
        return self.segments[0] if self.segments else ""

    def first(self, name: str) -> str | None:
        """The value of a query parameter; of several the first, which is ComfyUI's choice."""
        values = self.query.get(name)
        return values[0] if values else None


@lru_cache(maxsize=512)
def target_of(target: str) -> Target:
    """Take a request target apart. Never raises; clients send the same ones again and again."""
    origin = None if target.startswith("/") else _ORIGIN.match(target)
    path, _, query = target[origin.end() if origin else 0 :].partition("#")[0].partition("?")
    if origin and not path:
        path = "/"
    segments: tuple[str, ...] = ()
    if path.startswith("/"):
        segments = tuple(unquote(each) if "%" in each else each for each in path[1:].split("/"))
    prefixed = len(segments) > 1 and segments[0] == _API
    pairs = tuple(parse_qsl(query, keep_blank_values=True)) if query else ()
    values: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        values[name] = (*values.get(name, ()), value)
    segments = segments[1:] if prefixed else segments
    bare = "/" + "/".join(segments) if segments else unquote(path)
    return Target(path, query, segments, prefixed, pairs, values, bare)


# --- requests --------------------------------------------------------------------------------


class Request(msgspec.Struct, frozen=True, dict=True):
    """One HTTP request, whole."""

    method: str
    target: str
    """Path and query as sent, still percent-encoded."""
    headers: tuple[tuple[str, str], ...] = ()
    """In the order and case of the wire."""
    body: bytes = b""
    peer: str = ""
    """The other end of the connection, ``address:port``; empty when there is none."""
    stored: StoredBody | None = None
    """The body, when it stands in a file; ``body`` is empty then."""
    secure: bool = False
    """Whether it came over TLS."""

    # --- the target

    @property
    def parts(self) -> Target:
        """The target, taken apart."""
        return target_of(self.target)

    @property
    def path(self) -> str:
        """Percent-decoded, without query and without ``/api`` in front."""
        return target_of(self.target).path

    @property
    def prefixed(self) -> bool:
        """Whether ``/api`` stood in front of the path."""
        return target_of(self.target).prefixed

    @property
    def query(self) -> Mapping[str, tuple[str, ...]]:
        """Each name of the query with all its values, in order."""
        return target_of(self.target).query

    def first(self, name: str) -> str | None:
        """The first value of a query parameter; None when it is not there."""
        return target_of(self.target).first(name)

    @property
    def client_id(self) -> str:
        """The ``clientId`` of a WebSocket upgrade; empty when there is none."""
        return self.first("clientId") or ""

    def asks(self, method: str, path: str) -> bool:
        """Whether it asks for this route, with or without ``/api``."""
        return self.method == method and self.path == path

    def below(self, prefix: str) -> Request | None:
        """The same request as a server below ``prefix`` sees it; None when it is not below."""
        parts, bare = self.parts, prefix.rstrip("/")
        if not parts.raw_path.startswith(f"{bare}/"):
            return None
        query = f"?{parts.raw_query}" if parts.raw_query else ""
        return self.with_target(parts.raw_path[len(bare) :] + query)

    def with_target(self, target: str) -> Request:
        """The same request for another target."""
        return msgspec.structs.replace(self, target=target)

    def with_query(self, **values: str | None) -> Request:
        """The same request with these query values; None takes one out."""
        parts = self.parts
        pairs = [pair for pair in parts.pairs if pair[0] not in values]
        pairs += [(name, value) for name, value in values.items() if value is not None]
        query = urlencode(pairs, quote_via=quote)
        return self.with_target(f"{parts.raw_path}?{query}" if query else parts.raw_path)

    # --- header fields

    @property
    def fields(self) -> Mapping[str, str]:
        """Lower-case name -> value; of several fields of one name the first."""
        return _fields(self.headers)

    def header(self, name: str, default: str = "") -> str:
        """The first field of that name, whatever its case."""
        return _fields(self.headers).get(name.lower(), default)

    @property
    def is_secure(self) -> bool:
        """Whether its client speaks TLS: with us, or with a proxy in front that says so."""
        told = self.header("X-Forwarded-Proto").partition(",")[0].strip().lower()
        return told == "https" if told else self.secure

    @property
    def authority(self) -> str:
        """``host:port`` under which its client knows the server, proxies in front included."""
        told = self.header("X-Forwarded-Host").partition(",")[0].strip()
        return told or self.header("Host", "127.0.0.1")

    @property
    def origin(self) -> str:
        """``scheme://host:port`` under which its client knows the server: what links begin with."""
        return f"http{'s' if self.is_secure else ''}://{self.authority}"

    # --- the body

    @property
    def body_bytes(self) -> int:
        """Of the body, wherever it is."""
        return len(self.body) if self.stored is None else self.stored.size

    def body_start(self, size: int) -> bytes:
        """The first bytes of the body, wherever it is."""
        return self.body[:size] if self.stored is None else self.stored.read(0, size)

    def in_memory(self) -> Request:
        """The same request with its body in memory."""
        if self.stored is None:
            return self
        return msgspec.structs.replace(self, body=self.body_start(self.stored.size), stored=None)

    def text(self) -> str:
        """The body as text, in the charset that its Content-Type names.

        Raises:
            NotText: it is not in that charset, or the charset is unknown.
        """
        return _text(self.body, self.header("Content-Type"))

    def read_json(self) -> Any:
        """The body as JSON, parsed once: do not change it.

        Raises:
            NotText: see ``text``.
            NotJson: the text is not JSON.
            RecursionError: it nests more deeply than the server's Python goes.
        """
        value, why = self._json
        if why is not None:
            raise why.with_traceback(None)
        return value

    @cached_property
    def json(self) -> Any:
        """The body as JSON, parsed once: do not change it.

        None when it is not JSON, or nests more deeply than ``NESTED_MAX``.
        """
        return None if nests_deeper(self.body, NESTED_MAX) else self._json[0]

    @cached_property
    def _json(self) -> tuple[Any, Exception | None]:
        try:
            return loads(self.text()), None
        except NotText as error:
            return None, error
        except ValueError as error:
            return None, NotJson(str(error))
        except RecursionError as error:
            return None, error

    def form(self) -> list[FormField]:
        """The parts of a form in their order; none when its Content-Type is not a form's.

        Raises:
            BadForm: the body is not what its Content-Type says.
        """
        fields, why = self._form
        if why is not None:
            raise why.with_traceback(None)
        return fields

    @cached_property
    def _form(self) -> tuple[list[FormField], BadForm | None]:
        try:
            kind = self.header("Content-Type")
            if self.stored is not None:
                return fields_of_stored(kind, self.stored), None
            return fields_of(kind, self.body), None
        except BadForm as error:
            return [], error


@lru_cache(maxsize=512)
def _fields(headers: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, value in headers:
        found.setdefault(name.lower(), value)
    return found


def _text(body: bytes, content_type: str) -> str:
    try:
        return body.decode(_charset(content_type))
    except (BadForm, ValueError, LookupError) as error:
        raise NotText(str(error)) from None


@lru_cache(maxsize=64)
def _charset(content_type: str) -> str:
    return parameters(content_type)[1].get("charset") or "utf-8"


# --- JSON ------------------------------------------------------------------------------------


def loads(text: str | bytes) -> Any:
    """Read JSON as Python's ``json`` reads it, the common case in a fifth of its time.

    Raises:
        ValueError: it is not JSON.
        RecursionError: nested more deeply than the server's Python goes.
    """
    if nests_deeper(text, NESTS_MAX):
        raise RecursionError("maximum recursion depth exceeded while decoding a JSON document")
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # NaN, lone surrogates, numbers that no double holds: strict parsers take none of them.
        return json.loads(text)


def loads_or_none(text: str | bytes) -> Any:
    """Read JSON as ComfyUI's Python writes it, NaN included; None for what is not JSON, or nests
    more deeply than ``NESTED_MAX``."""
    if nests_deeper(text, NESTED_MAX):
        return None
    try:
        return loads(text)
    except (ValueError, RecursionError):
        return None
