"""events, as sockets saw them -> the rules of the server's order that they break.

A prompt goes through phases, and ``MAY_FOLLOW`` says which event may come in which phase and where
it leads: protocol.md section 4 as a table. Engine, checker and strategies share it. What depends on
more than the phase (which frame came just before, what the last ``progress_state`` said) is a rule
of its own in ``RULES``. No recording of a real server breaks any of them.

A socket sees one prompt at a time, since one worker runs them all. Its own prompts it sees from
start to end, unless it connected in between; of prompts without a client id it overhears a few
kinds of events. Frames of extensions, logs, texts and asset scans may come at any time.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any, Final

import msgspec

from .binary import BinaryMisfit, Preview, PreviewWithMetadata
from .schema import (
    Event,
    Executed,
    Executing,
    ExecutionCached,
    ExecutionError,
    ExecutionErrorData,
    ExecutionInterrupted,
    ExecutionStart,
    ExecutionSuccess,
    FeatureFlags,
    Misfit,
    NodeProgress,
    Progress,
    ProgressState,
    Status,
)

__all__ = [
    "MAY_FOLLOW",
    "RULES",
    "Checker",
    "Phase",
    "SocketClosed",
    "SocketOpened",
    "Violation",
    "Word",
    "check",
    "word_of",
]


class Word(enum.Enum):
    """What an event says about the order of things: finer than its type, where that matters."""

    STATUS = enum.auto()
    START = enum.auto()
    CACHED = enum.auto()
    STATE = enum.auto()
    NODE = enum.auto()
    """``executing`` with a node."""
    PROGRESS = enum.auto()
    PREVIEW = enum.auto()
    PREVIEW_WITH_METADATA = enum.auto()
    EXECUTED = enum.auto()
    BLOCKED = enum.auto()
    """``execution_error`` of a blocked output: not the end."""
    SUCCESS = enum.auto()
    ERROR = enum.auto()
    INTERRUPTED = enum.auto()
    LEFT = enum.auto()
    """``executing`` with null: the prompt has left the executor."""
    REJOINED = enum.auto()
    """``executing`` with a node and no prompt_id: to a socket that connects while the node runs."""
    FLAGS = enum.auto()
    MISFIT = enum.auto()
    ASIDE = enum.auto()
    """Anything else; may come at any time."""


_WORDS: Final[dict[type[Event], Word]] = {
    Status: Word.STATUS,
    FeatureFlags: Word.FLAGS,
    ExecutionStart: Word.START,
    ExecutionCached: Word.CACHED,
    ProgressState: Word.STATE,
    Progress: Word.PROGRESS,
    Preview: Word.PREVIEW,
    PreviewWithMetadata: Word.PREVIEW_WITH_METADATA,
    Executed: Word.EXECUTED,
    ExecutionSuccess: Word.SUCCESS,
    ExecutionInterrupted: Word.INTERRUPTED,
    Misfit: Word.MISFIT,
    BinaryMisfit: Word.MISFIT,
}


_ALWAYS_SENT: Final[dict[type[Event], tuple[str, ...]]] = {
    Status: ("queue_remaining",),
    ExecutionStart: ("data.prompt_id",),
    ExecutionCached: ("data.prompt_id", "data.nodes"),
    ProgressState: ("data.prompt_id", "data.nodes"),
    Progress: ("data.value", "data.max"),
    Executed: ("data.prompt_id", "data.node"),
    ExecutionSuccess: ("data.prompt_id",),
    ExecutionError: tuple(
        f"data.{name}" for name in ExecutionErrorData.__struct_fields__ if name != "timestamp"
    ),
    ExecutionInterrupted: tuple(
        f"data.{name}" for name in ("prompt_id", "node_id", "node_type", "executed")
    ),
}
"""The fields that a local server of any release sends; the rules of the order read them."""

_PRESENT: Final = {
    kind: [(path.removeprefix("data."), attrgetter(path)) for path in paths]
    for kind, paths in _ALWAYS_SENT.items()
}


def missing_fields(event: Event) -> list[str]:
    """What no local server would have left out of the event, but another kind of server does."""
    return [name for name, read in _PRESENT.get(type(event), ()) if read(event) is None]


def word_of(event: Event) -> Word:
    """Say what an event means for the order."""
    if missing_fields(event):
        return Word.MISFIT
    if isinstance(event, Executing):
        if event.data.node is None:
            return Word.LEFT
        return Word.REJOINED if event.data.prompt_id is None else Word.NODE
    if isinstance(event, ExecutionError):
        return Word.BLOCKED if event.data.blocked else Word.ERROR
    return _WORDS.get(type(event), Word.ASIDE)


class Phase(enum.Enum):
    """Where a prompt is, as one socket sees it."""

    PENDING = enum.auto()
    """Nothing was sent about it yet."""
    STARTED = enum.auto()
    RUNNING = enum.auto()
    ENDED = enum.auto()
    """Its outcome was sent; the history is being written."""
    LEAVING = enum.auto()
    """The status after its end was sent."""
    GONE = enum.auto()
    JOINED = enum.auto()
    """It runs already when the socket connects."""
    OVERHEARD = enum.auto()
    """It has no client id; some of its events go to every socket."""


_AT_WORK: Final = (
    Word.STATE,
    Word.NODE,
    Word.PROGRESS,
    Word.PREVIEW,
    Word.PREVIEW_WITH_METADATA,
    Word.EXECUTED,
    Word.BLOCKED,
    Word.STATUS,  # somebody else submits a prompt
)
_OUTCOMES: Final = (Word.SUCCESS, Word.ERROR, Word.INTERRUPTED)
BROADCAST: Final = (
    Word.STATE,
    Word.PROGRESS,
    Word.PREVIEW,
    Word.PREVIEW_WITH_METADATA,
    Word.BLOCKED,
    Word.INTERRUPTED,
    Word.STATUS,
)
"""What every socket gets of a prompt without a client id (protocol.md section 2)."""

MAY_FOLLOW: Final[dict[Phase, dict[Word, Phase]]] = {
    Phase.PENDING: {
        Word.STATUS: Phase.PENDING,
        Word.START: Phase.STARTED,
    },
    Phase.STARTED: {
        Word.STATUS: Phase.STARTED,
        Word.CACHED: Phase.RUNNING,  # always sent, also when nothing is cached
    },
    Phase.RUNNING: {
        **dict.fromkeys(_AT_WORK, Phase.RUNNING),
        **dict.fromkeys(_OUTCOMES, Phase.ENDED),
        Word.LEFT: Phase.GONE,  # success before 0.0.3 has no event; the rule "success" looks
    },
    Phase.ENDED: {
        Word.STATUS: Phase.LEAVING,
    },
    Phase.LEAVING: {
        Word.STATUS: Phase.LEAVING,
        Word.LEFT: Phase.GONE,
    },
    Phase.GONE: {
        Word.STATUS: Phase.GONE,
        Word.START: Phase.STARTED,  # the same prompt_id once more
    },
    Phase.JOINED: {
        Word.CACHED: Phase.RUNNING,  # nothing was missed but the start
        **dict.fromkeys(_AT_WORK, Phase.JOINED),
        Word.SUCCESS: Phase.ENDED,
        Word.ERROR: Phase.ENDED,
        Word.INTERRUPTED: Phase.JOINED,  # without a client id it goes to everybody, and no null
        Word.LEFT: Phase.GONE,
    },
    Phase.OVERHEARD: dict.fromkeys(BROADCAST, Phase.OVERHEARD),
}
"""phase -> which word may follow -> the phase then."""

RULES: Final[dict[str, str]] = {
    "fits": "the payload of a known type fits the schema",
    "first-frame": "a connection begins with a status that holds the sid",
    "sid-once": "only the first frame of a connection holds the sid",
    "flags-once": "the feature flags are sent once for each connection of a client id",
    "rejoin": "executing without a prompt_id comes only second in a connection",
    "phase": "an event comes only in the phases that the table allows",
    "one-at-a-time": "prompts do not overlap",
    "status-before-start": "execution_start follows a status",
    "status-before-null": "executing with null follows a status",
    "busy": "the queue is not empty while a prompt runs",
    "success": "a prompt ends with its outcome before executing with null, since 0.0.3",
    "clock": "timestamps of a prompt do not go back",
    "era": "progress_state comes with every node, or never (before 0.3.45)",
    "cached-node": "a cached node is not executed",
    "state-grows": "progress_state keeps its nodes and their order",
    "state-step": "progress_state changes one node at a time, and never back",
    "state-then-node": "a node that begins in progress_state is executing next",
    "state-then-progress": "a node that moves in progress_state says its progress next",
    "node-state": "executing follows a progress_state with that node running",
    "progress-state": "progress follows a progress_state with the same numbers",
    "preview-place": "type 1 previews follow a progress, type 4 previews a progress_state",
    "executed-node": "executed names a node that was executing, or has a result already, once",
    "executed-state": "a node that ran and says executed is finished next, or expands",
    "all-finished": "every node is finished when the prompt succeeds",
    "outcome-node": "an error or interrupt names a node that is running",
    "unfinished": "a prompt that has begun comes to its end",
}
"""rule -> what holds."""


class Violation(msgspec.Struct, frozen=True):
    """A rule that a frame broke."""

    rule: str
    """A key of ``RULES``."""
    number: int | None
    """Which event of the stream, from 0; ``None``: its end."""
    socket: Hashable
    prompt_id: str | None
    found: str
    """What was there instead."""

    def __str__(self) -> str:
        place = "at the end" if self.number is None else f"event {self.number}"
        prompt = "" if self.prompt_id is None else f", prompt {self.prompt_id}"
        return f"{place}, socket {self.socket}{prompt}: {self.found} ({RULES[self.rule]})"


class SocketOpened(msgspec.Struct, frozen=True):
    """A connection begins under this name; one that was open under it is over."""

    socket: Hashable = 0


class SocketClosed(msgspec.Struct, frozen=True):
    """A connection is over, from whichever side: nothing more is expected of it."""

    socket: Hashable = 0


# --- one prompt, as one socket sees it ---------------------------------------------------------


class _Era:
    """What the stream shows of the server's age."""

    has_state: bool | None = None


