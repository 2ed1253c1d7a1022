"""Other users of the same server: their requests, their prompts, and frames of theirs.

Two kinds. A *person* asks the source itself (``warm``, ``ahead``, ``meddle``), so that queue, cache
and history are truly as if somebody else were there. A *stranger* exists in frames only
(``stranger``): whatever the source is, a replayed cassette too, a client sees events of a prompt
that is not its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from fake_server.scenarios.kit.graphs import sinks
from fake_server.scenarios.kit.matchers import Frame, Match, dump, some_node
from fake_server.scenarios.kit.observer import MILLISECOND, Ending, ObservedPrompt, Observer
from fake_server.scenarios.kit.operators import inject
from fake_server.scenarios.kit.routes import posts, read_json, write_json
from fake_server.scenarios.kit.scenario import OTHER_USER
from fake_server.scenarios.kit.stage import Again, Ends, Later, Operator, Step, Tally
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
    "ahead",
    "company",
    "meddle",
    "neighbour",
    "small_post",
    "stranger",
    "warm",
]

# What people submit: two nodes that every catalogue has, with ids that clients do not use.
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
    """A prompt of somebody else's."""
    headers = (("Content-Type", "application/json"),)
    return Request("POST", "/prompt", headers, write_json(body), peer="somebody else")


def small_graph(serial: int) -> dict[str, Any]:
    """A prompt that is never cached: each has another colour."""
    graph = json.loads(json.dumps(_SMALL))
    graph["901"]["inputs"]["color"] = serial
    return dict(graph)


def small_post(serial: int) -> Request:
    """A small prompt of somebody else's."""
    return post({"prompt": small_graph(serial), "client_id": OTHER_USER})


# --- people --------------------------------------------------------------------------------------


def warm(
    name: str = "run before by somebody else",
    *,
    change: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
) -> Operator:
    """Each prompt was run once already, by somebody else, when the client's own comes.

    ``change`` makes the earlier graph from the client's: what it leaves alone will be cached. The
    client hears nothing of it.
    """
    tally, quiet = Tally(f"warm: {name}"), [False]
    before: dict[int, str] = {}

    def hear(happened: Happened, scene: Observer) -> Iterator[Step]:
        if not isinstance(happened, RequestReceived) or not posts(happened.request):
            yield happened
            return
        body = read_json(happened.request.body)
        if happened.exchange not in before and isinstance(body, dict) and "prompt" in body:
            tally.hit()
            quiet[0] = True
            known = set(scene.prompts)
            graph = change(body["prompt"])
            yield RequestReceived(scene.person(), post({"prompt": graph, "client_id": OTHER_USER}))
            before[happened.exchange] = next(iter(set(scene.prompts) - known), "")
        earlier = before.get(happened.exchange, "")
        if earlier and scene.history(earlier) is None:
            yield Again(scene.now + MILLISECOND, happened)
            return
        quiet[0] = False
        yield happened

    def act(action: Action, scene: Observer) -> Iterator[Step]:
        if not (quiet[0] and isinstance(action, Send)):
            yield action

    return Operator(tally, hear, act)


def ahead(name: str, *, n: int) -> Operator:
    """``n`` prompts of other people stand in the queue before the client's first one."""
    tally = Tally(f"ahead: {name}")

    def hear(happened: Happened, scene: Observer) -> Iterator[Step]:
        if isinstance(happened, RequestReceived) and posts(happened.request) and not tally.matched:
            tally.hit()
            for serial in range(1, n + 1):
                yield RequestReceived(scene.person(), small_post(serial))
        yield happened

    return Operator(tally, hear)


def meddle(
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
        at: behind this frame to the client; None: behind the answer to its ``POST /prompt``.
    """
    tally = Tally(f"meddle: {name}")

    def act(action: Action, scene: Observer) -> Iterator[Step]:
        yield action
        if tally.matched or not _moment(action, at, scene):
            return
        prompt = scene.mine()[-1] if scene.mine() else None
        if prompt is not None:
            tally.hit()
            when = scene.now + delay_ms * MILLISECOND
            yield Later(when, RequestReceived(scene.person(), request(prompt)))
            if ends is not None:
                yield Later(when, Ends(ends))

    return Operator(tally, act=act)


def _moment(action: Action, at: Match | None, scene: Observer) -> bool:
    if at is None:
        return isinstance(action, Respond) and bool(scene.mine())
    return isinstance(action, Send) and at(scene.frame(action.message))


def neighbour(name: str, *, at: Match = some_node) -> Operator:
    """Another program connects with the client's own client id, and keeps its socket."""
    tally = Tally(f"neighbour: {name}")

    def act(action: Action, scene: Observer) -> Iterator[Step]:
        yield action
        if tally.matched or not isinstance(action, Send) or not at(scene.frame(action.message)):
            return
        tally.hit()
        for socket in action.sockets[:1]:
            knocked = scene.handshakes[socket]
            yield UpgradeRequested(scene.person(), knocked)

    return Operator(tally, act=act)


# --- strangers -----------------------------------------------------------------------------------


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


def company(name: str, *acts: tuple[Match, Callable[[OtherUser], list[str]]]) -> list[Operator]:
    """One stranger whose frames come at several frames of the client's own."""
    shared: list[OtherUser] = []

    def frames_of(act: Callable[[OtherUser], list[str]]) -> Callable[[Frame, Observer], list[str]]:
        def messages(frame: Frame, scene: Observer) -> list[str]:
            if not shared:
                shared.append(OtherUser(scene.uuid()))
            return act(shared[0])

        return messages

    return [inject(frames_of(act), f"a stranger: {name}", at=at) for at, act in acts]


def stranger(
    name: str, frames: Callable[[OtherUser], list[str]], *, at: Match, before: bool = False
) -> Operator:
    """Frames of a prompt that is not the client's, at some frame of its own.

    The stranger's only node has the id of an output node of the client's prompt.
    """

    def messages(frame: Frame, scene: Observer) -> list[str]:
        node = next((sinks(prompt.graph)[0] for prompt in scene.mine() if prompt.graph), "9")
        stamp = frame.data.get("timestamp")
        return frames(OtherUser(scene.uuid(), node, timestamp=stamp if stamp else 0))

    return inject(messages, f"a stranger: {name}", at=at, before=before)
