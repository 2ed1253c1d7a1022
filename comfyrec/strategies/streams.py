"""A random graph under a random plan -> all that a real server says of it, legal or with one fault.

The simulated server (``fake_server``) runs it in virtual time, so a stream is made in about a
millisecond and is what that server would send to a live client: ``fake_comfyui`` serves it.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
from hypothesis import strategies as st

from comfyrec.events import DecodeError, Violation, check, decode
from comfyrec.strategies.faults import FAULTS, Fault, is_greeting, operator
from comfyrec.strategies.graphs import Workflow, graphs
from comfyrec.strategies.messages import (
    Message,
    malformed_messages,
    misfit_events,
    unknown_events,
)
from comfyrec.versions import DEFAULT_VERSION, ERAS, era_of
from fake_server.nodes.catalogue import Catalogue
from fake_server.options import ServerOptions
from fake_server.scenario_source import scenario_source
from fake_server.scenarios import Choice, Directions, Operator, Scenario
from fake_server.scenarios.kit import third_party_request, write_json
from fake_server.scenarios.kit.matchers import look
from fake_server.scenarios.kit.observer import Ending, ObservedPrompt, ending_of
from fake_server.scenarios.kit.other_users import OtherUser
from fake_server.scenarios.kit.scenario import Parameters
from fake_server.source import (
    Abort,
    Action,
    Close,
    Disconnected,
    Happened,
    MessageReceived,
    Request,
    RequestReceived,
    Respond,
    Send,
    Source,
    UpgradeRequested,
    Wake,
    Woke,
)

__all__ = ["Stream", "faulty_streams", "played", "streams"]

NODES_MAX: Final = 6
"""Of the graph of a stream, unless it is given."""
CLIENT_ID: Final = "strategies-client"
WAKES_MAX: Final = 10_000
INTERRUPT_S: Final = 300
"""When somebody interrupts. By then a node that takes twice as long is running for sure: it is a
matter of time and not of frames, for a client may have no socket to get them."""
SIZES: Final = (4 << 20, 16 << 20)
"""Limits that WebSocket libraries set by themselves: 1 MiB and 4 MiB are in use, none of 16 MiB.
What goes beyond the larger one goes beyond both."""
_SMALL: Final = {"size": [8, 8]}
_CLOSE_CODES: Final = (None, 1000, 1001, 1011, 1012)


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt, from the connection of its client to the end: what was sent, and what is true."""

    graph: Workflow
    nodes: dict[str, dict[str, Any]] = {}
    """What nodes do beyond running in no time, in the keys of a plan."""
    interrupted_at: str | None = None
    """The node during which somebody interrupts the prompt."""
    version: str = DEFAULT_VERSION
    flags: bool = False
    """Whether the client asks for previews with metadata, as its first message."""
    catalogue: Catalogue | None = None
    fault: Fault | None = None
    waits: bool = False
    """The prompt is not run before the client has a WebSocket, or a second of real time is over.
    With a fault it always is so, as the client is to meet it."""
    keeps: tuple[str, ...] = ()
    """Invariants that are judged beside those of every run and of the fault."""
    prompt_id: str = ""
    client_id: str = CLIENT_ID
    messages: tuple[Message, ...] = ()
    """All that arrives on the client's socket."""
    times_us: tuple[int, ...] = ()
    """When, in virtual microseconds."""
    accepted: dict[str, Any] = {}
    """The answer to ``POST /prompt``."""
    history: dict[str, Any] | None = None
    """The entry of ``GET /history/{prompt_id}`` at the end; None: the server does not know it."""
    end: int | None = None
    """The code the server closed the connection with (1006: cut off), None: it is still open."""
    outcome: Ending = "success"
    """What became of the prompt; after ``restarted`` that is unknown, and it is ``lost``."""
    truth: tuple[Ending, ...] = ("success",)
    """What a correct client may report."""

    @property
    def label(self) -> str:
        """``legal``, or the label of the fault."""
        return self.fault.label if self.fault else "legal"

    @property
    def position(self) -> int | None:
        """Where the fault is: the number of a frame, counted from 0 after the greeting."""
        return self.fault.position if self.fault else None

    @property
    def recoverable(self) -> bool:
        """Whether a correct client must still report ``outcome``: the history tells it."""
        return self.fault is None or self.fault.kind.recoverable

    @property
    def violations(self) -> list[Violation | DecodeError]:
        """What decoder and order checker find in ``messages``."""
        found: list[Violation | DecodeError] = []
        events = []
        for message in self.messages:
            try:
                events.append(decode(message))
            except DecodeError as broken:
                found.append(broken)
        return [*found, *check(events, whole=self.end is None)]

    def __repr__(self) -> str:
        parts = [repr(self.fault) if self.fault else "legal", f"graph={self.graph}"]
        parts += [f"nodes={self.nodes}"] if self.nodes else []
        parts += [f"interrupted_at={self.interrupted_at!r}"] if self.interrupted_at else []
        parts += [f"version={self.version}"] if self.version != DEFAULT_VERSION else []
        parts += ["flags=True"] if self.flags else []
        parts += ["waits=True"] if self.waits and not self.fault else []
        parts.append(f"truth={'/'.join(self.truth)}")
        return f"<Stream {'; '.join(parts)}>"


