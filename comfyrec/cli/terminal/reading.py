"""A cassette on disk -> its timeline and story, and what is damaged in it."""

from __future__ import annotations

from pathlib import Path

from comfyrec.cassette.files import Reader
from comfyrec.cassette.records import AnyRecord, Note
from comfyrec.cli import DAMAGED, FINE
from comfyrec.cli.terminal.output import opened
from comfyrec.cli.terminal.output import tell as tell_user
from comfyrec.errors import CutOff
from comfyrec.timeline import Timeline
from comfyrec.timeline.story import Story, tell
from comfyrec.wording import plural

__all__ = ["LostRecords", "read_story", "read_timeline"]


class LostRecords:
    """Records that never reached a file, as its recorder noted.

    Attributes:
        seen_count: records that have passed.
        count: records that are said to be lost.
    """

    def __init__(self) -> None:
        self.seen_count = self.count = 0

    def seen(self, record: AnyRecord) -> AnyRecord:
        """A record passes."""
        self.seen_count += 1
        if isinstance(record, Note) and record.what == "lost":
            self.count += record.count
        return record

    def say(self, path: str, command: str) -> int:
        """Report them, if there are any; gives the exit status."""
        if not self.count:
            return FINE
        tell_user(command, f"{path}: its recorder could not write {plural(self.count, 'record')}")
        return DAMAGED


def read_timeline(name: str | Path) -> tuple[Timeline, Reader]:
    """The timeline of a cassette; its reader, closed, knows the problems.

    Raises:
        CassetteError: it cannot be read at all.
    """
    with opened(name) as reader:
        return Timeline.build(reader), reader


def read_story(name: str | Path) -> tuple[Timeline, Story, Reader]:
    """The same with the story. A recording that was cut off may lack the ends of its prompts.

    Raises:
        CassetteError: it cannot be read at all.
    """
    timeline, reader = read_timeline(name)
    whole = not any(isinstance(problem, CutOff) for problem in reader.problems)
    return timeline, tell(timeline, whole=whole), reader
