"""Summarize in ten lines what happened in a cassette: outcome, errors, slow nodes, version.

--records counts records instead. --json prints both; docs/show.md lists its fields, and
"info_version" is their version.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any, Final

from comfyrec.cassette.files import Reader
from comfyrec.cassette.records import (
    AnyRecord,
    HttpPart,
    Note,
    Opened,
    Session,
    Side,
    WsFrame,
    facts_in,
)
from comfyrec.cli import DAMAGED, FINE
from comfyrec.cli._parser import add_cassette
from comfyrec.cli._summary_cache import keep, kept
from comfyrec.cli.terminal.drawing import draw
from comfyrec.cli.terminal.output import opened, safe, safe_json, said
from comfyrec.errors import CutOff
from comfyrec.show.summary import summary, summary_json
from comfyrec.show.text import bytes_in_words, instant, line
from comfyrec.timeline.live import Live
from comfyrec.wording import plural, shortened

__all__ = ["INFO_VERSION", "add_arguments", "facts_of", "run"]

INFO_VERSION: Final = 1
"""Moves when a field of the JSON changes its meaning or goes; new fields do not move it."""

_PROMPT = re.compile(rb"POST (?:(?:/api)?/prompt|(?:\S*/api)?/v2/jobs)[? ]")
_VERSION = re.compile(rb'"comfyui_version": ?"([^"]{1,40})"')
_CONTROL_OPCODE, _OPCODE = 8, 0x0F


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec info``."""
    add_cassette(parser, several=True)
    parser.add_argument("--records", action="store_true", help="count records instead")
    parser.add_argument("--json", action="store_true", help="one JSON object per file and line")


def run(arguments: argparse.Namespace) -> int:
    """Read each file and say what it holds."""
    status = FINE
    for number, name in enumerate(arguments.files):
        with opened(name) as reader:
            if number and not arguments.json:
                print()
            lost = _say(reader, arguments)
            status = max(status, said(reader, "info"), DAMAGED if lost else FINE)
    return status


def _say(reader: Reader, arguments: argparse.Namespace) -> int:
    """Say what one file holds; how many records its recorder lost."""
    if arguments.records:
        facts = facts_of(reader)
        print(*_table(facts), sep="\n")
        return int(facts["lost"])
    path = Path(reader.path)
    found = kept(path)
    if found is None:
        found = _read(reader)
        if not reader.problems:
            keep(path, found)
    facts = {**found["facts"], "file": reader.path}
    if arguments.json:
        print(safe_json(json.dumps(facts).encode()).decode())
        return int(facts["lost"])
    state = _state(damaged=bool(reader.problems), lost=facts["lost"])
    redacted = ", ".join(reader.header.redacted) or "nothing"
    about = f"{reader.path}, {bytes_in_words(path.stat().st_size)}, {state}"
    lines = [line(*((text, style) for text, style in one)) for one in found["lines"]]
    draw([*lines, line(("file      ", "dim"), f"{about}, redacted: {redacted}")])
    return int(facts["lost"])


def _read(reader: Reader) -> dict[str, Any]:
    """Read the file, in little memory: what ``--json`` prints, and the lines with their styles."""
    count, live = _Count(), Live()
    for record in reader:
        count.take(record)
        live.take(record)
    live.finish()
    whole = not any(isinstance(problem, CutOff) for problem in reader.problems)
    story = live.story(whole=whole)
    facts = {**_facts(reader, count), **summary_json(story)}
    return {"facts": facts, "lines": [list(map(list, one)) for one in summary(story)]}