Broken = Iterator[tuple[str, str]]
"""Rules that a frame breaks: (rule, what was found)."""


class _Due(msgspec.Struct, frozen=True):
    """What has to come next about a prompt."""

    rule: str
    words: Mapping[Word, str | None]
    """Each word that may come, and the node that it must be about; None: any."""

    def __str__(self) -> str:
        return " or ".join(
            word.name if node is None else f"{word.name} of node {node}"
            for word, node in self.words.items()
        )


_AFTER_A_SLIP: Final = {
    Word.START: Phase.STARTED,
    Word.CACHED: Phase.RUNNING,
    **dict.fromkeys(_OUTCOMES, Phase.ENDED),
    Word.LEFT: Phase.GONE,
}
"""Where a prompt is after an event that was out of place, so that one slip is reported once."""


class _Run:
    """One prompt: its phase, and what the socket was sent about it."""

    def __init__(self, prompt_id: str, phase: Phase) -> None:
        self.prompt_id, self.phase = prompt_id, phase
        self.last: Word | None = None
        self.timestamp: int | None = None
        self.nodes: dict[str, NodeProgress] | None = None
        self.cached: set[str] = set()
        self.executing: set[str] = set()
        self.executed: set[str] = set()
        self.executed_lately: set[str] = set()
        """Those of them that sent it since a node was last executing."""
        self.expanding: set[str] = set()
        """Nodes that sent ``executed`` and went on: their result waits for the nodes they added."""
        self.repeated: set[str] = set()
        self.due: _Due | None = None
        self.was_due: _Due | None = None
        """What had to come, and has or has not now."""

    @property
    def whole(self) -> bool:
        """The socket has seen all of it, so that what is missing was not sent."""
        return self.phase not in (Phase.JOINED, Phase.OVERHEARD)

    @property
    def open(self) -> bool:
        """It has begun here, and its end has to come."""
        return self.phase not in (Phase.PENDING, Phase.GONE, Phase.JOINED, Phase.OVERHEARD)

    def step(self, word: Word) -> Broken:
        """Move on in the table."""
        phase = MAY_FOLLOW[self.phase].get(word)
        if phase is None:
            yield "phase", f"{word.name} while {self.phase.name}"
            phase = _AFTER_A_SLIP.get(word, Phase.RUNNING)
        self.phase = phase

    def follows(self, *words: Word) -> bool:
        """Whether the last frame about this prompt was one of these, as far as one can know."""
        return self.last in words or (self.last is None and not self.whole)

    def running(self, node: str) -> bool | None:
        """Whether a node is running; None if the socket was not sent that."""
        if self.nodes is None:
            return node in self.executing if self.whole else None
        entry = self.nodes.get(node)
        return entry is not None and entry.state == "running"

    def finished(self, node: str) -> bool:
        """Whether the socket was sent that a node has its result."""
        entry = (self.nodes or {}).get(node)
        return entry is not None and entry.state == "finished"


