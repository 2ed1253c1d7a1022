"""timeline -> ids of other kinds than prompts and clients have, and the addresses that it names.

Jobs, assets, uploads: a server mints an id when a client makes one, and says it in the answer; it
may be a number. Keys that a client chooses (``Idempotency-Key``, an ``upload_id`` in the body) are
the client's. Both are other ones in the next run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from comfyrec.timeline import Exchange, Timeline
from fake_server.replay.recorded.id_mapping import NAMES_ID, UNMISTAKABLE
from fake_server.source import Request

__all__ = ["AUTHORITY", "KEY_HEADERS", "OtherIds", "chosen_ids", "numbers_named", "other_ids_of"]

BODY_BYTES_MAX: Final = 1 << 20
"""Answers to what makes something are small; what is longer is a list."""
KEY_HEADERS: Final = ("Idempotency-Key", "X-Idempotency-Key", "X-Request-Id")
_UNSAFE: Final = frozenset(("POST", "PUT", "PATCH"))
# An id that cannot be another word: long, of one piece, with a digit.
_ID: Final = re.compile(r"(?=[^\d]*\d)[A-Za-z0-9][A-Za-z0-9_-]{6,126}[A-Za-z0-9]")
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
    numbers: Mapping[int, frozenset[str]]
    """Exchange -> the ids it is about that are numbers, made there or before."""
    chosen: frozenset[str]
    """Ids that clients chose."""
    authorities: frozenset[str]
    """``host:port`` under which clients spoke to the server, and that of the server itself."""
    main_authority: str = ""
    """The one that they used most."""

    @property
    def all(self) -> Iterator[str]:
        """Every id but those that are numbers."""
        yield from self.chosen
        numbers = self.all_numbers
        for ids in self.minted.values():
            yield from (one for one in ids if one not in numbers)

    @property
    def all_numbers(self) -> frozenset[str]:
        """Every id that is a number."""
        return frozenset().union(*self.numbers.values())


def other_ids_of(timeline: Timeline, known: Iterable[str]) -> OtherIds:
    """What a recording holds of them.

    Args:
        timeline: the recording.
        known: ids that are replaced already.
    """
    seen = set(known)
    minted: dict[int, tuple[str, ...]] = {}
    made_at: dict[str, str] = {}
    chosen: set[str] = set()
    for exchange in timeline.exchanges:
        if exchange.method not in _UNSAFE or exchange.path in _NOT_MADE:
            continue
        own = {value for _, value in chosen_ids(exchange.asked) if value not in seen}
        chosen |= own
        seen |= own
        ids = dict.fromkeys(i for i in _said(exchange) if i not in seen)
        numbers = dict.fromkeys(i for i in _numbers_said(exchange) if i not in seen)
        if ids or numbers:
            minted[exchange.number] = (*ids, *numbers)
            seen.update(ids, numbers)
            made_at.update((number, exchange.path) for number in numbers)
    used = Counter(_hosts(timeline))
    main = used.most_common(1)[0][0] if used else ""
    authorities = frozenset((*used, *_upstreams(timeline)))
    about = _about_numbers(timeline, made_at)
    return OtherIds(minted, about, frozenset(chosen), authorities, main)


def _about_numbers(timeline: Timeline, made_at: Mapping[str, str]) -> Mapping[int, frozenset[str]]:
    """Exchange -> the numbers that its path or its body names, or that are made at its path."""
    found = {}
    for exchange in timeline.exchanges if made_at else ():
        named = {*exchange.path.split("/"), *numbers_named(exchange.asked)}
        about = {n for n, path in made_at.items() if n in named or path == exchange.path}
        if about:
            found[exchange.number] = frozenset(about)
    return found


def numbers_named(request: Request) -> Iterator[str]:
    """The numbers behind names of ids in its query and its body."""
    for name, value in request.parts.pairs:
        if value.isdecimal() and NAMES_ID.fullmatch(name):
            yield value
    body = request.json if request.body[:1] == b"{" and len(request.body) < BODY_BYTES_MAX else None
    for name, value in body.items() if isinstance(body, dict) else ():
        if NAMES_ID.fullmatch(name):
            yield from (
                str(one)
                for one in (value if isinstance(value, list) else [value])
                if _is_number(one)
            )


def chosen_ids(request: Request) -> Iterator[tuple[str, str]]:
    """(where it stands, id) of the ids that the client of a change chose."""
    for name in KEY_HEADERS:
        value = request.header(name)
        if _ID.fullmatch(value):
            yield name, value
    body = request.json if request.body[:1] == b"{" and len(request.body) < BODY_BYTES_MAX else None
    if isinstance(body, dict):
        for name, value in body.items():
            if not NAMES_ID.fullmatch(name):
                continue
            if isinstance(value, str) and _ID.fullmatch(value):
                yield f"body.{name}", value
            elif _is_number(value) and value >= UNMISTAKABLE:
                yield f"body.{name}, a number", str(value)


def _said(exchange: Exchange) -> Iterator[str]:
    response = exchange.response
    if response is None or exchange.status is None or not 200 <= exchange.status < 300:
        return
    if not 0 < len(response.body) <= BODY_BYTES_MAX:
        return
    answer = exchange.response_json
    content = set(_values(answer, _CONTENT))
    asked = exchange.request.body
    for word in _values(answer, NAMES_ID):
        # What stands in the question was there before.
        if _ID.fullmatch(word) and word not in content and word.encode() not in asked:
            yield word


def _numbers_said(exchange: Exchange) -> Iterator[str]:
    """The numbers behind names of ids in an answer that are not in the question."""
    if exchange.response is None or exchange.status is None or not 200 <= exchange.status < 300:
        return
    if not 0 < len(exchange.response.body) <= BODY_BYTES_MAX:
        return
    asked = exchange.request.body
    for number in _numbers(exchange.response_json):
        if number.encode() not in asked:
            yield number


def _numbers(value: Any, depth: int = 0) -> Iterator[str]:
    if depth > _DEPTH_MAX:
        return
    if isinstance(value, dict):
        for name, item in value.items():
            if _is_number(item) and NAMES_ID.fullmatch(name):
                yield str(item)
            else:
                yield from _numbers(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _numbers(item, depth + 1)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


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
