"""Bytes of a cassette -> rows of the tables of ``schema``. Nothing else is needed to convert one
recording, so many machines can do it at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from struct import Struct
from typing import Any, Final, Protocol, get_args

import msgspec

from comfyrec.cassette.encodings import InMemory, reading_of
from comfyrec.cassette.records import AnyRecord, Session
from comfyrec.errors import CassetteError, CutOff, NotACassette
from comfyrec.http.large_body import SizeOnly
from comfyrec.tables.schema import TABLES, TABLES_VERSION
from comfyrec.timeline import Timeline
from comfyrec.timeline.findings import route_of
from comfyrec.timeline.model import HttpMessage, RecordedPrompt
from comfyrec.timeline.moments import moments_of
from comfyrec.timeline.story import PromptStory, Story, tell
from comfyrec.timing import megapixels
from comfyrec.wording import shortened

__all__ = ["Row", "Rows", "rows_of", "rows_of_records"]

Row = dict[str, Any]

TIME_MAX: Final = 1 << 55
"""Microseconds, some thousand years: a clock that shows more was made up."""
_INT_MAX: Final = (1 << 63) - 1
_MESSAGE_MAX: Final = 2000
_WORDS_MAX: Final = 500
_NAME_MAX: Final = 100
_SOCKET_KINDS: Final = frozenset({"opened", "message", "ping", "closed"})
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_number: Final = Struct("<QqIB").pack


class Reading(Protocol):
    """What gives records, such as ``comfyrec.cassette.files.Reader``."""

    @property
    def problems(self) -> list[CassetteError]: ...


class Rows(msgspec.Struct, frozen=True):
    """What one recording holds."""

    recording: str
    """Its id: the same for each copy of it, in either encoding."""
    tables: dict[str, list[Row]]
    """Table -> rows, each with every column of the table."""
    problems: tuple[CassetteError, ...] = ()
    """What is damaged or missing."""

    @property
    def damaged(self) -> bool:
        """Whether more is wrong than a missing end. Lengths of time may then be wrong too."""
        return any(not isinstance(problem, CutOff) for problem in self.problems)


def rows_of(data: bytes, *, source: str = "", tables: Collection[str] = tuple(TABLES)) -> Rows:
    """The rows of one cassette, of either encoding.

    Args:
        data: the whole file.
        source: its name, for the table ``sessions`` and for sentences.
        tables: which are wanted; each costs time.

    Raises:
        NotACassette: another kind of file, or an empty one.
        NewerFormat: only a newer comfyrec can read it.
        KeyError: there is no such table.
    """
    reading = reading_of(InMemory(data, source))[1]
    return rows_of_records(reading.records(), reading.order, source=source, tables=tables)


def rows_of_records(
    records: Iterable[AnyRecord],
    reading: Reading,
    *,
    source: str = "",
    tables: Collection[str] = tuple(TABLES),
) -> Rows:
    """The same of records that are being read.

    Args:
        records: in order.
        reading: what gives them; it knows what is damaged once they are read.
        source: name of the file.
        tables: which are wanted.

    Raises:
        NotACassette: it holds no session, or times that no clock shows.
    """
    for name in tables:
        TABLES[name]  # a wrong name is told before the work
    identity = _Identity(source)
    timeline = Timeline.build(identity.watched(records), store=SizeOnly())
    if not timeline.sessions:
        raise NotACassette(source, "holds no session; 'comfyrec recover' says what can be read")
    whole = not any(isinstance(problem, CutOff) for problem in reading.problems)
    story = tell(timeline, whole=whole)
    made = _Made(timeline, story, identity.id_of(timeline), source, whole=whole)
    return Rows(
        made.recording,
        {name: [_clean(row) for row in _OF[name](made, tables)] for name in tables},
        tuple(reading.problems),
    )


class _Identity:
    """Sees the records go by and says which recording they are, whatever the encoding and whatever
    was redacted of what they hold."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._seen = blake2b(digest_size=12)

    def watched(self, records: Iterable[AnyRecord]) -> Iterator[AnyRecord]:
        update = self._seen.update
        for record in records:
            conn = getattr(record, "conn", 0)
            if not 0 <= record.t <= TIME_MAX or not 0 <= conn < 1 << 32:
                why = f"record {record.seq} has a time or a connection that cannot be"
                raise NotACassette(self._source, why)
            if isinstance(record, Session):
                update(f"{record.tool}\n{record.upstream}\n".encode("utf-8", "replace"))
            update(_number(record.seq, record.t, conn, _KINDS.get(type(record), 0)))
            yield record

    def id_of(self, timeline: Timeline) -> str:
        ids = "\n".join(prompt.prompt_id for prompt in timeline.all_prompts)
        self._seen.update(ids.encode("utf-8", "replace"))
        return self._seen.hexdigest()