# --- strategies ----------------------------------------------------------------------------------


def streams(
    graph: Workflow | st.SearchStrategy[Workflow] | None = None,
    *,
    version: str | None = None,
    catalogue: Catalogue | Mapping[str, Any] | None = None,
) -> st.SearchStrategy[Stream]:
    """What a server sends for a graph whose nodes do random things; the order checker is content.

    They shrink towards one node that succeeds, on the newest version.

    Args:
        graph: this one, or one of a strategy; None: any of up to 6 nodes.
        version: of ComfyUI; None: any generation.
        catalogue: as for ``graphs``.
    """
    return _legal(*_prepared(graph, version, catalogue))


def faulty_streams(
    graph: Workflow | st.SearchStrategy[Workflow] | None = None,
    *,
    labels: tuple[str, ...] = tuple(FAULTS),
    version: str | None = None,
    catalogue: Catalogue | Mapping[str, Any] | None = None,
) -> st.SearchStrategy[Stream]:
    """Streams with one labelled fault each; see ``FAULTS`` for what the labels mean.

    They shrink towards few nodes, and towards the earliest place.

    Args:
        graph: as for ``streams``.
        labels: only these faults.
        version: as for ``streams``.
        catalogue: as for ``streams``.

    Raises:
        ValueError: an unknown label.
    """
    for label in labels:
        if label not in FAULTS:
            raise ValueError(f"no fault {label!r}; there are {', '.join(FAULTS)}")
    return _faulty(_legal(*_prepared(graph, version, catalogue)), labels)


Prepared = tuple[st.SearchStrategy[Workflow], st.SearchStrategy[str], Catalogue | None]


def _prepared(
    graph: Workflow | st.SearchStrategy[Workflow] | None,
    version: str | None,
    catalogue: Catalogue | Mapping[str, Any] | None,
) -> Prepared:
    if catalogue is not None and not isinstance(catalogue, Catalogue):
        catalogue = Catalogue.from_object_info(catalogue)
    if graph is None:
        drawn = graphs(catalogue, max_nodes=NODES_MAX)
    else:
        drawn = graph if isinstance(graph, st.SearchStrategy) else st.just(graph)
    if version is not None:
        era_of(version)  # a wrong one is said now, and not by an example
    versions = st.sampled_from(_VERSIONS) if version is None else st.just(version)
    return drawn, versions, catalogue


# Most servers that clients meet are new ones.
_VERSIONS: Final = (DEFAULT_VERSION, DEFAULT_VERSION, DEFAULT_VERSION, *ERAS[::-1])


@st.composite
def _legal(
    draw: st.DrawFn,
    graph: st.SearchStrategy[Workflow],
    versions: st.SearchStrategy[str],
    catalogue: Catalogue | None,
) -> Stream:
    # Every draw is made whatever the one before gave: so each can shrink by itself.
    workflow, version, flags = draw(graph), draw(versions), draw(st.booleans())
    known, plans = catalogue or Catalogue.core(), _plans()
    nodes = {node_id: draw(plans) for node_id in workflow}
    outputs = [one for one, node in workflow.items() if _is_output(known, node)]
    interrupted = draw(st.sampled_from([None, None, None, *outputs]))
    if interrupted is not None:
        nodes[interrupted] = {"seconds": 2 * INTERRUPT_S}
    return played(
        Stream(
            graph=workflow,
            nodes={node_id: plan for node_id, plan in nodes.items() if plan},
            interrupted_at=interrupted,
            version=version,
            flags=flags and era_of(version).has("progress_state"),
            catalogue=catalogue,
        )
    )


def _is_output(catalogue: Catalogue, node: Mapping[str, Any]) -> bool:
    found = catalogue.get(node["class_type"])
    return found is not None and found.output_node


