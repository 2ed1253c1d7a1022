"""messages about one prompt -> when each of its nodes ran, how far it got, and what it showed.

Since 0.3.45 ``progress_state`` says when a node begins and ends, several at once for async nodes.
Before, a node ran from its ``executing`` to the next one (protocol.md sections 2.1 and 4).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from comfyrec.events.outputs import FileEntry, files_in
from comfyrec.timeline.message_summary import data_of
from comfyrec.timeline.model import Message, RecordedPrompt

__all__ = ["NodeRun", "NodeRuns", "class_of", "title_of"]


class NodeRun(msgspec.Struct, frozen=True, kw_only=True):
    """One node of a prompt that ran, or that was cached. Times: microseconds of the timeline."""

    node_id: str
    class_type: str = ""
    """``""``: the graph is not known, or the node was added while it ran."""
    title: str = ""
    """What the person who made the workflow called it; ``""``: nothing of their own."""
    t: int | None = None
    """None: it was cached."""
    t_end: int | None = None
    """None: cached, or it was still running when the recording ended."""
    cached: bool = False
    value: float | None = None
    """The last progress that was reported, of ``max``."""
    max: float | None = None
    previews: int = 0
    files: tuple[FileEntry, ...] = ()

    @property
    def duration_us(self) -> int | None:
        """How long it ran; None where that is not known."""
        return None if self.t is None or self.t_end is None else self.t_end - self.t

    @property
    def name(self) -> str:
        """Its class and id, as in ``KSampler 3``; the title comes first where there is one."""
        known = " ".join(filter(None, (self.class_type, self.node_id)))
        own = self.title if self.title not in ("", self.class_type) else ""
        return f"{own} ({known})" if own else known


def class_of(prompt: RecordedPrompt, node_id: str) -> str:
    """The class of a node of the graph; ``""`` if it is not known."""
    node = prompt.graph.get(node_id)
    kind = node.get("class_type") if isinstance(node, dict) else None
    return kind if isinstance(kind, str) else ""


def title_of(prompt: RecordedPrompt, node_id: str) -> str:
    """What a node is called in the graph's ``_meta``; ``""`` if it has no name."""
    node = prompt.graph.get(node_id)
    meta = node.get("_meta") if isinstance(node, dict) else None
    title = meta.get("title") if isinstance(meta, dict) else None
    return title if isinstance(title, str) else ""


class _Entry(msgspec.Struct):
    state: str = ""
    value: float | None = None
    max: float | None = None


class _StateData(msgspec.Struct):
    nodes: dict[str, _Entry] = {}


class _State(msgspec.Struct):
    data: _StateData | None = None


_state_of: Final = msgspec.json.Decoder(_State).decode


class _Open:
    """A node that runs or has run."""

    def __init__(self, node_id: str, t: int | None) -> None:
        self.node_id, self.t = node_id, t
        self.t_end: int | None = None
        self.value: float | None = None
        self.max: float | None = None
        self.previews = 0
        self.files: list[FileEntry] = []
        self.cached = False


class NodeRuns:
    """Takes the messages about one prompt in order; ``done`` gives its nodes.

    What several sockets were told alike counts once.
    """

    def __init__(self, prompt: RecordedPrompt) -> None:
        self.prompt = prompt
        self._all: list[_Open] = []
        self._latest: dict[str, _Open] = {}
        self._by_state = False
        self._finished: set[str] = set()
        self._first_told: dict[int, int | None] = {}  # by hash: states of long prompts are large

    def take(self, message: Message, socket: int | None) -> None:
        """The next message that names the prompt."""
        if self._first_told.setdefault(hash(message.data), socket) != socket:
            return
        kind = message.peek.type
        if kind == "progress_state":
            self._state(message)
        elif kind == "executing":
            self._executing(message)
        elif kind == "progress":
            self._progress(message)
        elif kind == "execution_cached":
            self._cached(message)
        elif kind == "executed":
            self._executed(message)

    def preview(self, node_id: str | None) -> None:
        """A picture came; ``node_id`` None: of the node that runs."""
        running = [run for run in self._all if run.t is not None and run.t_end is None]
        found = self._latest.get(node_id) if node_id is not None else None
        if found or running:
            (found or running[-1]).previews += 1

    def end(self, t: int) -> None:
        """The prompt has ended: nothing runs any more."""
        for run in self._all:
            if run.t is not None and run.t_end is None:
                run.t_end = t

    @property
    def running(self) -> _Open | None:
        """The node that began last and has not ended."""
        return next((run for run in reversed(self._all) if run.t_end is None and run.t), None)

    def running_name(self) -> str:
        """What the node that began last is called, if it runs; else ``""``."""
        run = self.running
        return "" if run is None else self._done(run, 0).name

    def done(self, start: int) -> tuple[NodeRun, ...]:
        """The nodes in the order of their beginning, cached ones where they were named.

        Args:
            start: what times are counted from, in the messages' own time.
        """
        return tuple(self._done(run, start) for run in self._all)

    def _done(self, run: _Open, start: int) -> NodeRun:
        return NodeRun(
            node_id=run.node_id,
            class_type=class_of(self.prompt, run.node_id),
            title=title_of(self.prompt, run.node_id),
            t=None if run.t is None else run.t - start,
            t_end=None if run.t_end is None else run.t_end - start,
            cached=run.cached,
            value=run.value,
            max=run.max,
            previews=run.previews,
            files=tuple(run.files),
        )

    def _begin(self, node_id: str, t: int) -> None:
        run = self._latest[node_id] = _Open(node_id, t)
        self._all.append(run)

    def _state(self, message: Message) -> None:
        self._by_state = True
        for node_id, entry in _entries(message):
            run = self._latest.get(node_id)
            if entry.state == "finished":
                if run is not None and run.t is not None and run.t_end is None:
                    run.t_end = message.t
                self._finished.add(node_id)
            elif entry.state == "running":
                if run is None or run.t is None or node_id in self._finished:
                    self._begin(node_id, message.t)
                self._finished.discard(node_id)
            run = self._latest.get(node_id)
            if run is not None and entry.max is not None:
                run.value, run.max = entry.value, entry.max

    def _executing(self, message: Message) -> None:
        if message.peek.null_node:
            self.end(message.t)
        elif (node_id := message.peek.node) is not None and not self._by_state:
            self.end(message.t)
            self._begin(node_id, message.t)

    def _progress(self, message: Message) -> None:
        data = _data(message)
        node_id = data.get("node")
        run = self._latest.get(str(node_id)) if node_id is not None else self.running
        if run is not None and not self._by_state:
            run.value, run.max = _number(data.get("value")), _number(data.get("max"))

    def _cached(self, message: Message) -> None:
        nodes = _data(message).get("nodes")
        for node_id in map(str, nodes) if isinstance(nodes, list) else ():
            if node_id not in self._latest:
                run = self._latest[node_id] = _Open(node_id, None)
                run.cached = True
                self._all.append(run)

    def _executed(self, message: Message) -> None:
        run = self._latest.get(message.peek.node or "")
        if run is not None:
            run.files = list(files_in(_data(message).get("output")))


def _entries(message: Message) -> Iterator[tuple[str, _Entry]]:
    try:
        state = _state_of(message.data)
    except msgspec.MsgspecError:
        return  # the order checker says what does not fit
    if state.data is not None:
        yield from state.data.nodes.items()


def _data(message: Message) -> dict[str, Any]:
    data = data_of(message.data)
    return data if isinstance(data, dict) else {}


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