def _awaited(run: _Run, word: Word, event: Any) -> Broken:
    """Check what the frame before requires."""
    due = run.was_due = run.due
    run.due = None
    if due is None:
        return
    if Word.PROGRESS in due.words and word is Word.PREVIEW_WITH_METADATA:
        run.due = due
    elif Word.PROGRESS in due.words and word is Word.ERROR and _breaks_on_flags(event):
        return
    elif word not in due.words or not _is_about(event, word, due.words[word]):
        yield due.rule, f"{word.name} where {due} was due"


def _breaks_on_flags(event: ExecutionError) -> bool:
    """Whether flags that are null made a preview fail, before its progress (section 3, point 3)."""
    return event.data.exception_type == "AttributeError"


def _is_about(event: Any, word: Word, node: str | None) -> bool:
    """Whether an event names the node; a progress_state: as finished."""
    if node is None:
        return True
    if word is Word.STATE:
        entry = event.data.nodes.get(node)
        return entry is not None and entry.state == "finished"
    return str(getattr(event.data, "node", None)) == node


# --- what an event has to fit, beside its place --------------------------------------------------


def _start(run: _Run, event: ExecutionStart, era: _Era) -> Broken:
    yield from _clock(run, event)


def _clock(run: _Run, event: Any) -> Broken:
    timestamp = event.data.timestamp
    if timestamp is not None and run.timestamp is not None and timestamp < run.timestamp:
        yield "clock", f"{timestamp} after {run.timestamp}"
    run.timestamp = timestamp


