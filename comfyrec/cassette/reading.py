"""What the readers of both encodings share: the source of bytes, and the order of records.

Every record carries its number. So a reader knows what is missing wherever bytes were damaged,
removed, doubled or moved, without trusting the damaged bytes themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from comfyrec.cassette.records import FORMAT, AnyRecord, End, Session
from comfyrec.errors import CassetteError, CutOff, DamagedRecord, NewerFormat

__all__ = [
    "BAD_INPUT",
    "BEHIND_A_HOLE",
    "HOLE",
    "ByteSource",
    "RecordOrder",
    "check_format",
]

PROBLEMS_MAX: Final = 200
"""Problems kept one by one; a file made of damage must not fill the memory with sentences."""

HOLE: Final = bytes(512)
"""A sector of zeros inside damage: pages that never reached the disk (power loss, a copy of a half
written file). What stands behind such a hole may be of another time, so reading ends there unless
it is asked to go on (``recover`` asks)."""

BAD_INPUT: Final = (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError, ValueError)
"""What decoding bytes with a right checksum can still raise when somebody made them up."""


BEHIND_A_HOLE: Final = (
    "a stretch of zeros: bytes that never reached the disk; reading ends here, "
    "'comfyrec recover' keeps what stands behind it"
)


class ByteSource(Protocol):
    """Where the bytes of a cassette come from; a shell opens it."""

    path: str

    def size(self) -> int:
        """Bytes that can be read now."""
        ...

    def read_at(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes from ``offset``; fewer only at the end."""
        ...


def check_format(path: str, session: Session) -> None:
    """Refuse a session that only a newer reader understands.

    Raises:
        NewerFormat: ``min_reader`` is beyond what this reader knows.
    """
    if session.min_reader > FORMAT:
        raise NewerFormat(path, session.min_reader, FORMAT)


class RecordOrder:
    """Numbers of records as they come, and what is wrong with them.

    A reader calls ``damage`` where it met bytes that are not a record, compares each record's
    number with ``expected``, asks ``admits`` when they differ, and calls ``finish`` at the end.
    """

    def __init__(self, path: str, offset_now: Callable[[], int]) -> None:
        self.path = path
        self.problems: list[CassetteError] = []
        self.left_out = 0
        self.expected = self._missing = 0
        self.last: AnyRecord | None = None
        self._offset_now = offset_now
        self._fresh: DamagedRecord | None = None
        self._spread = False

    @property
    def unharmed(self) -> bool:
        """Whether nothing is wrong but that the end may be missing."""
        return all(isinstance(problem, CutOff) for problem in self.problems)

    def note(self, problem: CassetteError) -> None:
        """Keep one problem, up to the bound."""
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)
        else:
            self.left_out += 1

    def damage(self, offset: int, why: str, *, spread: bool = False) -> None:
        """Bytes at ``offset`` are not a record; the next record says how many are missing.

        With ``spread`` the gaps before all coming records, up to ``settle``, are of this damage.
        """
        self._fresh, self._spread = DamagedRecord(self.path, offset, why), spread
        self.note(self._fresh)

    def settle(self) -> None:
        """What is missing from here on is not of the damage met so far."""
        self._fresh = None

    def admits(self, record: AnyRecord) -> bool:
        """Whether a record whose number is not the expected one is still news."""
        if record.seq < self.expected:
            self._say(f"record {record.seq} stands here once more")
            return False
        self.skip_to(record.seq)
        return True

    def skip_to(self, seq: int) -> None:
        """The next record is ``seq``: say what is missing before it."""
        missing = seq - self.expected
        self.expected = seq
        self._missing += missing
        if self._fresh is not None and missing:
            self._fresh.missing += missing
        elif missing:
            self._say("records are gone without a trace", missing)
        if not self._spread:
            self._fresh = None

    def begins(self, session: Session) -> None:
        """A session starts; the one before it must have ended."""
        check_format(self.path, session)
        if self.last is not None and not isinstance(self.last, End):
            self.note(CutOff(self.path, self._offset_now(), "an earlier recording has no end"))

    def finish(self) -> None:
        """No more bytes."""
        if not isinstance(self.last, End):
            read = self.expected - self._missing
            self.note(CutOff(self.path, self._offset_now(), records=read))

    def _say(self, why: str, missing: int = 0) -> None:
        self.note(DamagedRecord(self.path, self._offset_now(), why, missing))
