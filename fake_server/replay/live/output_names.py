"""Names of output files for live clients: recorded name -> the name that the server would count.

A server names a saved file ``PREFIX_00001_.png`` and counts on for each prefix and folder. A live
client with a prefix of its own gets names with that prefix, counted from 1; a prompt that is played
again with other inputs gets the next free numbers. What was saved once keeps its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from comfyrec.events.outputs import FileEntry

__all__ = ["LiveFiles"]

_COUNTED: Final = re.compile(r"(?P<stem>.*)_(?P<counter>\d{5,})_(?P<rest>[^_]*)", re.DOTALL)


class LiveFiles:
    """The output files of one play-through.

    Args:
        recorded: every file that the recording names.
    """

    def __init__(self, recorded: Iterable[FileEntry] = ()) -> None:
        self._live: dict[tuple[FileEntry, str, str, int], FileEntry] = {}
        self._recorded: dict[FileEntry, FileEntry] = {}
        self._counted: dict[tuple[str, str, str], int] = {}
        for ref in recorded:
            if found := _COUNTED.fullmatch(ref.filename):
                self._count(ref, found["stem"], int(found["counter"]))

    def _count(self, ref: FileEntry, stem: str, counter: int) -> None:
        key = ref.type, ref.subfolder, stem
        self._counted[key] = max(self._counted.get(key, 0), counter)

    def recorded(self, live: FileEntry) -> FileEntry:
        """The recorded file that a live name stands for; itself when it was not renamed."""
        return self._recorded.get(live, live)

    def live(self, recorded: FileEntry, texts: Mapping[str, str], variant: int) -> FileEntry:
        """The name that a recorded output file has for a live prompt.

        Args:
            recorded: as the recording names it.
            texts: recorded text inputs of the prompt -> the live ones, where they differ.
            variant: 0 for the first graph that was played of a recorded prompt, 1 for the next
                other one, ...
        """
        found = _COUNTED.fullmatch(recorded.filename)
        if found is None:
            return recorded
        subfolder, stem = _renamed(recorded.subfolder, found["stem"], texts)
        if not variant and (subfolder, stem) == (recorded.subfolder, found["stem"]):
            return recorded
        key = recorded, subfolder, stem, variant
        if key not in self._live:
            named = FileEntry(recorded.filename, subfolder, recorded.type)
            place = recorded.type, subfolder, stem
            self._count(named, stem, self._counted.get(place, 0) + 1)
            counter = str(self._counted[place]).zfill(len(found["counter"]))
            live = msgspec.structs.replace(named, filename=f"{stem}_{counter}_{found['rest']}")
            self._live[key] = live
            self._recorded[live] = recorded
        return self._live[key]


def _renamed(subfolder: str, stem: str, texts: Mapping[str, str]) -> tuple[str, str]:
    """Folder and prefix, where a text input of the prompt gave both."""
    for recorded, live in texts.items():
        folder, _, name = recorded.replace("\\", "/").rpartition("/")
        live_folder, _, live_name = live.replace("\\", "/").rpartition("/")
        if (folder, name) == (subfolder, stem) and live_name:
            return live_folder, live_name
    for recorded, live in sorted(texts.items(), key=lambda pair: -len(pair[0])):
        if len(recorded) >= 4 and "/" not in live and recorded in stem:
            return subfolder, stem.replace(recorded, live)
    return subfolder, stem