@st.composite
def _faulty(draw: st.DrawFn, legal: st.SearchStrategy[Stream], labels: tuple[str, ...]) -> Stream:
    # First the label: what is drawn late is more often the simplest there is.
    label = draw(st.sampled_from([*labels, *(one for one in labels if one in _OF_MANY_KINDS)]))
    stream = draw(legal)
    frames = sum(not is_greeting(look(message)) for message in stream.messages)
    # The last frame has no next one to change places with.
    last = frames - (2 if label == "swapped" else 1)
    position = draw(st.integers(0, last))
    extra = draw(_extras(label)) if label in _EXTRAS else ()
    code = draw(st.sampled_from(_CLOSE_CODES)) if label == "cut" else None
    fault = Fault(label=label, position=position, extra=extra, code=code)
    return played(msgspec.structs.replace(stream, fault=fault))


# --- what nodes do -------------------------------------------------------------------------------


_DEEDS: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "seconds": st.sampled_from([0.02, 0.3]),
    "steps": st.integers(1, 4),
    "raise": st.just({"type": "ValueError", "message": "no"}),
    "previews": st.sampled_from([{"format": kind, "size": [8, 8]} for kind in ("jpeg", "png")]),
    "block": st.sampled_from([None, "blocked"]),
    "uncached": st.just(True),
    "async": st.just(True),
    "text": st.just("text"),
    "events": st.just([["extension.event", {}]]),
}
"""What a node may do, in the keys of a plan."""


@lru_cache(maxsize=1)
def _plans() -> st.SearchStrategy[dict[str, Any]]:
    """Most nodes do nothing special; those that do mostly do one thing."""
    single = [st.fixed_dictionaries({key: value}) for key, value in _DEEDS.items()]
    several = st.fixed_dictionaries({}, optional=dict(_DEEDS))
    return st.one_of(st.just({}), st.just({}), st.one_of(single), several)


# --- what is added -------------------------------------------------------------------------------


def _one(messages: st.SearchStrategy[Message]) -> st.SearchStrategy[tuple[Message, ...]]:
    return messages.map(lambda message: (message,))


def _large() -> st.SearchStrategy[tuple[Message, ...]]:
    def made(size: int, binary: bool) -> tuple[Message, ...]:
        if binary:
            return (b"\0\0\0\x4d" + bytes(size),)
        return (f'{{"type": "extension.large", "data": {{"text": "{"x" * size}"}}}}',)

    return st.builds(made, st.sampled_from(SIZES), st.booleans())


def _foreign() -> st.SearchStrategy[tuple[Message, ...]]:
    def made(how: str, node: str) -> tuple[Message, ...]:
        somebody = OtherUser("f0e1d2c3-0000-4000-8000-000000000001", node)
        frames: dict[str, list[str]] = {
            "gone": somebody.gone(),
            "output": [*somebody.work(), *somebody.output()],
            "success": somebody.whole(),
            "failure": [*somebody.start(), *somebody.failure()],
            "interrupted": [*somebody.start(), *somebody.interrupted()],
        }
        return tuple(frames[how])

    hows = st.sampled_from(["gone", "output", "success", "failure", "interrupted"])
    return st.builds(made, hows, st.sampled_from(["1", "9"]))


# Each kind finds another bug, so these are drawn twice as often as the others.
_OF_MANY_KINDS: Final = ("foreign", "large")
_EXTRAS: Final[Mapping[str, Callable[[], st.SearchStrategy[tuple[Message, ...]]]]] = {
    "misfit": lambda: _one(misfit_events()),
    "malformed": lambda: _one(malformed_messages()),
    "unknown": lambda: _one(unknown_events()),
    "large": _large,
    "foreign": _foreign,
}


@lru_cache
def _extras(label: str) -> st.SearchStrategy[tuple[Message, ...]]:
    return _EXTRAS[label]()


# --- a stream as a scenario ----------------------------------------------------------------------


def choice_of_stream(stream: Stream) -> Choice:
    """A stream as a scenario, for whatever plays scenarios."""
    kind = stream.fault.kind if stream.fault else None
    scenario = Scenario(
        name=stream.label,
        category="drift" if kind or stream.waits else "normal",
        summary=kind.what if kind else _NO_FAULT[stream.waits],
        correct=f"reports {' or '.join(stream.truth)}",
        keeps=("K5", "K8", *(kind.keeps if kind else ()), *stream.keeps),
        truth=stream.truth,
        direct=lambda settings: _directions(stream),
        workflow=stream.graph,
    )
    return Choice(scenario, Parameters())


_NO_FAULT: Final = {
    False: "no frame is lost, wrong or somebody else's",
    True: "no frame is lost, wrong or somebody else's; the prompt waits for the client's WebSocket",
}


def options_of(stream: Stream) -> ServerOptions:
    """How the server of a stream is started."""
    era = era_of(stream.version)
    return ServerOptions(era=era, catalogue=stream.catalogue or Catalogue.core())


