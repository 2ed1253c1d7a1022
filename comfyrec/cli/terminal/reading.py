"""A cassette on disk -> its timeline and story, and what is damaged in it."""

from __future__ import annotations

from pathlib import Path

from comfyrec.cassette.files import Reader
from comfyrec.cli.terminal.output import opened
from comfyrec.errors import CutOff
from comfyrec.timeline import Timeline
from comfyrec.timeline.story import Story, tell

__all__ = ["read_story", "read_timeline"]


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
