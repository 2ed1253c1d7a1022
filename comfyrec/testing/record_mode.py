"""Record modes: what a test does with its cassette, if there is one and if there is none.

Imported at the start of every pytest run, so it imports next to nothing.
"""

from __future__ import annotations

import enum
from typing import Final

__all__ = ["RecordMode", "Use", "no_such_mode"]


class Use(enum.Enum):
    """What a test does with its cassette."""

    REPLAY = enum.auto()
    EXTEND = enum.auto()
    """Replay it, and record the prompts that it does not have."""
    RECORD = enum.auto()
    """Record into a new cassette; an old one is replaced."""
    APPEND = enum.auto()
    """Record everything, after what it has."""


class RecordMode(enum.StrEnum):
    """The values of ``--comfyui-record``."""

    NONE = "none"
    ONCE = "once"
    NEW_EPISODES = "new_episodes"
    ALL = "all"
    REWRITE = "rewrite"

    def use(self, *, recorded: bool) -> Use:
        """What to do, depending on whether there is a cassette."""
        if_recorded, if_missing = _USES[self]
        return if_recorded if recorded else if_missing


def no_such_mode(name: object) -> str:
    """The sentence for a value that is not a mode."""
    return f"record mode {name!r} does not exist; the modes are {', '.join(RecordMode)}"


# mode -> (if there is a cassette, if there is none)
_USES: Final = {
    RecordMode.NONE: (Use.REPLAY, Use.REPLAY),
    RecordMode.ONCE: (Use.REPLAY, Use.RECORD),
    RecordMode.NEW_EPISODES: (Use.EXTEND, Use.RECORD),
    RecordMode.ALL: (Use.APPEND, Use.RECORD),
    RecordMode.REWRITE: (Use.RECORD, Use.RECORD),
}