def _cached(run: _Run, event: ExecutionCached, era: _Era) -> Broken:
    run.cached = {str(node) for node in event.data.nodes or ()}
    yield from _clock(run, event)


def _state(run: _Run, event: ProgressState, era: _Era) -> Broken:
    nodes, before = event.data.nodes or {}, run.nodes
    run.nodes = nodes
    if era.has_state is False:
        yield "era", "progress_state after a node without"
    era.has_state = True
    if before is None:
        if not run.whole:
            return
        before = {}
    if list(nodes)[: len(before)] != list(before):
        yield "state-grows", f"{', '.join(nodes)} after {', '.join(before)}"
        return
    run.expanding |= {node for node in run.executed if run.running(node)}
    changed = [node for node in nodes if not _alike(before.get(node), nodes[node])]
    if len(changed) > 1:
        yield "state-step", f"nodes {', '.join(changed)} changed at once"
    elif changed:
        yield from _changed(run, changed[0], before.get(changed[0]), nodes[changed[0]])
    elif run.whole:
        # A lazy node begins once more, or a node's own progress says what was said already:
        # SaveImageWebsocket of one image is at 0/1 as every node that begins.
        run.due = _Due("state-then-node", {Word.NODE: None, Word.PROGRESS: None})


def _alike(one: NodeProgress | None, other: NodeProgress) -> bool:
    return one == other or repr(one) == repr(other)  # NaN is not equal to itself


def _changed(run: _Run, node: str, before: NodeProgress | None, now: NodeProgress) -> Broken:
    if before is None:
        if now.state == "running" and run.whole:
            run.due = _Due("state-then-node", {Word.NODE: node})
        elif now.state == "finished" and run.whole and node not in run.executed:
            yield "state-step", f"node {node} finished without having begun"
    elif before.state == "finished":
        if run.cached or (now.state, now.value, now.max) != ("running", 0, 1):
            yield "state-step", f"node {node} changed after it had finished"
        elif run.whole:
            # With --cache-none nothing is known again: a lazy node that asks for what has run lets
            # it run once more (0.27.0, seen). Such a server never says that anything is cached.
            run.due = _Due("state-then-node", {Word.NODE: node})
    elif now.state == "running" and before.activity == now.activity:
        run.due = _Due("state-then-progress", {Word.PROGRESS: node})


def _node(run: _Run, event: Executing, era: _Era) -> Broken:
    node = str(event.data.node)
    if era.has_state is None and run.whole:
        era.has_state = run.nodes is not None
    if node in run.cached:
        yield "cached-node", f"node {node}"
    announced = run.was_due if run.whole else run.follows(Word.STATE)
    if era.has_state and not (announced and run.running(node) in (True, None)):
        yield "node-state", f"node {node} {_behind(run.last)}"
    run.executing.add(node)
    run.executed_lately.clear()


