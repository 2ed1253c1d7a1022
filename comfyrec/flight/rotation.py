"""Where a recorder's records go when it records in parts: each part a cassette of its own.

Records are on the disk before ``write`` returns, as with a single cassette. A cut is made between
two writes: at once where nothing is under way, else at the limit of size or time; the next part
then begins with what is open. A finished part is closed, scanned for secrets met late, and judged
away from the traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from comfyrec.cassette.files import Writer, create_cassette, open_cassette
from comfyrec.cassette.records import AnyRecord
from comfyrec.cassette.redact.redactor import Redactor
from comfyrec.errors import CassetteError, CutOff, SecretKept
from comfyrec.flight.carry import Carry
from comfyrec.flight.keeping import RECENT, Keeping, Part
from comfyrec.flight.verdict import Verdict, judge
from comfyrec.http.large_body import SizeOnly
from comfyrec.timeline import Timeline
from comfyrec.timeline.story import tell

__all__ = ["Limits", "Rotation"]

LINGER_US: Final = 2_000_000
"""After the last word about a prompt: clients fetch history and pictures then."""
RETRY_US: Final = 1_000_000
OVER: Final = 2
"""A part may become so many times as large or old as its limit while something is under way."""
UNTOLD: Final = Verdict(("damaged",))


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """When a part ends."""

    bytes_max: int = 100_000_000
    us_max: int = 3_600_000_000
    each_session: bool = False
    """As soon as a session is over; else only at the limits."""
    silence_us: int = 60_000_000


class LateSecrets:
    """Finds in a finished part the secrets that were met after they were recorded; the redactor of
    the recording goes on meanwhile."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._again = Redactor()

    def ends(self) -> None:
        """The part has its last record: what is known now is looked for."""
        self._again = self._redactor.later()

    def knows_secrets(self) -> bool:
        """Whether there is anything to look for."""
        return self._again.knows_secrets()

    def rescan(self) -> None:
        """The records come from the first on."""
        self._again.rescan()

    def record(self, record: AnyRecord) -> AnyRecord:
        """The record without them."""
        return self._again.record(record)


class _Open(msgspec.Struct):
    """The part that is being written."""

    writer: Writer
    part: Part
    late: LateSecrets


