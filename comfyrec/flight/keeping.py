"""The parts of a recording on disk: which stay, which go, and how much room they may take.

A part that is finished is judged. One that is to stay moves out of the folder ``recent`` into the
recorder's own; the others stay in ``recent`` for some minutes, so that whoever sees something odd
can still keep them, and then go. When room is short the oldest go first, kept ones last, and that
is said.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from comfyrec.flight.verdict import Verdict

__all__ = ["RECENT", "Keeping", "Part", "Policy"]

RECENT: Final = "recent"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What stays."""

    everything: bool = False
    failed: bool = False
    sample: float = 0.0
    """The share of parts that stay whatever is in them."""
    disk_bytes_max: int | None = None
    recent_us: int = 600_000_000
    """How long parts that do not stay can still be kept."""


class Part(msgspec.Struct, kw_only=True):
    """One file."""

    path: Path
    began_us: int
    ended_us: int | None = None
    """None while it is being written."""
    size: int = 0
    carried: frozenset[str] = frozenset()
    """Prompts that were under way when it began: their beginning stands in the part before."""
    verdict: Verdict | None = None
    """None: not judged yet."""
    wanted: bool = False
    """Somebody has asked for it."""
    kept: bool = False
    gone: bool = False
    before: Part | None = None
    """The part before, where ``carried`` is not empty."""
    after: Part | None = None


class Keeping:
    """Holds the parts of one folder. May be called from several threads.

    Args:
        folder: where parts stay; made where there is none.
        policy: what stays.
        chance: gives a number from 0 up to 1 for each part, for the sample.
        say: shows a person one sentence.
    """

    def __init__(
        self,
        folder: Path,
        policy: Policy,
        *,
        chance: Callable[[], float],
        say: Callable[[str], None],
    ) -> None:
        self.folder, self.policy = folder, policy
        self._chance, self._say = chance, say
        self._parts: list[Part] = []
        self._stay: list[tuple[Path, int]] = []
        self._lock = threading.RLock()
        self.kept = 0
        """Parts that stay."""
        self.removed = 0
        """Parts that did not stay, as was wanted."""
        self.dropped = 0
        """Parts that should have stayed, and went for want of room."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / RECENT).mkdir(exist_ok=True, mode=0o700)
        for path in sorted(folder.glob("*.crec")):
            self._stay.append((path, path.stat().st_size))
        self._bytes = sum(size for _, size in self._stay)

    def leftovers(self) -> list[Path]:
        """Parts that a killed recorder left without a decision."""
        return sorted((self.folder / RECENT).glob("*.crec"))

    @property
    def numbered(self) -> int:
        """The highest number in the names of parts that are there already."""
        names = [path.stem for path, _ in self._stay] + [p.stem for p in self.leftovers()]
        numbers = [name.rpartition("-")[2] for name in names]
        return max((int(number) for number in numbers if number.isdecimal()), default=0)

    @property
    def bytes(self) -> int:
        """What all parts take on the disk."""
        return self._bytes

    def begin(self, part: Part) -> None:
        """A new part is being written."""
        with self._lock:
            with contextlib.suppress(OSError):
                self._resize(part, part.path.stat().st_size)
            if self._parts and part.carried:
                part.before, self._parts[-1].after = self._parts[-1], part
            self._parts.append(part)

    def grew(self, part: Part, size: int) -> None:
        """The part that is being written has so many bytes now."""
        with self._lock:
            self._resize(part, size)
            self._make_room()

    def finished(self, part: Part, verdict: Verdict, now: int) -> None:
        """A part has its end and was judged."""
        with self._lock:
            part.verdict = verdict
            with contextlib.suppress(OSError):
                self._resize(part, part.path.stat().st_size)
            if self._stays(part, verdict):
                self._keep(part)
                self._keep_beginnings(part, verdict.prompts)
            self.tidy(now)

    def tidy(self, now: int) -> None:
        """Remove what is no longer needed."""
        with self._lock:
            for part in list(self._parts):
                if self._is_done_with(part, now):
                    self._remove(part)
                    self.removed += 1
            self._make_room()

    def keep_recent(self, besides: Part | None = None) -> list[Path]:
        """Keep every part that is still there.

        Args:
            besides: one that is left out.

        Returns:
            The files, under the names that they have when they are finished.
        """
        with self._lock:
            names = []
            for part in [part for part in self._parts if part is not besides]:
                part.wanted = True
                names.append(self.folder / part.path.name)
                if part.verdict is not None:
                    self._keep(part)
            return names

    def discard(self, part: Part) -> None:
        """Remove a part in which nothing was recorded."""
        with self._lock:
            self._remove(part)

    def _stays(self, part: Part, verdict: Verdict) -> bool:
        policy = self.policy
        if part.wanted or policy.everything or (policy.failed and verdict.reasons):
            return True
        return bool(policy.sample) and self._chance() < policy.sample

    def _keep(self, part: Part) -> None:
        if part.kept or part.gone:
            return
        target = self.folder / part.path.name
        try:
            part.path.rename(target)
        except OSError as wrong:
            self._say(f"{part.path} could not be moved to {self.folder} ({wrong.strerror})")
            target = part.path
        part.path, part.kept = target, True
        self.kept += 1
        self._stay.append((target, part.size))
        self._forget(part)
        if part.verdict is not None and part.verdict.reasons and not self.policy.everything:
            self._say(f"kept {target.name}: {', '.join(part.verdict.reasons)}")

    def _keep_beginnings(self, part: Part, prompts: frozenset[str]) -> None:
        """Keep the parts before in which a failed prompt began."""
        while part.before is not None and part.carried:
            wanted = part.carried & prompts if prompts else part.carried
            if not wanted:
                return
            part, prompts = part.before, wanted
            part.wanted = True
            if part.verdict is not None:
                self._keep(part)

    def _is_done_with(self, part: Part, now: int) -> bool:
        if part.verdict is None or part.ended_us is None:
            return False
        return now - part.ended_us >= self.policy.recent_us and not _may_be_needed(part)

    def _forget(self, part: Part) -> None:
        if part in self._parts:
            self._parts.remove(part)

    def _remove(self, part: Part) -> None:
        with contextlib.suppress(FileNotFoundError):
            part.path.unlink()
        self._resize(part, 0)
        part.gone = True
        self._forget(part)

    def _resize(self, part: Part, size: int) -> None:
        self._bytes += size - part.size
        part.size = size

    def _make_room(self) -> None:
        limit = self.policy.disk_bytes_max
        while limit is not None and self._bytes > limit:
            finished = [part for part in self._parts if part.verdict is not None]
            if finished:
                self._remove(finished[0])
                self.removed += 1
            elif self._stay:
                path, size = self._stay.pop(0)
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
                self._bytes -= size
                self.dropped += 1
                self._say(
                    f"{path.name} ({size} bytes) had to go to stay within --max-disk; a larger one "
                    f"keeps more"
                )
            else:
                return


def _may_be_needed(part: Part) -> bool:
    """Whether a prompt that was under way at its end may still fail in a later part."""
    after, wanted = part.after, part.after.carried if part.after is not None else frozenset()
    while after is not None and wanted:
        if after.verdict is None:
            return True
        after = after.after
        wanted = wanted & after.carried if after is not None else frozenset()
    return False