class _Count:
    """What a pass over the records adds up."""

    def __init__(self) -> None:
        self.kinds: dict[str, int] = {}
        self.records = self.redacted = self.lost = self.sessions = 0
        self.conns: set[int] = set()
        self.sockets: set[int] = set()
        self.requests = self.prompts = 0
        self.messages = {Side.CLIENT: 0, Side.SERVER: 0}
        self.payload_bytes = 0
        self.versions: dict[str, None] = {}
        self.about: dict[str, Any] = {}
        self.t_first: int | None = None
        self.t_last = 0

    def take(self, record: AnyRecord) -> None:
        """Count one record."""
        name = type(record).__name__
        self.kinds[name] = self.kinds.get(name, 0) + 1
        self.records += 1
        self.t_first = record.t if self.t_first is None else self.t_first
        self.t_last = max(self.t_last, record.t)
        if isinstance(record, WsFrame):
            self._frame(record)
        elif isinstance(record, HttpPart):
            self._part(record)
        elif isinstance(record, Opened):
            self.conns.add(record.conn)
        elif isinstance(record, Note):
            self._note(record)
        elif isinstance(record, Session):
            self.sessions += 1
            self._about(record.about)

    def _frame(self, frame: WsFrame) -> None:
        self.sockets.add(frame.conn)
        self.redacted += frame.redacted
        self.payload_bytes += len(frame.payload)
        if frame.head and 0 < frame.head[0] & _OPCODE < _CONTROL_OPCODE:
            self.messages[frame.side] += 1

    def _part(self, part: HttpPart) -> None:
        self.conns.add(part.conn)
        self.redacted += part.redacted
        self.payload_bytes += len(part.body)
        if part.head and part.side is Side.CLIENT:
            self.requests += 1
            self.prompts += _PROMPT.match(part.head) is not None
        found = _VERSION.search(part.body) if part.side is Side.SERVER else None
        if found:
            self.versions[found[1].decode("utf-8", "replace")] = None

    def _note(self, note: Note) -> None:
        if note.what == "lost":
            self.lost += note.count
        self._about(facts_in(note))

    def _about(self, facts: dict[str, Any]) -> None:
        self.about |= facts
        version = facts.get("comfyui_version")
        if isinstance(version, str):
            self.versions[version] = None


def facts_of(reader: Reader) -> dict[str, Any]:
    """All that ``info`` says, as plain JSON values; reads the whole file."""
    count = _Count()
    for record in reader:
        count.take(record)
    return _facts(reader, count)


def _facts(reader: Reader, count: _Count) -> dict[str, Any]:
    header = reader.header
    return {
        "info_version": INFO_VERSION,
        "file": reader.path,
        "encoding": reader.encoding,
        "format": header.format,
        "size_bytes": Path(reader.path).stat().st_size,
        "tool": header.tool,
        "upstream": header.upstream,
        "comfyui_version": list(count.versions),
        "start_us": count.t_first or 0,
        "duration_us": count.t_last - (count.t_first or 0),
        "sessions": count.sessions,
        "records": count.records,
        "kinds": count.kinds,
        "connections": len(count.conns),
        "sockets": len(count.sockets),
        "requests": count.requests,
        "prompts": count.prompts,
        "messages_from_client": count.messages[Side.CLIENT],
        "messages_from_server": count.messages[Side.SERVER],
        "payload_bytes": count.payload_bytes,
        "redacted_classes": list(header.redacted),
        "redacted": count.redacted,
        "lost": count.lost,
        "about": count.about,
        "whole": not reader.problems and not count.lost,
        "problems": [str(problem) for problem in reader.problems],
    }


def _table(f: dict[str, Any]) -> list[str]:
    started = f"{instant(f['start_us'])}, {f['duration_us'] / 1e6:.3f} s"
    told = f"{f['messages_from_server']} from the server, {f['messages_from_client']} to it"
    classes = ", ".join(f["redacted_classes"]) or "nothing"
    rows = {
        "file": f"{f['file']} ({f['encoding']}, format {f['format']}, {f['size_bytes']} bytes)",
        "recorded": f"{started}, by {f['tool'] or 'an unknown tool'}",
        "upstream": f["upstream"] or "unknown",
        "ComfyUI": ", ".join(f["comfyui_version"]) or "unknown version",
        "records": f"{f['records']} in {plural(f['sessions'], 'session')}",
        "connections": f"{f['connections']}, of them {plural(f['sockets'], 'WebSocket')}",
        "requests": f"{f['requests']}, of them {plural(f['prompts'], 'prompt')}",
        "messages": told,
        "redacted": f"{classes}; {plural(f['redacted'], 'place')}",
        "state": _state(damaged=bool(f["problems"]), lost=f["lost"]),
    }
    if f["lost"]:
        rows["lost"] = f"{f['lost']} records could not be written while recording"
    rows |= {name: _short(value) for name, value in f["about"].items()}
    width = max(map(len, rows))
    return [safe(f"{name:<{width}}  {value}") for name, value in rows.items()]


def _state(*, damaged: bool, lost: int) -> str:
    if damaged:
        return "damaged or cut off"
    return f"incomplete: {lost} records were lost while recording" if lost else "whole"


def _short(value: Any) -> str:
    return shortened(value if isinstance(value, str) else json.dumps(value), 200)