def _directions(stream: Stream) -> Directions:
    # Pictures are small whatever the graph says: no client looks at them.
    catalogue = stream.catalogue or Catalogue.core()
    outputs = {n["class_type"]: _SMALL for n in stream.graph.values() if _is_output(catalogue, n)}
    return Directions(
        operators=tuple(_operators(stream)),
        plan=(lambda graph: stream.nodes) if stream.nodes else None,
        engine={"classes": outputs},
    )


def _operators(stream: Stream) -> list[Operator]:
    operators = [operator(stream.fault)] if stream.fault else []
    if stream.interrupted_at is not None:
        soon = INTERRUPT_S * 1_000
        operators.append(third_party_request("an interrupt", _interrupt, at=None, delay_ms=soon))
        operators[-1].tally.needed = None
    return operators


def _interrupt(prompt: ObservedPrompt) -> Request:
    return Request("POST", "/interrupt", body=write_json({"prompt_id": prompt.id}))


# --- a client in virtual time --------------------------------------------------------------------

_UPGRADE: Final = (
    ("Host", "127.0.0.1:8188"),
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "c3RyYXRlZ2llcy1oZWFyIQ=="),
)
_PLAIN: Final = (("Host", "127.0.0.1:8188"), ("Content-Type", "application/json"))
FLAGS: Final = '{"type": "feature_flags", "data": {"supports_preview_metadata": true}}'
_SOCKET: Final = 1


class _Client:
    """Connects, submits, listens, and never does anything about what it hears."""

    def __init__(self, source: Source) -> None:
        self._source, self._now = source, 0
        self._wakes: list[int] = []
        self._exchanges = 1
        self._answers: dict[int, Any] = {}
        self.messages: list[Message] = []
        self.times: list[int] = []
        self.end: int | None = None

    def feed(self, happened: Happened) -> None:
        """Tell the server what happened."""
        ended = self.end
        for action in list(self._source.handle(happened, self._now)):
            self._carry(action)
        if self.end is not None and ended is None:
            self.feed(Disconnected(_SOCKET, self.end))

    def ask(self, method: str, target: str, body: bytes = b"") -> Any:
        """The answer to a request, parsed."""
        self._exchanges += 1
        self.feed(RequestReceived(self._exchanges, Request(method, target, _PLAIN, body)))
        return self._answers.pop(self._exchanges, None)

    def run(self) -> None:
        """Let time pass until nothing more happens."""
        for _ in range(WAKES_MAX):
            if not self._wakes:
                return
            self._now = max(self._now, heapq.heappop(self._wakes))
            self.feed(Woke())
        raise AssertionError("the simulated server does not come to rest")

    def _carry(self, action: Action) -> None:
        match action:
            case Send() if _SOCKET in action.sockets and self.end is None:
                self.messages.append(action.message)
                self.times.append(self._now)
            case Respond():
                self._answers[action.exchange] = json.loads(action.answer.body or b"null")
            case Close() | Abort() if action.socket == _SOCKET and self.end is None:
                self.end = (action.code or 1005) if isinstance(action, Close) else 1006
            case Wake():
                heapq.heappush(self._wakes, action.at)


def played(stream: Stream) -> Stream:
    """The stream of a description: what its server says, and the truth, filled in."""
    client = _Client(scenario_source([choice_of_stream(stream)], options_of(stream)))
    client.feed(UpgradeRequested(_SOCKET, Request("GET", f"/ws?clientId={CLIENT_ID}", _UPGRADE)))
    if stream.flags:
        client.feed(MessageReceived(_SOCKET, FLAGS))
    body = {"prompt": stream.graph, "client_id": CLIENT_ID}
    accepted = client.ask("POST", "/prompt", json.dumps(body).encode())
    assert accepted is not None and "prompt_id" in accepted, f"the graph is refused: {accepted}"
    client.run()
    prompt_id = str(accepted["prompt_id"])
    entry = client.ask("GET", f"/history/{prompt_id}").get(prompt_id)
    outcome: Ending = "lost" if entry is None else ending_of(entry)
    return msgspec.structs.replace(
        stream,
        prompt_id=prompt_id,
        messages=tuple(client.messages),
        times_us=tuple(client.times),
        accepted=accepted,
        history=entry,
        end=client.end,
        outcome=outcome,
        truth=_truth(stream, client.messages, outcome),
    )


def _truth(stream: Stream, messages: list[Message], outcome: Ending) -> tuple[Ending, ...]:
    if outcome != "lost":
        return (outcome,)
    # A client that was sent the end before the server died knows it.
    sent = {look(message).type for message in messages}
    known = [stream.outcome] if sent & _ENDS else []
    return ("lost", "cancelled", *known)


_ENDS: Final = {"execution_success", "execution_error", "execution_interrupted"}
