"""records with gaps -> records of a whole cassette, with the gaps said in notes.

Numbers are given anew, so that what was missing does not look like fresh damage; a ``lost`` note
stands where records are missing, and a session that had no end gets one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from comfyrec.cassette.records import FORMAT, AnyRecord, End, Note, Session

__all__ = ["mended"]


def mended(records: Iterable[AnyRecord]) -> Iterator[AnyRecord]:
    """The records as one whole recording; of a whole one, exactly what came."""
    number = expected = 0
    last: AnyRecord | None = None
    for record in records:
        if last is None and not isinstance(record, Session):
            yield _stand_in(record)
            number, last = 1, record
        if record.seq > expected:
            text = "these records could not be read and were left out"
            yield Note(number, record.t, 0, "lost", text, record.seq - expected)
            number += 1
        elif isinstance(record, Session) and last is not None and not isinstance(last, End):
            yield End(number, last.t, number)
            number += 1
        expected = record.seq + 1
        last = record
        yield _numbered(record, number)
        number += 1
    if last is None:
        yield Session(0, 0, FORMAT, FORMAT)
        number = 1
    if not isinstance(last, End):
        t = 0 if last is None else last.t
        yield Note(number, t, 0, "cut_off", "the end of the recording was missing")
        yield End(number + 1, t, number + 1)


def _stand_in(record: AnyRecord) -> AnyRecord:
    """A session for records whose own could not be read."""
    return Session(0, record.t, FORMAT, FORMAT, about={"note": "its session could not be read"})


def _numbered(record: AnyRecord, number: int) -> AnyRecord:
    if record.seq == number:
        return record
    if isinstance(record, End):
        return End(number, record.t, number)
    return msgspec.structs.replace(record, seq=number)