_KINDS: Final[dict[type, int]] = {
    kind: number for number, kind in enumerate(get_args(AnyRecord), start=1)
}


class _Made:
    """A recording on its way to rows."""

    def __init__(
        self, timeline: Timeline, story: Story, recording: str, source: str, *, whole: bool
    ) -> None:
        self.timeline, self.story = timeline, story
        self.recording, self.source, self.whole = recording, source, whole
        self.server = _server(timeline)
        self.version = _UNSAFE.sub("-", timeline.comfyui_version) or "unknown"
        self._days: dict[int, str] = {}
        self.megapixels = [megapixels(prompt.graph) for prompt in timeline.all_prompts]

    def every(self, t: int | None) -> Row:
        """The columns that every table has, for something that happened at ``t``."""
        t = self.timeline.t if t is None else t
        hour = t // 3_600_000_000
        day = self._days.get(hour)
        if day is None:
            day = datetime.fromtimestamp(hour * 3600, UTC).strftime("%Y-%m-%d")
            self._days[hour] = day
        return {
            "recording": self.recording,
            "day": day,
            "server": self.server,
            "version": self.version,
        }

    def at(self, since_start: int | None) -> int | None:
        """A time of the story as Unix time."""
        return None if since_start is None else self.timeline.t + since_start


def _server(timeline: Timeline) -> str:
    upstream = next((s.upstream for s in timeline.sessions if s.upstream), "")
    if not upstream and timeline.exchanges:
        upstream = timeline.exchanges[0].request.header("host")
    host = upstream.partition("://")[2] or upstream
    host = host.partition("/")[0].rpartition("@")[2]
    return _UNSAFE.sub("-", host).strip("-.")[:_NAME_MAX] or "unknown"


# --- one function for each table -------------------------------------------------------------


def _sessions(made: _Made, wanted: Collection[str]) -> Iterator[Row]:
    timeline, story, first = made.timeline, made.story, made.timeline.sessions[0]
    devices = story.server.get("devices", ())
    yield made.every(timeline.t) | {
        "tables_version": TABLES_VERSION,
        "source": made.source,
        "tool": first.tool,
        "upstream": first.upstream,
        "redacted": ",".join(first.redacted),
        "started_at_us": timeline.t,
        "duration_us": story.duration_us,
        "version_stated": story.version_stated,
        "os": _said(story, "os"),
        "python": _said(story, "python_version"),
        "pytorch": _said(story, "pytorch_version"),
        "devices": ",".join(str(name) for name in devices) or None,
        "records": story.records,
        "requests": story.requests,
        "sockets": len(story.sockets),
        "prompts": len(story.prompts),
        "refused": len(story.refusals),
        "violations": len(story.findings) if "violations" in wanted else None,
        "whole": made.whole,
    }


def _said(story: Story, name: str) -> str | None:
    value = story.server.get(name)
    return None if value is None else shortened(str(value), _WORDS_MAX)


def _prompts(made: _Made, wanted: Collection[str]) -> Iterator[Row]:
    for prompt, recorded in zip(made.story.prompts, made.timeline.all_prompts, strict=True):
        failure = prompt.failure
        yield made.every(_time_of(made, prompt)) | {
            "prompt": prompt.number,
            "prompt_id": prompt.prompt_id,
            "client_id": prompt.client_id,
            "outcome": prompt.outcome or "unknown",
            "submitted_at_us": made.at(prompt.submitted_us),
            "started_at_us": made.at(prompt.started_us),
            "ended_at_us": made.at(prompt.ended_us),
            "queue_wait_us": prompt.queue_wait_us,
            "run_us": prompt.run_us,
            "silence_before_end_us": _silence(made, prompt, recorded),
            "nodes": len(recorded.graph),
            "nodes_run": sum(not run.cached for run in prompt.nodes),
            "nodes_cached": sum(run.cached for run in prompt.nodes),
            "megapixels": made.megapixels[prompt.number],
            "previews": prompt.previews,
            "files": prompt.files,
            "listeners": len(prompt.heard),
            "error_type": failure and failure.exception_type,
            "error_message": failure and shortened(failure.message.strip(), _MESSAGE_MAX),
            "error_node_id": failure and failure.node_id,
            "error_class_type": failure and failure.class_type,
        }


def _time_of(made: _Made, prompt: PromptStory) -> int | None:
    known = (prompt.started_us, prompt.submitted_us, prompt.ended_us)
    return made.at(next((t for t in known if t is not None), None))


