"""timeline -> ids of other kinds than prompts and clients have, and the addresses that it names.

Jobs, assets, uploads: a server mints an id when a client makes one, and says it in the answer. Keys
that a client chooses (``Idempotency-Key``, an ``upload_id`` in the body) are the client's. Both are
other ones in the next run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from comfyrec.timeline import Exchange, Timeline
from fake_server.source import Request

__all__ = ["AUTHORITY", "KEY_HEADERS", "OtherIds", "chosen_ids", "other_ids_of"]

BODY_BYTES_MAX: Final = 1 << 20
"""Answers to what makes something are small; what is longer is a list."""
KEY_HEADERS: Final = ("Idempotency-Key", "X-Idempotency-Key", "X-Request-Id")
_UNSAFE: Final = frozenset(("POST", "PUT", "PATCH"))
# An id that cannot be another word: long, of one piece, with a digit.
_ID: Final = re.compile(r"(?=[^\d]*\d)[A-Za-z0-9][A-Za-z0-9_-]{6,126}[A-Za-z0-9]")
# Those of clients and prompts are replaced elsewhere, by what they are.
_NAMES_ID: Final = re.compile(
    r"(?!(?:client_id|clientId|prompt_id|promptId|sid)$)(?:id|.*(?:_id|Id|_ids))"
)
# Content is the same in every run; a user is who it was.
_CONTENT: Final = re.compile(r".*(?:hash|digest|blake3|sha256|md5|etag).*", re.IGNORECASE)
_DEPTH_MAX: Final = 8
AUTHORITY: Final = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_SCHEME_MAX: Final = 12
_NOT_MADE: Final = frozenset(("/prompt", "/users"))


class OtherIds(msgspec.Struct, frozen=True):
    """What a replay puts live values in place of, beside prompts and clients."""

    minted: Mapping[int, tuple[str, ...]]
    """Exchange -> the ids that the server made in its answer."""
    chosen: frozenset[str]
    """Ids that clients chose."""
    authorities: frozenset[str]
    """``host:port`` under which clients spoke to the server, and that of the server itself."""
    main_authority: str = ""
    """The one that they used most."""

    @property
    def all(self) -> Iterator[str]:
        """Every id."""
        yield from self.chosen
        for ids in self.minted.values():
            yield from ids


def other_ids_of(timeline: Timeline, known: Iterable[str]) -> OtherIds:
    """What a recording holds of them.

    Args:
        timeline: the recording.
        known: ids that are replaced already.
    """
    seen = set(known)
    minted: dict[int, tuple[str, ...]] = {}
    chosen: set[str] = set()
    for exchange in timeline.exchanges:
        if exchange.method not in _UNSAFE or exchange.path in _NOT_MADE:
            continue
        own = {value for _, value in chosen_ids(exchange.asked) if value not in seen}
        chosen |= own
        seen |= own
        ids = tuple(dict.fromkeys(i for i in _said(exchange) if i not in seen))
        if ids:
            minted[exchange.number] = ids
            seen.update(ids)
    used = Counter(_hosts(timeline))
    main = used.most_common(1)[0][0] if used else ""
    return OtherIds(minted, frozenset(chosen), frozenset((*used, *_upstreams(timeline))), main)


def chosen_ids(request: Request) -> Iterator[tuple[str, str]]:
    """(where it stands, id) of the ids that the client of a change chose."""
    for name in KEY_HEADERS:
        value = request.header(name)
        if _ID.fullmatch(value):
            yield name, value
    body = request.json if request.body[:1] == b"{" and len(request.body) < BODY_BYTES_MAX else None
    if isinstance(body, dict):
        for name, value in body.items():
            if _NAMES_ID.fullmatch(name) and isinstance(value, str) and _ID.fullmatch(value):
                yield f"body.{name}", value


def _said(exchange: Exchange) -> Iterator[str]:
    response = exchange.response
    if response is None or exchange.status is None or not 200 <= exchange.status < 300:
        return
    if not 0 < len(response.body) <= BODY_BYTES_MAX:
        return
    answer = exchange.response_json
    content = set(_values(answer, _CONTENT))
    asked = exchange.request.body
    for word in _values(answer, _NAMES_ID):
        # What stands in the question was there before.
        if _ID.fullmatch(word) and word not in content and word.encode() not in asked:
            yield word


def _values(value: Any, names: re.Pattern[str], depth: int = 0) -> Iterator[str]:
    """The texts behind keys of some names, in objects and lists of objects."""
    if depth > _DEPTH_MAX:
        return
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, str):
                if names.fullmatch(name):
                    yield item
            else:
                yield from _values(item, names, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _values(item, names, depth + 1)


def _hosts(timeline: Timeline) -> Iterator[str]:
    """Where requests went: to the recorder, as a rule; to others when it stood as their proxy."""
    for exchange in timeline.exchanges:
        origin = exchange.request.start.partition(" ")[2]
        for name in (exchange.request.header("Host"), _authority_of(origin)):
            if AUTHORITY.fullmatch(name):
                yield name.lower()


def _upstreams(timeline: Timeline) -> Iterator[str]:
    for session in timeline.sessions:
        name = _authority_of(session.upstream)
        if AUTHORITY.fullmatch(name):
            yield name.lower()


def _authority_of(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2] if "://" in url[:_SCHEME_MAX] else ""
    except ValueError:
        return ""
