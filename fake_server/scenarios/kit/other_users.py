"""Other users of the same server: their requests, their prompts, and frames of theirs.

Two kinds. Some ask the source itself (``prerun``, ``queued_before``, ``third_party_request``,
``second_client``), so that queue, cache and history are truly as if somebody else were there.
Others exist in frames only (``foreign_frames``, ``foreign_prompt``): whatever the source is, a
replayed cassette too, a client sees events of a prompt that is not its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from fake_server.scenarios.kit.frames_ops import inject
from fake_server.scenarios.kit.graphs import sinks
from fake_server.scenarios.kit.matchers import FrameView, Match, dump, some_node
from fake_server.scenarios.kit.observer import MILLISECOND, Ending, ObservedPrompt, Observer
from fake_server.scenarios.kit.operator import DoLater, EndPrompts, HearAgain, Operator, Step, Tally
from fake_server.scenarios.kit.requests import posts, write_json
from fake_server.scenarios.kit.scenario import EARLIER_USER, OTHER_USER
from fake_server.source import (
    Action,
    Happened,
    Request,
    RequestReceived,
    Respond,
    Send,
    UpgradeRequested,
)

__all__ = [
    "OtherUser",
    "foreign_frames",
    "foreign_prompt",
    "prerun",
    "queued_before",
    "second_client",
    "small_post",
    "third_party_request",
]

# What they submit: two nodes that every catalogue has, with ids that clients do not use.
_SMALL: Mapping[str, Any] = {
    "901": {
        "class_type": "EmptyImage",
        "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 0},
    },
    "902": {
        "class_type": "SaveImage",
        "inputs": {"images": ["901", 0], "filename_prefix": "somebody_else"},
    },
}


def post(body: Mapping[str, Any]) -> Request:
    """A prompt of another user."""
    headers = (("Content-Type", "application/json"),)
    return Request("POST", "/prompt", headers, write_json(body), peer="somebody else")


def small_graph(serial: int) -> dict[str, Any]:
    """A prompt that is never cached: each has another color."""
    graph = json.loads(json.dumps(_SMALL))
    graph["901"]["inputs"]["color"] = serial
    return dict(graph)


def small_post(serial: int) -> Request:
    """A small prompt of another user."""
    return post({"prompt": small_graph(serial), "client_id": OTHER_USER})


# --- who ask the source --------------------------------------------------------------------------


def prerun(
    name: str = "run before by somebody else",
    *,
    change: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
) -> Operator:
    """Each prompt was run once already, by somebody else, when the client's own comes.

    ``change`` makes the earlier graph from the client's: what it leaves alone will be cached. The
    client hears nothing of it.
    """
    tally = Tally(f"prerun: {name}")
    runs = _Preruns(tally, change)
    return Operator(tally, runs.hear, runs.act, on_frames=True)


class _Preruns:
    def __init__(
        self, tally: Tally, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    ) -> None:
        self.tally, self.change = tally, change
        self.earlier: dict[int, str] = {}
        """By exchange of the client's POST: the id of the prompt that is run before it."""
        self.is_quiet = False
        """An earlier prompt runs; its frames are for nobody."""

    def hear(self, happened: Happened, observer: Observer) -> Iterator[Step]:
        if not isinstance(happened, RequestReceived) or not posts(happened.request):
            yield happened
            return
        body = happened.request.json
        new = happened.exchange not in self.earlier
        if new and isinstance(body, dict) and "prompt" in body:
            self.tally.hit()
            self.is_quiet = True
            known = set(observer.prompts)
            graph = self.change(body["prompt"])
            yield RequestReceived(
                observer.other_user(), post({"prompt": graph, "client_id": EARLIER_USER})
            )
            self.earlier[happened.exchange] = next(iter(set(observer.prompts) - known), "")
        earlier = self.earlier.get(happened.exchange, "")
        if earlier and observer.history(earlier) is None:
            yield HearAgain(observer.now + MILLISECOND, happened)
            return
        self.is_quiet = False
        yield happened

    def act(self, action: Action, observer: Observer) -> Iterator[Step]:
        if not (self.is_quiet and isinstance(action, Send)):
            yield action


def queued_before(name: str, *, n: int) -> Operator:
    """``n`` prompts of other users stand in the queue before the client's first one."""
    tally = Tally(f"queued before: {name}")

    def hear(happened: Happened, observer: Observer) -> Iterator[Step]:
        if isinstance(happened, RequestReceived) and posts(happened.request) and not tally.spent(1):
            tally.hit()
            for serial in range(1, n + 1):
                yield RequestReceived(observer.other_user(), small_post(serial))
        yield happened

    return Operator(tally, hear, on_frames=True)


def third_party_request(
    name: str,
    request: Callable[[ObservedPrompt], Request],
    *,
    at: Match | None = some_node,
    delay_ms: int = 0,
    ends: Ending | None = None,
) -> Operator:
    """Somebody else sends a request about the client's prompt, once.

    Args:
        ends: what becomes of the prompt by it, where no frame and no history will tell.
        at: after this frame to the client; None: after the response to its ``POST /prompt``.
    """
    tally = Tally(f"request of a third party: {name}")

    def act(action: Action, observer: Observer) -> Iterator[Step]:
        yield action
        if tally.spent(1) or not _is_the_moment(action, at, observer):
            return
        prompt = observer.mine()[-1] if observer.mine() else None
        if prompt is not None:
            tally.hit()
            when = observer.now + delay_ms * MILLISECOND
            yield DoLater(when, RequestReceived(observer.other_user(), request(prompt)))
            if ends is not None:
                yield DoLater(when, EndPrompts(ends))

    return Operator(tally, act=act, on_frames=True)