def _progress(run: _Run, event: Progress, era: _Era) -> Broken:
    if not era.has_state or run.last is None:
        return
    entry = (run.nodes or {}).get(str(event.data.node))
    said = (event.data.value, event.data.max)
    if not run.follows(Word.STATE, Word.PREVIEW_WITH_METADATA):
        yield "progress-state", _behind(run.last)
    elif entry is None or repr((entry.value, entry.max)) != repr(said):
        told = "nothing" if entry is None else f"{entry.value} of {entry.max}"
        yield "progress-state", f"node {event.data.node} at {said[0]} of {said[1]}, after {told}"


def _preview(run: _Run, event: Preview, era: _Era) -> Broken:
    if not run.follows(Word.PROGRESS):
        yield "preview-place", f"type 1 {_behind(run.last)}"


def _preview_with_metadata(run: _Run, event: PreviewWithMetadata, era: _Era) -> Broken:
    if not run.follows(Word.STATE):
        yield "preview-place", f"type 4 {_behind(run.last)}"


def _executed(run: _Run, event: Executed, era: _Era) -> Broken:
    node = str(event.data.node)
    if node in run.executed and node not in run.expanding:
        yield from _executed_again(run, node, era)
    elif node in run.executing:
        yield from _executed_after_work(run, node, era)
    elif run.whole and node not in run.cached:
        yield from _executed_by_a_twin(run, node, era)
    elif run.was_due is not None and run.was_due.rule == "executed-state":
        run.due = _Due("executed-state", {Word.STATE: node})  # the other one expands
    if run.was_due is not None and Word.SUCCESS in run.was_due.words:
        run.due = _AT_THE_END
    run.executed.add(node)
    run.executed_lately.add(node)
    run.expanding.discard(node)


def _executed_after_work(run: _Run, node: str, era: _Era) -> Broken:
    if not era.has_state:
        return
    if run.running(node) is False:
        yield "executed-state", f"node {node}, which is not running"
    if node in run.expanding:  # a twin has expanded sooner, so the result is there
        run.due = _Due("executed-state", {Word.STATE: node})
    else:
        run.due = _Due("executed-state", dict.fromkeys(_BEHIND_EXECUTED))


_BEHIND_EXECUTED: Final = (
    Word.STATE,
    # A node may show something and expand: then others come first, and async nodes at any time.
    Word.EXECUTED,
    Word.BLOCKED,
    Word.ERROR,
    Word.INTERRUPTED,
)


def _executed_by_a_twin(run: _Run, node: str, era: _Era) -> Broken:
    """Of two nodes with one cache key the later finds a result that was not there at the start."""
    if not run.executing:
        yield "executed-node", f"node {node}, which was neither executing nor cached"
    elif era.has_state:
        run.due = _Due("executed-node", {Word.STATE: node, **_AT_THE_END.words})


_AT_THE_END: Final = _Due("executed-node", dict.fromkeys((Word.EXECUTED, Word.SUCCESS)))
"""Intermediate outputs that did not run are shown just before success (section 5)."""


def _executed_again(run: _Run, node: str, era: _Era) -> Broken:
    """Intermediate outputs that a twin worked out are shown at their turn and at the end.

    Without progress_state nothing tells that a node expands. It may have shown something before,
    and show the result once more, which a twin has worked out in between.
    """
    if not era.has_state:
        if node in run.repeated or node in run.executed_lately:
            yield "executed-node", f"node {node} again"
        run.repeated.add(node)
        return
    if node in run.repeated or not run.finished(node):
        yield "executed-node", f"node {node} again"
    run.repeated.add(node)
    run.due = _AT_THE_END


def _outcome(run: _Run, event: Any, era: _Era) -> Broken:
    yield from _blocked(run, event, era)
    yield from _clock(run, event)


def _blocked(run: _Run, event: Any, era: _Era) -> Broken:
    if run.running(str(event.data.node_id)) is False:
        yield "outcome-node", f"node {event.data.node_id}"


def _success(run: _Run, event: ExecutionSuccess, era: _Era) -> Broken:
    unfinished = [node for node, entry in (run.nodes or {}).items() if entry.state != "finished"]
    if unfinished:
        yield "all-finished", f"nodes {', '.join(unfinished)}"
    yield from _clock(run, event)