def _silence(made: _Made, prompt: PromptStory, recorded: RecordedPrompt) -> int | None:
    """How long nothing was said about a prompt before its end."""
    if prompt.outcome == "deleted":
        return None
    sockets, end = made.timeline.sockets, made.at(prompt.ended_us)
    times = [sockets[socket].messages[place].t for socket, place in recorded.frames]
    if end is None:
        end = made.timeline.t_end if not prompt.outcome else None
    posted = made.at(prompt.submitted_us)
    before = [t for t in (*times, posted) if t is not None and end is not None and t < end]
    return end - max(before) if before and end is not None else None


def _node_runs(made: _Made, wanted: Collection[str]) -> Iterator[Row]:
    ran: dict[str, int] = {}
    for prompt in made.story.prompts:
        t = _time_of(made, prompt)
        # Progress of Comfy API v2 passes over short nodes, so that others seem to take longer.
        is_job = prompt.number >= len(made.timeline.prompts)
        for run in prompt.nodes:
            place = None
            if not run.cached:
                place = ran[run.class_type] = ran.get(run.class_type, 0) + 1
            yield made.every(made.at(run.t) if run.t is not None else t) | {
                "prompt": prompt.number,
                "prompt_id": prompt.prompt_id,
                "node_id": run.node_id,
                "class_type": run.class_type,
                "cached": run.cached,
                "started_at_us": made.at(run.t),
                "run_us": None if is_job else run.duration_us,
                "run_of_class": place,
                "steps": _steps(run.max),
                "megapixels": made.megapixels[prompt.number],
                "previews": run.previews,
                "files": len(run.files),
            }


def _steps(most: float | None) -> float | None:
    return float(most) if most is not None and 1 < most < 1e15 else None


def _events(made: _Made, wanted: Collection[str]) -> Iterator[Row]:
    timeline = made.timeline
    for moment in moments_of(timeline):
        if moment.kind not in _SOCKET_KINDS or moment.socket is None:
            continue
        prompt = None if moment.prompt is None else timeline.all_prompts[moment.prompt]
        yield made.every(made.at(moment.t_us)) | {
            "place": moment.at,
            "happened_at_us": made.at(moment.t_us),
            "socket": moment.socket,
            "client": timeline.sockets[moment.socket].name,
            "side": moment.side.name.lower(),
            "kind": moment.kind,
            "type": moment.type,
            "prompt": moment.prompt,
            "prompt_id": None if prompt is None else prompt.prompt_id,
            "node_id": moment.node,
            "bytes": moment.size,
            "words": shortened(moment.words, _WORDS_MAX),
        }


def _http(made: _Made, wanted: Collection[str]) -> Iterator[Row]:
    for exchange in made.timeline.exchanges:
        request, response = exchange.request, exchange.response
        yield made.every(request.t) | {
            "exchange": exchange.number,
            "conn": exchange.conn,
            "asked_at_us": request.t,
            "method": exchange.method,
            "path": shortened(exchange.path, _MESSAGE_MAX),
            "route": shortened(route_of(exchange), _MESSAGE_MAX),
            "status": exchange.status,
            "wait_us": None if response is None else max(response.t - request.t_end, 0),
            "took_us": None if response is None else max(response.t_end - request.t, 0),
            "request_bytes": _size(request),
            "response_bytes": None if response is None else _size(response),
            "complete": response is not None and response.complete,
            "cut_by": None if exchange.cut_by is None else exchange.cut_by.name.lower(),
        }


def _size(message: HttpMessage) -> int:
    stored = 0 if message.stored is None else message.stored.size
    return len(message.body) + stored + message.omitted_bytes


def _violations(made: _Made, wanted: Collection[str]) -> Iterator[Row]:
    prompts = made.timeline.all_prompts
    for finding in made.story.findings:
        yield made.every(made.at(finding.t_us)) | {
            "happened_at_us": made.at(finding.t_us),
            "kind": finding.kind,
            "severity": finding.severity,
            "sentence": shortened(finding.sentence, _MESSAGE_MAX),
            "prompt": finding.prompt,
            "prompt_id": None if finding.prompt is None else prompts[finding.prompt].prompt_id,
            "socket": finding.socket,
            "exchange": finding.exchange,
        }


_OF: Final[dict[str, Callable[[_Made, Collection[str]], Iterator[Row]]]] = {
    "sessions": _sessions,
    "prompts": _prompts,
    "node_runs": _node_runs,
    "events": _events,
    "http": _http,
    "violations": _violations,
}


def _clean(row: Row) -> Row:
    """Nothing that a column cannot hold: lone surrogates, NUL, numbers of more than 64 bits."""
    for name, value in row.items():
        if type(value) is str:
            if not value.isascii() or "\0" in value:
                row[name] = value.encode("utf-8", "replace").decode().replace("\0", "?")
        elif type(value) is int and not -_INT_MAX <= value <= _INT_MAX:
            row[name] = None
    return row