class Rotation:
    """A ``Sink`` for ``comfyrec.proxy.Recorder`` that writes parts.

    Args:
        keeping: decides over finished parts.
        limits: when a part ends.
        redactor: the one of the recording.
        upstream: address of the server, for the session of each part.
        redacted: classes of redaction, likewise.
        clock_us: Unix time, microseconds.
        beside: runs something away from the traffic, in order.
        say: shows a person one sentence.

    Raises:
        CassetteError: the first part cannot be written.
    """

    def __init__(
        self,
        keeping: Keeping,
        limits: Limits,
        *,
        redactor: Redactor,
        upstream: str,
        redacted: Iterable[str],
        clock_us: Callable[[], int],
        beside: Callable[[Callable[[], None]], object],
        say: Callable[[str], None],
    ) -> None:
        self.keeping, self._limits, self._redactor = keeping, limits, redactor
        self._upstream, self._redacted = upstream, tuple(redacted)
        self._clock_us, self._beside, self._say = clock_us, beside, say
        self._carry = Carry(LINGER_US)
        self._number = keeping.numbered
        self._try_at = 0
        self.trouble = False
        """Whether a part could not be brought to its end."""
        leftovers = keeping.leftovers()
        self._open = self._begin(clock_us(), whole=True)
        for path in leftovers:
            self._beside(partial(self._adopt, path))

    # --- what a recorder asks of a sink -----------------------------------------------------

    @property
    def next_seq(self) -> int:
        """The number that the next record shall have."""
        return self._open.writer.next_seq

    def write(self, records: list[AnyRecord]) -> None:
        """Hand these records to the operating system; then see whether the part ends.

        Raises:
            OSError: it could not be written; nothing of it was.
        """
        open_now = self._open
        open_now.writer.write(records)
        saw = self._carry.saw
        for record in records:
            saw(record)
        self.keeping.grew(open_now.part, open_now.writer.size)
        self.tick(records[-1].t)

    def keep_place(self) -> str:
        """See that the part still stands where it can be found; see ``Writer.keep_place``."""
        sentence = self._open.writer.keep_place()
        self._open.part.path = Path(self._open.writer.path)
        return sentence

    # --- cuts -------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """End the part if it is time; to be called now and then where nothing is written."""
        if now < self._try_at:
            return
        limits, carry = self._limits, self._carry
        over = max(
            self._open.writer.size / limits.bytes_max,
            (now - self._open.part.began_us) / limits.us_max,
        )
        is_over = limits.each_session and carry.is_whole(now)
        if is_over or (over >= 1 and (over >= OVER or carry.is_between(now))):
            self.cut(now)

    def cut(self, now: int) -> None:
        """End the part here and begin another one."""
        old = self._open
        try:
            self._open = self._begin(now, whole=not self._carry.waiting)
        except (OSError, CassetteError) as wrong:
            self._try_at = now + RETRY_US
            self._say(f"no new part could be begun ({wrong}); {old.part.path} goes on")
            return
        self._end(old, now, lost=0, whole=not self._open.part.carried)

    def keep_recent(self, now: int) -> list[Path]:
        """Keep what was recorded in the last minutes, up to this moment."""
        part = self._open.part
        names = self.keeping.keep_recent(besides=part)
        if self._carry.records:
            part.wanted = True
            names.append(self.keeping.folder / part.path.name)
            self.cut(now)
        return names

    def close(self, *, lost: int = 0) -> None:
        """End the last part.

        Args:
            lost: records that could not be written and that no note counts yet.
        """
        last = self._open
        if self._carry.records or lost:
            self._end(last, self._clock_us(), lost=lost, whole=not self._carry.waiting)
        else:
            last.writer.abandon()
            self.keeping.discard(last.part)

    def _begin(self, now: int, *, whole: bool) -> _Open:
        self._number += 1
        stamp = datetime.fromtimestamp(now // 1_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
        path = self.keeping.folder / RECENT / f"{stamp}-{self._number:05}.crec"
        late = LateSecrets(self._redactor)
        about: dict[str, Any] = {"part": self._number}
        if not whole:
            about["continues"] = self._open.part.path.name
        writer = create_cassette(
            path,
            upstream=self._upstream,
            redacted=self._redacted,
            about=about,
            clock_us=self._clock_us,
            redactor=late,
        )
        part = Part(path=path, began_us=now, carried=self._carry.waiting)
        try:
            carried = list(self._carry.cut(writer.next_seq, self._clock_us()))
            if carried:
                writer.write(carried)
        except BaseException:
            writer.abandon()
            path.unlink(missing_ok=True)
            raise
        self.keeping.begin(part)
        self.keeping.grew(part, writer.size)
        return _Open(writer, part, late)

    def _end(self, old: _Open, now: int, *, lost: int, whole: bool) -> None:
        old.part.ended_us = now
        old.late.ends()
        self._beside(partial(self._finish, old, now, lost, whole))

    def _finish(self, old: _Open, now: int, lost: int, whole: bool) -> None:
        """Close, scan and judge a part. Runs beside the traffic and raises nothing."""
        try:
            old.writer.close(lost=lost)
        except OSError as wrong:
            self.trouble = True
            self._say(
                f"the end of {old.part.path} could not be written ({wrong.strerror or wrong})"
            )
        except SecretKept as kept:
            self.trouble = True
            self._say(str(kept))
        self.keeping.finished(old.part, self._judged(old.part.path, whole), now)

    def _adopt(self, path: Path) -> None:
        """Decide over a part that an earlier recorder left undecided."""
        now = self._clock_us()
        part = Part(path=path, began_us=now, ended_us=now)
        self.keeping.begin(part)
        self.keeping.finished(part, self._judged(path, whole=True), now)

    def _judged(self, path: Path, whole: bool) -> Verdict:
        try:
            return judged(path, whole=whole, silence_us=self._limits.silence_us)
        except (CassetteError, OSError, MemoryError) as wrong:
            self._say(f"{path} could not be judged and stays ({wrong})")
            return UNTOLD


def judged(path: Path, *, whole: bool, silence_us: int) -> Verdict:
    """The verdict on a file.

    Raises:
        CassetteError: it cannot be read.
    """
    with open_cassette(path) as reader:
        timeline = Timeline.build(reader, store=SizeOnly())
        problems = reader.problems
    if any(not isinstance(problem, CutOff) for problem in problems):
        return UNTOLD
    whole = whole and not problems
    found = judge(timeline, tell(timeline, whole=whole), whole=whole, silence_us=silence_us)
    return Verdict((*found.reasons, "no end")) if problems else found
