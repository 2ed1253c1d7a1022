"""What the relay has seen -> records in a cassette; never in the way of the traffic.

``keep`` hands the records of one chunk to the operating system before it returns, with one write.
Whatever goes wrong with that (a full disk, a folder that has become read-only, a fault of our own)
is said once, counted, and noted in the cassette when writing works again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import msgspec

from comfyrec.cassette.files import open_cassette
from comfyrec.cassette.records import (
    AnyRecord,
    Closed,
    HttpPart,
    Note,
    Opened,
    Raw,
    Side,
    WsFrame,
)
from comfyrec.http.routes import FIRST_SEGMENTS, STATIC_FOLDERS
from comfyrec.wire.tap import Part, Seen
from comfyrec.wire.websocket import Frame

__all__ = ["Recorder", "is_frontend_file", "next_conn", "now_us"]


class Sink(Protocol):
    """Where records go: ``comfyrec.cassette.files.Writer``."""

    @property
    def next_seq(self) -> int: ...
    def write(self, records: list[AnyRecord], /) -> object: ...
    def keep_place(self) -> str: ...


class RecordRedactor(Protocol):
    """What takes secrets out: ``comfyrec.cassette.redact.Redactor``."""

    def take_unread(self) -> list[tuple[int, str]]: ...
    def record(self, record: AnyRecord, /) -> AnyRecord: ...
    def is_clean_text(self, payload: bytes, /) -> bool: ...


@runtime_checkable
class HoldsBodies(Protocol):
    """A redactor that keeps a body until it is whole."""

    def take_held(self, conn: int, side: Side, /) -> list[HttpPart]: ...


RETRY_US: Final = 1_000_000
"""How long to wait before writing again when it has failed soon after it went well again."""
PLACE_US: Final = 1_000_000
"""How long a file may be gone before it is noticed, while something is recorded."""
SENTENCES_MAX: Final = 6
"""Sentences about records that could not be written."""
PATH_BYTES_MAX: Final = 512
"""Longer paths are no files of the frontend."""

# Wall time that cannot run backwards while we record.
_EPOCH_NS: Final = time.time_ns() - time.monotonic_ns()


def now_us() -> int:
    """Absolute Unix time in microseconds."""
    return (_EPOCH_NS + time.monotonic_ns()) // 1000


def next_conn(path: Path) -> int:
    """The number behind those of the connections that a cassette holds already.

    Raises:
        CassetteError: the file is there and is not a cassette.
    """
    if not path.exists() or not path.stat().st_size:
        return 1
    with open_cassette(path) as reader:
        return 1 + max((getattr(record, "conn", 0) for record in reader), default=0)


class Recorder:
    """Copies aside what the relay sees.

    Args:
        say: shows a person one sentence; called once per kind of trouble.
        first_conn: the number of the first connection, behind those of an appended-to cassette.
    """

    def __init__(
        self,
        sink: Sink,
        redactor: RecordRedactor,
        *,
        say: Callable[[str], None],
        first_conn: int = 1,
    ) -> None:
        self._sink, self._redactor, self._say = sink, redactor, say
        self._next_conn = first_conn
        self._told = 0
        self._try_at = self._recovered = self._place_at = 0
        self._trouble = ""
        self.records = 0
        """Records handed to the operating system."""
        self.lost = 0
        """Records that were not."""
        self.unnoted = 0
        """Those of them that no note in the cassette counts yet."""
        self.unread = 0
        """Times that something could not be read."""

    def new_conn(self) -> int:
        """A number for a connection that was just accepted."""
        number, self._next_conn = self._next_conn, self._next_conn + 1
        return number

    def keep(self, conn: int, side: Side, seen: list[Seen]) -> None:
        """Write down what was seen in one chunk of ``side``."""
        if not seen:
            return
        if self.unnoted and not self._noted_loss():
            self.unnoted += len(seen)
            self.lost += len(seen)
            return
        try:
            now = now_us()
            if now > self._place_at:
                self._keep_place(now)
            records = self._all_records(seen, self._sink.next_seq, now, conn, side)
            self._sink.write(records)
            self.records += len(records)
        except Exception as trouble:  # the traffic goes on whatever it is
            self._lose(len(seen), trouble)

    def _all_records(
        self, seen: list[Seen], seq: int, t: int, conn: int, side: Side
    ) -> list[AnyRecord]:
        """What was seen as records, without secrets. Nearly all of it are short text frames."""
        records: list[AnyRecord] = []
        put, is_clean_text, redact = (
            records.append,
            self._redactor.is_clean_text,
            self._redactor.record,
        )
        for item in seen:
            if type(item) is Frame:
                head, payload = item.head, item.payload
                if item.last and head[:1] == b"\x81" and is_clean_text(payload):
                    put(WsFrame(seq, t, conn, side, head, payload))
                else:
                    put(
                        redact(WsFrame(seq, t, conn, side, head, payload, item.last, item.inflated))
                    )
            elif type(item) is Part:
                put(
                    redact(
                        HttpPart(
                            seq,
                            t,
                            conn,
                            side,
                            item.exchange,
                            item.head,
                            item.body,
                            item.trailers,
                            item.last,
                            0,
                            item.chunks,
                        )
                    )
                )
            else:
                self.unread += 1
                if item.data:
                    put(redact(Raw(seq, t, conn, side, item.data, item.why)))
                else:
                    put(redact(Note(seq, t, conn, "unread", item.why)))
            seq += 1
        for unread_on, what in self._redactor.take_unread():
            put(Note(seq, t, unread_on, "not_looked_into", f"{what}; for known secrets only"))
            seq += 1
        return records

    def opened(self, conn: int, peer: str) -> None:
        """A client has connected."""
        self._put(lambda seq, t: Opened(seq, t, conn, peer))

    def closed(self, conn: int, side: Side, how: str, why: str = "") -> None:
        """A side has ended the connection."""
        if isinstance(self._redactor, HoldsBodies):
            for part in self._redactor.take_held(conn, side):
                self._put(partial(_numbered, part), is_redacted=True)
        self._put(lambda seq, t: Closed(seq, t, conn, side, how, why))

    def note(self, conn: int, what: str, text: str = "", count: int = 0) -> None:
        """A remark about the recording."""
        self._put(lambda seq, t: Note(seq, t, conn, what, text, count))

    def _put(self, make: Callable[[int, int], AnyRecord], *, is_redacted: bool = False) -> None:
        if self.unnoted and not self._noted_loss():
            self.unnoted += 1
            self.lost += 1
            return
        try:
            self._write(make(self._sink.next_seq, now_us()), is_redacted=is_redacted)
        except Exception as trouble:  # as in keep
            self._lose(1, trouble)

    def _write(self, record: AnyRecord, *, is_redacted: bool = False) -> None:
        self._sink.write([record if is_redacted else self._redactor.record(record)])
        self.records += 1

    def _keep_place(self, now: int) -> None:
        """See now and then that nobody took the file away."""
        self._place_at = now + PLACE_US
        sentence = self._sink.keep_place()
        if sentence:
            self._say(sentence)

    def _lose(self, count: int, trouble: Exception) -> None:
        self.lost += count
        self.unnoted += count
        self._trouble = _sentence(trouble)
        now = now_us()
        # A disk that is almost full takes a note and not what follows, again and again.
        self._try_at = now + RETRY_US if now < self._recovered + RETRY_US else now
        self._tell(
            f"recording has stopped: {self._trouble}; the traffic goes on, and what is not "
            f"recorded is counted"
        )

    def _noted_loss(self) -> bool:
        """Write down what was lost, before anything else; False while that cannot be written."""
        now = now_us()
        if now < self._try_at:
            return False
        note = Note(self._sink.next_seq, now, 0, "lost", self._trouble, self.unnoted)
        try:
            self._write(note)
        except Exception:  # told of when it began; the next chunk tries again
            return False
        self._recovered = now
        self._tell(
            f"recording goes on; {self.unnoted} records were lost, {self.lost} since it began"
        )
        self.unnoted = 0
        return True

    def _tell(self, sentence: str) -> None:
        self._told += 1
        if self._told < SENTENCES_MAX:
            self._say(sentence)
        elif self._told == SENTENCES_MAX:
            self._say(f"{sentence}; from now on losses are only counted")


def _numbered(part: HttpPart, seq: int, t: int) -> AnyRecord:
    return msgspec.structs.replace(part, seq=seq, t=t)


def _sentence(trouble: Exception) -> str:
    if isinstance(trouble, OSError) and trouble.strerror:
        return f"{trouble.filename}: {trouble.strerror}" if trouble.filename else trouble.strerror
    return str(trouble) or type(trouble).__name__


# As bytes: what has a place among ComfyUI's own routes, and what only the web frontend has.
_FOLDERS: Final = frozenset(name.encode() for name in STATIC_FOLDERS)
_ROUTES: Final = frozenset(name.encode() for name in {*FIRST_SEGMENTS, "api"}) - _FOLDERS
_CODE: Final = re.compile(rb"\.(?:m?js|css|map|html?|ico|svg|woff2?|ttf|webmanifest)$")
_FILE: Final = re.compile(rb"\.[0-9a-z]{1,11}$")


def is_frontend_file(method: bytes, target: bytes) -> bool:
    """Whether a request asks for a static file of the web frontend, and not for ComfyUI's API."""
    if method not in (b"GET", b"HEAD") or not target.startswith(b"/"):
        return False
    path = target.partition(b"?")[0]
    return len(path) <= PATH_BYTES_MAX and _is_file(path)


@lru_cache(maxsize=256)
def _is_file(path: bytes) -> bool:
    path = path.lower()
    first = path.split(b"/", 2)[1]
    if first in _ROUTES:
        return False
    ending = _FILE if first in _FOLDERS else _CODE
    return path == b"/" or ending.search(path) is not None