def _left(run: _Run, event: Executing, era: _Era) -> Broken:
    if run.phase is Phase.RUNNING and run.timestamp is not None:
        yield "success", "no outcome"


def _behind(last: Word | None) -> str:
    return f"after {'nothing' if last is None else last.name}"


_FITS: Final[dict[Word, Callable[[_Run, Any, _Era], Broken]]] = {
    Word.START: _start,
    Word.CACHED: _cached,
    Word.STATE: _state,
    Word.NODE: _node,
    Word.PROGRESS: _progress,
    Word.PREVIEW: _preview,
    Word.PREVIEW_WITH_METADATA: _preview_with_metadata,
    Word.EXECUTED: _executed,
    Word.BLOCKED: _blocked,
    Word.SUCCESS: _success,
    Word.ERROR: _outcome,
    Word.INTERRUPTED: _outcome,
    Word.LEFT: _left,
}


# --- one connection ------------------------------------------------------------------------------

GONE_MAX: Final = 1000
"""Prompts remembered as gone, per socket; events of older ones would not be noticed."""


class _Client:
    """All connections that came with one client id."""

    connections = 0
    flags = 0
    """Answers to them, which all go to the newest (protocol.md section 3)."""


class _Socket:
    """One connection: the prompt that is running, and the prompts that have gone."""

    def __init__(self, era: _Era, clients: dict[str, _Client]) -> None:
        self.era, self.clients = era, clients
        self.count = 0
        self.client = _Client()
        self.found_busy = False
        """A prompt may have been running when it connected."""
        self.last: Word | None = None
        self.run: _Run | None = None
        self.rejoined: str | None = None
        self.gone: dict[str, None] = {}

    def take(self, event: Event, word: Word) -> Broken:
        """Take the next frame."""
        self.count += 1
        yield from self._connection(event, word)
        if word is Word.STATUS:
            yield from self._status(event)
        elif word in _FITS:
            yield from self._of_a_prompt(event, word)
        if word not in (Word.ASIDE, Word.FLAGS, Word.MISFIT):
            self.last = word

    def _connection(self, event: Any, word: Word) -> Broken:
        sid = event.sid if word is Word.STATUS else None
        if self.count == 1:
            yield from self._first(event, word, sid)
        elif sid is not None:
            yield "sid-once", f"sid {sid}"
        if word is Word.FLAGS:
            self.client.flags += 1
            if self.client.flags > self.client.connections:
                yield "flags-once", "again"
        if word is Word.REJOINED:
            if self.count != 2:
                yield "rejoin", f"frame {self.count} of the connection"
            self.rejoined = str(event.data.node)
        if word is Word.MISFIT:
            missing = ", ".join(missing_fields(event))
            yield "fits", f"{event.type}: {f'without {missing}' if missing else event.why}"
        if misfits := getattr(getattr(event, "data", None), "misfits", None):
            yield "fits", f"{event.type}: {misfits}"

    def _first(self, event: Any, word: Word, sid: str | None) -> Broken:
        if sid is None:
            yield "first-frame", word.name
        else:
            self.client = self.clients.setdefault(sid, self.client)
        self.client.connections += 1
        self.found_busy = word is not Word.STATUS or _remaining(event) > 0

    def _status(self, event: Any) -> Broken:
        if self.run is None:
            return
        remaining = _remaining(event)
        at_work = self.run.phase in (Phase.STARTED, Phase.RUNNING)
        # Before 0.0.3 the status after the end comes without a message that it is the end.
        if at_work and remaining < 1 and self.run.timestamp is not None:
            yield "busy", f"{remaining} remaining"
        yield from self.run.step(Word.STATUS)

    def _of_a_prompt(self, event: Event, word: Word) -> Broken:
        if word is Word.START and self.last is not Word.STATUS:
            yield "status-before-start", _behind(self.last)
        if word is Word.LEFT and self.last is not Word.STATUS:
            yield "status-before-null", _behind(self.last)
        prompt_id = event.prompt_id
        if prompt_id is not None and self._is_another(prompt_id, word):
            yield from self._another(prompt_id, word)
        run = self.run
        if run is None:
            return
        if word in MAY_FOLLOW[run.phase]:
            yield from _awaited(run, word, event)
            yield from _FITS[word](run, event, self.era)
        yield from run.step(word)
        run.last = word
        if run.phase is Phase.GONE:
            self._remember(run.prompt_id)

    def _is_another(self, prompt_id: str, word: Word) -> bool:
        run = self.run
        if run is None or run.prompt_id != prompt_id:
            return True
        return run.phase is Phase.GONE and word is Word.START  # the same id once more

    def _another(self, prompt_id: str, word: Word) -> Broken:
        """A prompt comes into sight that is not the one of the frame before."""
        if self.run is not None and self.run.open:
            yield "one-at-a-time", f"while {self.run.prompt_id} is {self.run.phase.name}"
        if word is Word.START:
            phase = Phase.PENDING
        elif prompt_id in self.gone:
            yield "phase", f"{word.name} after it has gone"
            phase = Phase.OVERHEARD
        elif self.run is None and (self.found_busy or word is not Word.CACHED):
            phase = Phase.JOINED
        else:
            phase = Phase.PENDING if word is Word.CACHED else Phase.OVERHEARD
        self.run = _Run(prompt_id, phase)
        if phase is Phase.JOINED and self.rejoined is not None:
            self.run.executing.add(self.rejoined)

    def _remember(self, prompt_id: str) -> None:
        self.gone[prompt_id] = None
        if len(self.gone) > GONE_MAX:
            del self.gone[next(iter(self.gone))]


