"""A timeline and its story -> lines for a terminal: prompts as bars, then what happened in order.

Nothing here depends on color: marks and words say all of it. Lines are as long as what they say; a
shell cuts them to the width of a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from comfyrec.cassette.records import Side
from comfyrec.show.selection import Selection
from comfyrec.show.summary import OUTCOMES, summary
from comfyrec.show.text import Line, bytes_in_words, duration, line
from comfyrec.timeline import Timeline
from comfyrec.timeline.findings import SILENCE_US_MIN, Finding, Silence
from comfyrec.timeline.live import Live, Told
from comfyrec.timeline.moments import PREVIEWS, Moment, moments_of
from comfyrec.timeline.node_runs import NodeRun
from comfyrec.timeline.story import PromptStory, Story
from comfyrec.wording import plural, shortened

__all__ = ["Following", "bars", "legend", "narrative", "rows"]

PROMPTS_SHOWN: Final = 12
"""Prompts that are drawn with bars unless some are asked for."""
NODES_SHOWN: Final = 40
LANES_MAX: Final = 6
"""Sockets that have a lane of their own; others share the last one."""
_NAME_WIDTH: Final = 27
_DURATION_WIDTH: Final = 8
_TYPE_WIDTH: Final = 17
_TAIL_WIDTH: Final = 18
"""Room for steps and previews behind a bar."""

_BRIEF: Final = frozenset({"progress", "progress_state", *PREVIEWS})
"""Types that come in dozens; without a filter a run of them is told in one line."""
_APART_US: Final = 1_000_000
"""Progress with such a pause before it begins a line of its own."""


def narrative(
    timeline: Timeline,
    story: Story,
    *,
    selection: Selection | None = None,
    every_frame: bool = False,
    width: int = 80,
) -> Iterator[Line]:
    """All that ``show`` prints of one recording.

    Args:
        timeline: the recording.
        story: of the same timeline.
        selection: what is to be shown of it.
        every_frame: do not gather progress and previews into one line.
        width: columns that bars may take.
    """
    wanted = selection or Selection()
    if wanted.everything:
        yield from summary(story)
        yield ()
    moments = wanted.of(moments_of(timeline), timeline)
    if not wanted.finely:
        shown = {m.prompt for m in moments} if not wanted.everything else None
        yield from bars(story, shown, width)
    if moments and not wanted.finely:
        yield from legend(story)
    yield from rows(timeline, story, moments, every_frame=every_frame or wanted.finely)


# --- prompts as bars -------------------------------------------------------------------------


def bars(story: Story, numbers: set[int | None] | None = None, width: int = 80) -> Iterator[Line]:
    """Each prompt with its nodes, as bars over its time.

    Args:
        story: the story.
        numbers: the prompts that are drawn; None: the first ones.
        width: columns of a line.
    """
    chosen = [p for p in story.prompts if numbers is None or p.number in numbers]
    for prompt in chosen[:PROMPTS_SHOWN]:
        yield from _prompt_bars(prompt, width)
        yield ()
    left_out = len(chosen) - PROMPTS_SHOWN
    if left_out > 0:
        yield line((f"... and {plural(left_out, 'more prompt')}; --prompt shows one", "dim"))
        yield ()


def _prompt_bars(prompt: PromptStory, width: int) -> Iterator[Line]:
    words, style = OUTCOMES.get(prompt.outcome, (prompt.outcome, "warn"))
    took = f" after {duration(prompt.run_us)}" if prompt.run_us is not None else ""
    waited = f", waited {duration(prompt.queue_wait_us)}" if prompt.queue_wait_us else ""
    client = f", for {prompt.client_id}" if prompt.client_id else ", without a client id"
    title = f"prompt {prompt.prompt_id[:8]} (#{prompt.number + 1}) "
    yield line((title, "bold"), (f"{words}{took}", style), f"{waited}{client}")
    begin = prompt.started_us or 0
    end = prompt.ended_us or max((r.t_end or r.t or 0 for r in prompt.nodes), default=begin)
    room = max(width - _NAME_WIDTH - _DURATION_WIDTH - 5 - _TAIL_WIDTH, 10)
    for run in prompt.nodes[:NODES_SHOWN]:
        yield _node_bar(run, begin, max(end - begin, 1), room)
    if len(prompt.nodes) > NODES_SHOWN:
        yield line((f"  ... {len(prompt.nodes) - NODES_SHOWN} more nodes", "dim"))
    if prompt.failure is not None:
        style = "warn" if prompt.failure.blocked else "bad"
        yield line("  ", (" ".join(str(prompt.failure).split()), style))
    told = prompt.heard or prompt.started_us is not None  # what no socket told, answers did
    if not told and prompt.outcome != "deleted":
        yield line(("  nobody was told anything about it over a socket", "warn"))


def _node_bar(run: NodeRun, begin: int, whole: int, room: int) -> Line:
    name = f"  {shortened(run.name, _NAME_WIDTH):<{_NAME_WIDTH}}"
    if run.cached:
        return line((name, "dim"), ("  cached", "dim"))
    took = "running" if run.duration_us is None else duration(run.duration_us)
    start = run.t or 0
    last = run.t_end if run.t_end is not None else begin + whole
    left = min(round((start - begin) / whole * room), room - 1)
    size = max(min(round((last - start) / whole * room), room - left), 1)
    left = max(left, 0)
    bar = "=" * size if (last - start) * room >= whole else "|"
    steps = f" {run.value:g}/{run.max:g}" if run.max and run.max > 1 else ""
    shown = f", {plural(run.previews, 'preview')}" if run.previews else ""
    tail = f"{steps}{shown}".lstrip(",")
    text = f"{' ' * left}{bar}"
    return line(name, f" {took:>{_DURATION_WIDTH}}  ", (text, "node"), (tail, "dim"))


# --- what happened ---------------------------------------------------------------------------


def legend(story: Story) -> Iterator[Line]:
    """What the signs of the lines below it stand for."""
    sockets = len(story.sockets)
    lanes = "the socket" if sockets == 1 else f"a lane for each of {sockets} sockets"
    if sockets > LANES_MAX:
        lanes = f"{LANES_MAX} lanes for {sockets} sockets"
    signs = f", then {lanes}: + opens, o message, x ends" if sockets else ""
    yield line((f"{'seconds':>11} # is HTTP{signs}", "dim"))
    marks = ["-> from the client", "<- from the server"]
    if story.silences:
        marks.append("~~ silence")
    if story.findings:
        marks.append("!! out of order")
    yield line((f"{'':>11} {', '.join(marks)}", "dim"))


class _Row(msgspec.Struct):
    """One line to come: a moment, or several that are told as one."""

    moment: Moment
    more: list[Moment] = []


def rows(
    timeline: Timeline,
    story: Story,
    moments: Sequence[Moment],
    *,
    every_frame: bool = False,
) -> Iterator[Line]:
    """The moments, one a line, with lanes for the sockets; silences and findings between them.

    Args:
        timeline: the recording.
        story: of the same timeline.
        moments: those to be told.
        every_frame: do not gather progress and previews into one line.
    """
    lanes = _Lanes(len(timeline.sockets))
    notes = _Notes(story)
    for row in _gathered(moments if every_frame else _news(moments), every_frame=every_frame):
        moment = row.moment
        for silence in notes.silences_before(moment.t_us):
            yield _silence(silence, lanes)
        yield _moment(row, lanes)
        for one in (moment, *row.more):
            for finding in notes.findings_at(one):
                yield _finding(finding, lanes)
    for finding in notes.rest():
        yield _finding(finding, lanes)


def _news(moments: Sequence[Moment]) -> Iterator[Moment]:
    """Without ``progress_state`` where ``executing`` and ``progress`` say the same."""
    told = {(m.socket, m.prompt) for m in moments if m.type == "executing"}
    for moment in moments:
        if moment.type != "progress_state" or (moment.socket, moment.prompt) not in told:
            yield moment


def _gathered(moments: Iterable[Moment], *, every_frame: bool) -> Iterator[_Row]:
    waiting: _Row | None = None
    for moment in moments:
        brief = moment.kind == "message" and moment.type in _BRIEF and not every_frame
        if brief and waiting is not None and _together(waiting, moment):
            waiting.more.append(moment)
            continue
        if waiting is not None:
            yield waiting
        waiting = _Row(moment) if brief else None
        if not brief:
            yield _Row(moment)
    if waiting is not None:
        yield waiting


def _together(one: _Row, other: Moment) -> bool:
    latest = one.more[-1] if one.more else one.moment
    return (latest.socket, latest.prompt) == (other.socket, other.prompt) and (
        other.t_us - latest.t_us < _APART_US
    )


def _moment(row: _Row, lanes: _Lanes) -> Line:
    moment = row.moment
    arrow = "->" if moment.side is Side.CLIENT else "<-"
    kind, words = (moment.type, moment.words) if not row.more else _in_one(row)
    size = f" ({bytes_in_words(moment.size)})" if _sized(moment) and not row.more else ""
    return line(
        (f"{_clock(moment.t_us):>11} ", "dim"),
        lanes.draw(moment),
        f" {arrow} ",
        (f"{kind:<{_TYPE_WIDTH}} ", moment.severity or "bold"),
        (f"{words}{size}".rstrip(), moment.severity if moment.severity != "good" else ""),
    )


def _sized(moment: Moment) -> bool:
    return bool(moment.size) and (moment.kind in ("request", "answer") or moment.type in PREVIEWS)


def _in_one(row: _Row) -> tuple[str, str]:
    """A run of progress and previews in few words: where it got to, and how many frames it took."""
    every = [row.moment, *row.more]
    last = next((m for m in reversed(every) if m.type not in PREVIEWS), row.moment)
    previews = sum(m.type in PREVIEWS for m in every)
    took = every[-1].t_us - every[0].t_us
    shown = f", {plural(previews, 'preview')}" if previews else ""
    within = f" in {duration(took)}" if took >= 1000 else ""
    return "progress", f"{last.words} ({plural(len(every), 'frame')}{shown}{within})"


def _clock(t_us: int) -> str:
    seconds, us = divmod(abs(t_us), 1_000_000)
    sign = "-" if t_us < 0 else ""
    if seconds >= 3600:
        return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}.{us // 1000:03}"
    return f"{sign}{seconds}.{us // 100:04}"


def _silence(silence: Silence, lanes: _Lanes) -> Line:
    during = f", {silence.during}" if silence.during else ""
    gap = f"{'':>11} "
    words = f" ~~ {duration(silence.duration_us)} of silence{during}"
    return line(gap, lanes.between(), (words, "wait"))


def _finding(finding: Finding, lanes: _Lanes) -> Line:
    style = "bad" if finding.severity == "breaks" else "warn"
    return line(f"{'':>11} ", lanes.between(), (f" !! {finding.kind}: {finding.sentence}", style))


class _Lanes:
    """One column for each socket, from its opening to its end; HTTP has the first one."""

    def __init__(self, sockets: int) -> None:
        self._count = min(sockets, LANES_MAX)
        self._open: set[int] = set()

    def draw(self, moment: Moment) -> str:
        """The lanes with a mark where the moment happened."""
        own = None if moment.socket is None else min(moment.socket, LANES_MAX - 1)
        mark = {"opened": "+", "closed": "x"}.get(moment.kind, "o")
        if moment.kind == "opened" and own is not None:
            self._open.add(own)
        text = ("#" if own is None else " ") + "".join(
            mark if lane == own else self._lane(lane) for lane in range(self._count)
        )
        if moment.kind == "closed" and own is not None:
            self._open.discard(own)
        return text

    def between(self) -> str:
        """The lanes where nothing happens."""
        return " " + "".join(self._lane(lane) for lane in range(self._count))

    def _lane(self, lane: int) -> str:
        return "|" if lane in self._open else " "


class _Notes:
    """Silences and findings that wait for the moment that they belong to."""

    def __init__(self, story: Story) -> None:
        self._silences = list(story.silences)
        self._at: dict[int, list[Finding]] = {}
        self._by_time: list[Finding] = []
        for finding in story.findings:
            if finding.at is not None:
                self._at.setdefault(finding.at, []).append(finding)
            else:
                self._by_time.append(finding)

    def silences_before(self, t_us: int) -> Iterator[Silence]:
        """Silences that were over by then and have not been told."""
        while self._silences and self._silences[0].t_us < t_us:
            silence = self._silences.pop(0)
            if silence.t_us + silence.duration_us <= t_us:
                yield silence

    def findings_at(self, moment: Moment) -> Iterator[Finding]:
        """Findings about this moment, or from before it."""
        yield from self._at.pop(moment.at, ())
        while self._by_time and (self._by_time[0].t_us or 0) <= moment.t_us:
            if self._by_time[0].t_us is None:
                return
            yield self._by_time.pop(0)

    def rest(self) -> Iterator[Finding]:
        """Findings about the recording as a whole."""
        return (finding for finding in self._by_time if finding.t_us is None)


class Following:
    """A recording that grows, line by line as it does.

    Args:
        live: takes its records.
        selection: what is to be shown of it.
    """

    def __init__(self, live: Live, selection: Selection) -> None:
        self._live, self._selection = live, selection
        self._lanes = _Lanes(LANES_MAX)
        self._findings = 0
        self._last_us = 0

    def lines(self, told: Iterable[Told]) -> Iterator[Line]:
        """Lines for these moments, and what is out of order since the last call."""
        for one in told:
            moment = one.moment
            silent = moment.t_us - self._last_us
            if silent >= SILENCE_US_MIN and self._selection.everything:
                yield _silence(Silence(self._last_us, silent), self._lanes)
            self._last_us = max(moment.t_us, self._last_us)
            if self._shown(moment):
                yield _moment(_Row(moment), self._lanes)
            else:
                self._lanes.draw(moment)
        for finding in self._live.findings[self._findings :]:
            yield _finding(finding, self._lanes)
        self._findings = len(self._live.findings)

    def _shown(self, moment: Moment) -> bool:
        live = self._live
        socket = None if moment.socket is None else live.sockets[moment.socket].socket
        names = () if socket is None else (socket.name, socket.client_id or "")
        return self._selection.admits(moment, live.prompts.recorded, names)
