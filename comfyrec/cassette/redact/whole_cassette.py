"""A whole recording -> the same redacted, or what it still tells.

A recording that is there already is read twice: what is met late counts from its beginning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from comfyrec.cassette.records import AnyRecord, Closed, End, HttpPart, Session, Side, WsFrame
from comfyrec.cassette.redact.head import doubtful_fields
from comfyrec.cassette.redact.pseudonyms.http_messages import Asked, asked_by
from comfyrec.cassette.redact.pseudonyms.pseudonymizer import place_of
from comfyrec.cassette.redact.pseudonyms.telling import KINDS
from comfyrec.cassette.redact.redactor import CLASSES, Redactor
from comfyrec.cassette.redact.secret_redactor import SecretRedactor

__all__ = ["PERHAPS", "Finding", "Records", "findings_in", "redacted_recording"]

Records = Callable[[], Iterator[AnyRecord]]
"""Gives all records from the first on, as often as it is called."""


def redacted_recording(records: Records, redactor: Redactor) -> Iterator[AnyRecord]:
    """The records of a whole recording, redacted and numbered anew.

    Args:
        records: of the recording.
        redactor: a new one.
    """
    others = redactor.pseudonymizer
    if others is not None:
        others.substitutes.learns_only = True
    for record in _with_held(records(), redactor):
        redactor.record(record)
    redactor.begin_again()
    if others is not None:
        others.substitutes.learns_only = False
        others.substitutes.seen.clear()
    for number, record in enumerate(_redacted(records(), redactor)):
        yield _numbered(record, number)


def _redacted(records: Iterable[AnyRecord], redactor: Redactor) -> Iterator[AnyRecord]:
    for record in records:
        if isinstance(record, Closed):
            yield from redactor.take_held(record.conn, record.side)
        elif isinstance(record, End):
            yield from redactor.take_all_held()
        new = redactor.record(record)
        if isinstance(new, Session):
            applied = {*new.redacted, *redactor.classes}
            classes = tuple(name for name in CLASSES if name in applied)
            about = {**new.about, "kept": redactor.kept} if redactor.kept else new.about
            new = msgspec.structs.replace(new, redacted=classes, about=about)
        yield new


def _with_held(records: Iterable[AnyRecord], redactor: Redactor) -> Iterator[AnyRecord]:
    for record in records:
        if isinstance(record, Closed):
            redactor.take_held(record.conn, record.side)
        yield record
    redactor.take_all_held()


def _numbered(record: AnyRecord, number: int) -> AnyRecord:
    if isinstance(record, End):
        return End(number, record.t, number)
    t = record.t
    return record if record.seq == number else msgspec.structs.replace(record, seq=number, t=t)


# --- what a recording tells ------------------------------------------------------------------


class Finding(NamedTuple):
    """Something that a recording tells."""

    redaction: str
    """The class that would hide it; ``perhaps`` where only a person can say whether it is one."""
    kind: str
    place: str
    names: tuple[str, ...]
    """Of the members, fields or parameters; the most frequent first."""
    times: int


PERHAPS: Final = "perhaps"
"""In the place of a class: a header field that no rule knows, with a value that looks like a
credential."""
_CLASSES: Final = dict.fromkeys(("secret", PERHAPS, *CLASSES))
_ORDER: Final = {name: number for number, name in enumerate(_CLASSES)}


def findings_in(records: Records, known_secrets: Iterable[str | bytes] = ()) -> list[Finding]:
    """What a recording tells, secrets first.

    What the recording says was redacted is believed where it has the form of a stand-in.
    """
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for (kind, place, name), count in _secret_places(records, known_secrets).items():
        counts[PERHAPS if kind == "header" else "secret", kind, place, name] = count
    redactor = Redactor(known_secrets, classes=CLASSES)
    others = redactor.pseudonymizer
    assert others is not None, "there are other classes"
    for record in _with_held(records(), redactor):
        if isinstance(record, Session):
            others.substitutes.trusted = frozenset(
                kind for kind, redaction in KINDS.items() if redaction in record.redacted
            )
        redactor.record(record)
    for (kind, place, name), count in others.substitutes.seen.items():
        if count:
            counts[KINDS[kind], kind, place, name] += count
    return _grouped(counts)


def _grouped(counts: Counter[tuple[str, str, str, str]]) -> list[Finding]:
    groups: dict[tuple[str, str, str], list[tuple[int, str]]] = {}
    for (redaction, kind, place, name), count in counts.items():
        groups.setdefault((redaction, kind, place), []).append((count, name))
    found = [
        Finding(
            redaction,
            kind,
            place,
            tuple(name for _, name in sorted(rows, key=lambda row: (-row[0], row[1])) if name),
            sum(count for count, _ in rows),
        )
        for (redaction, kind, place), rows in groups.items()
    ]
    return sorted(found, key=lambda f: (_ORDER[f.redaction], f.kind, -f.times, f.place))


def _secret_places(
    records: Records, known_secrets: Iterable[str | bytes]
) -> Counter[tuple[str, str, str]]:
    """Where secrets stand, those too that are known only by what comes later, and header fields
    that may hold one: (``secret`` or ``header``, place, name) -> how often."""
    redactor = SecretRedactor(known_secrets)
    for record in records():
        redactor.record(record)
    redactor.rescan()
    found: Counter[tuple[str, str, str]] = Counter()
    asked: dict[tuple[int, int], Asked] = {}
    for record in records():
        if isinstance(record, HttpPart) and record.side is Side.CLIENT and record.head:
            asked[record.conn, record.exchange] = asked_by(record.head)
        new = redactor.record(record)
        if new is not record and new != record:
            found["secret", _place(record, new, asked), ""] += 1
        if isinstance(record, HttpPart) and isinstance(new, HttpPart) and record.head:
            of = asked.get((record.conn, record.exchange), Asked())
            for name in doubtful_fields(new.head):
                found["header", place_of(of, record.side, "head"), name] += 1
    return found


def _place(record: AnyRecord, new: AnyRecord, asked: dict[tuple[int, int], Asked]) -> str:
    if isinstance(record, HttpPart) and isinstance(new, HttpPart):
        what = "head" if record.head != new.head else "body"
        return place_of(asked.get((record.conn, record.exchange), Asked()), record.side, what)
    if isinstance(record, WsFrame):
        return "WebSocket of the client" if record.side is Side.CLIENT else "WebSocket"
    return type(record).__name__.lower()