def _remaining(event: Status) -> int:
    return event.queue_remaining or 0  # it has one: word_of has looked


# --- all of them -----------------------------------------------------------------------------


class Checker:
    """Takes the events of all sockets of one server, in order, and says which rules they break.

    ``opened`` and ``closed`` tell of connections, ``feed`` of events, ``end`` that nothing follows.
    A socket that was never opened is open from its first event on.
    """

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self._era = _Era()
        self._sockets: dict[Hashable, _Socket] = {}
        self._clients: dict[str, _Client] = {}
        self._count = 0

    def opened(self, socket: Hashable = 0) -> None:
        """A connection begins under this name."""
        self._sockets[socket] = _Socket(self._era, self._clients)

    def closed(self, socket: Hashable = 0) -> None:
        """A connection is over: nothing more is expected of it."""
        self._sockets.pop(socket, None)

    def feed(self, event: Event, socket: Hashable = 0) -> list[Violation]:
        """Take one event; give the rules it breaks, which ``violations`` collects as well."""
        if socket not in self._sockets:
            self.opened(socket)
        state = self._sockets[socket]
        broken = list(state.take(event, word_of(event)))
        found = [
            Violation(rule, self._count, socket, event.prompt_id, text) for rule, text in broken
        ]
        self._count += 1
        self.violations += found
        return found

    def end(self) -> list[Violation]:
        """Nothing follows: name the prompts whose end is missing on a socket that is still open."""
        found = [
            Violation("unfinished", None, name, socket.run.prompt_id, _last_heard(socket.run.phase))
            for name, socket in self._sockets.items()
            # Of two sockets with one sid, one may have fallen silent (section 3, point 6).
            if socket.run is not None and socket.run.open and socket.client.connections < 2
        ]
        self.violations += found
        return found


_LAST_HEARD: Final = {
    Phase.PENDING: "nothing was told of it",
    Phase.STARTED: "it had only started",
    Phase.RUNNING: "it was still running",
    Phase.JOINED: "it was still running",
    Phase.OVERHEARD: "it was still running",
    Phase.ENDED: "its outcome was the last that was told",
    Phase.LEAVING: "its null executing is missing",
}


def _last_heard(phase: Phase) -> str:
    return _LAST_HEARD.get(phase, phase.name.lower())


def check(
    stream: Iterable[Event | tuple[Event, Hashable] | SocketOpened | SocketClosed],
    *,
    whole: bool = True,
) -> list[Violation]:
    """Say which rules a stream breaks.

    Args:
        stream: events, or pairs of an event and the name of the socket that received it, in order;
            connections that begin or end in between.
        whole: False if the stream was cut off: prompts that have not ended are fine then.
    """
    checker = Checker()
    for item in stream:
        if isinstance(item, SocketOpened):
            checker.opened(item.socket)
        elif isinstance(item, SocketClosed):
            checker.closed(item.socket)
        elif isinstance(item, tuple):
            checker.feed(*item)
        else:
            checker.feed(item)
    if whole:
        checker.end()
    return checker.violations