def _is_the_moment(action: Action, at: Match | None, observer: Observer) -> bool:
    if at is None:
        return isinstance(action, Respond) and bool(observer.mine())
    return isinstance(action, Send) and at(observer.frame(action.message))


def second_client(name: str, *, at: Match = some_node) -> Operator:
    """Another program connects with the client's own client id, and keeps its socket."""
    tally = Tally(f"second client: {name}")

    def act(action: Action, observer: Observer) -> Iterator[Step]:
        reached = observer.reaches(action)
        yield action
        if tally.spent(1) or not isinstance(action, Send):
            return
        if at(observer.frame(action.message)):
            tally.hit(reached=reached)
            for socket in action.sockets[:1]:
                yield UpgradeRequested(observer.other_user(), _under_the_id_of(socket, observer))

    return Operator(tally, act=act, on_frames=True)


def _under_the_id_of(socket: int, observer: Observer) -> Request:
    """The client's own handshake, with the id that the source knows it by."""
    handshake, client_id = observer.handshakes[socket], observer.sockets[socket]
    if handshake.client_id == client_id:
        return handshake
    return handshake.with_query(clientId=client_id)


# --- who exist in frames only --------------------------------------------------------------------


class OtherUser(msgspec.Struct, frozen=True):
    """A prompt of which the client only sees frames."""

    prompt_id: str
    node: str = "9"
    filename: str = "somebody_else_00001_.png"
    timestamp: int = 0

    def start(self) -> list[str]:
        """It begins, and its first node runs."""
        return [
            dump("execution_start", {"prompt_id": self.prompt_id, "timestamp": self.timestamp}),
            dump(
                "execution_cached",
                {"nodes": [], "prompt_id": self.prompt_id, "timestamp": self.timestamp},
            ),
            *self.work(),
        ]

    def work(self) -> list[str]:
        """Its node runs and gets on."""
        entry = {
            "value": 1,
            "max": 2,
            "state": "running",
            "node_id": self.node,
            "prompt_id": self.prompt_id,
            "display_node_id": self.node,
            "parent_node_id": None,
            "real_node_id": self.node,
        }
        named = {"prompt_id": self.prompt_id, "node": self.node}
        return [
            dump("progress_state", {"prompt_id": self.prompt_id, "nodes": {self.node: entry}}),
            dump("executing", {**named, "display_node": self.node}),
            dump("progress", {"value": 1, "max": 2, **named}),
        ]

    def output(self) -> list[str]:
        """It has saved a picture."""
        image = {"filename": self.filename, "subfolder": "", "type": "output"}
        named = {"node": self.node, "display_node": self.node}
        return [
            dump("executed", {**named, "output": {"images": [image]}, "prompt_id": self.prompt_id})
        ]

    def success(self) -> list[str]:
        """It has ended well."""
        return [
            dump("execution_success", {"prompt_id": self.prompt_id, "timestamp": self.timestamp}),
            *self.gone(),
        ]

    def failure(self) -> list[str]:
        """It has failed."""
        data = {
            "prompt_id": self.prompt_id,
            "node_id": self.node,
            "node_type": "SaveImage",
            "executed": [],
            "exception_message": "this is somebody else's failure\n",
            "exception_type": "RuntimeError",
            "traceback": [],
            "current_inputs": {},
            "current_outputs": [],
            "timestamp": self.timestamp,
        }
        return [dump("execution_error", data), *self.gone()]

    def interrupted(self) -> list[str]:
        """It was interrupted."""
        data = {
            "prompt_id": self.prompt_id,
            "node_id": self.node,
            "node_type": "SaveImage",
            "executed": [],
            "timestamp": self.timestamp,
        }
        return [dump("execution_interrupted", data), *self.gone()]

    def gone(self) -> list[str]:
        """It has left the executor."""
        return [dump("executing", {"node": None, "prompt_id": self.prompt_id})]

    def whole(self) -> list[str]:
        """All of it."""
        return [*self.start(), *self.output(), *self.success()]


def foreign_frames(
    name: str, frames: Callable[[OtherUser], list[str]], *, at: Match, before: bool = False
) -> Operator:
    """Frames of a prompt that is not the client's, at some frame of its own.

    The other prompt's only node has the id of an output node of the client's prompt.
    """

    def messages(frame: FrameView, observer: Observer) -> list[str]:
        node = next((sinks(prompt.graph)[0] for prompt in observer.mine() if prompt.graph), "9")
        stamp = frame.data.get("timestamp")
        return frames(OtherUser(observer.uuid(), node, timestamp=stamp if stamp else 0))

    return inject(messages, f"foreign frames: {name}", at=at, before=before)


def foreign_prompt(
    name: str, *acts: tuple[Match, Callable[[OtherUser], list[str]]]
) -> list[Operator]:
    """One prompt that is not the client's, whose frames come at several frames of its own."""
    prompt = _ForeignPrompt()
    return [inject(prompt.frames(act), f"a foreign prompt: {name}", at=at) for at, act in acts]


class _ForeignPrompt:
    def __init__(self) -> None:
        self.user: OtherUser | None = None

    def frames(
        self, act: Callable[[OtherUser], list[str]]
    ) -> Callable[[FrameView, Observer], list[str]]:
        def messages(frame: FrameView, observer: Observer) -> list[str]:
            if self.user is None:
                self.user = OtherUser(observer.uuid())
            return act(self.user)

        return messages
