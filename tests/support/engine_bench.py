"""An engine on a bench: questions in, frames out, time by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from comfyrec.versions import era_of
from fake_server.http import middleware
from fake_server.http.context import Context
from fake_server.nodes.catalogue import Catalogue
from fake_server.options import ServerOptions
from fake_server.simulator.engine import Engine
from fake_server.simulator.node_plan import NodePlans, always
from fake_server.source import Request, Response, Send, Wake
from fake_server.storage.memory import Folders

Frame = dict[str, Any] | bytes


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def entry(
    inputs: Mapping[str, Any],
    output: Iterable[Any] = ("IMAGE",),
    *,
    optional: Mapping[str, Any] | None = None,
    hidden: Mapping[str, Any] | None = None,
    output_node: bool = False,
    lists: bool = False,
    takes_lists: bool = False,
    intermediate: bool = False,
) -> dict[str, Any]:
    """One class as object_info has it."""
    output = list(output)
    sections = {"required": dict(inputs), "optional": optional, "hidden": hidden}
    return {
        "input": {key: value for key, value in sections.items() if value},
        "output": output,
        "output_is_list": [lists] * len(output),
        "output_node": output_node,
        "is_input_list": takes_lists,
        "has_intermediate_output": intermediate,
        "python_module": "custom_nodes.bench",
    }


IMAGE = ["IMAGE"]
FLOAT = ["FLOAT", {"default": 0.0}]
# Test nodes: the shapes of upstream's own and of those that the recordings were made with.
BENCH = {
    "Pass": entry({"image": IMAGE}),
    "Make": entry({"color": ["INT", {"default": 0, "min": 0, "max": 1 << 40}]}),
    "Fan": entry({"image": IMAGE, "count": ["INT", {"default": 2}]}, lists=True),
    "Gather": entry({"image": IMAGE}, takes_lists=True),
    "Sink": entry({"image": IMAGE}, (), output_node=True),
    "Both": entry({"image1": IMAGE, "image2": IMAGE}),
    "Mix": entry(
        {"image1": ["IMAGE", {"lazy": True}], "image2": ["IMAGE", {"lazy": True}], "mask": ["MASK"]}
    ),
    "Mask": entry({"value": FLOAT}, ["MASK"]),
    "Own": entry({"image": IMAGE}, hidden={"unique_id": "UNIQUE_ID"}),
    "Halfway": entry({"image": IMAGE}, intermediate=True),
}


def catalogue(**more: Mapping[str, Any]) -> Catalogue:
    core = Catalogue.core()
    info = {name: core.info(name) for name in core}
    return Catalogue({**info, **BENCH, **more}, core.models)


CATALOGUE = catalogue()


class Rig:
    """Sockets by letter; frames are taken apart as they come."""

    def __init__(
        self,
        nodes: Mapping[str, Any] | None = None,
        *,
        classes: Mapping[str, Any] | None = None,
        version: str = "0.27.0",
        lifelike: bool = False,
        strict: bool = False,
        catalogue: Catalogue = CATALOGUE,
        seed: int = 1,
        **settings: Any,
    ) -> None:
        self.folders = Folders()
        self.engine = Engine(
            ServerOptions(catalogue=catalogue, era=era_of(version), seed=seed, **settings),
            folders=self.folders,
            plan_for=always(NodePlans(nodes, classes, lifelike=lifelike, strict=strict)),
        )
        self.context = Context(
            engine=self.engine,
            options=self.engine.options,
            folders=self.folders,
            random=self.engine.random,
        )
        self.now = 0
        self.wakes: list[int] = []
        self.frames: dict[str, list[Frame]] = {}
        self._letters: dict[int, str] = {}
        self._sockets: dict[str, int] = {}

    # --- in ------------------------------------------------------------------------------------

    def connect(self, letter: str = "A", client_id: str | None = "") -> list[Frame]:
        socket = len(self._letters) + 1
        self._letters[socket], self._sockets[letter] = letter, socket
        self.frames.setdefault(letter, [])
        self.engine.connected(socket, letter if client_id == "" else client_id, self.now)
        self.collect()
        return self.frames[letter]

    def say(self, letter: str, message: Any) -> None:
        raw = message if isinstance(message, (str, bytes)) else json.dumps(message)
        self.engine.received(self._sockets[letter], raw, self.now)
        self.collect()

    def leave(self, letter: str) -> None:
        self.engine.disconnected(self._sockets[letter], self.now)
        self.collect()

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Iterable[tuple[str, str]] = (),
        query: Mapping[str, str] | None = None,
        **param: str,
    ) -> Response:
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        below = "/api" if path.startswith("/jobs") else ""
        target = below + path.format(**{name: quote(value) for name, value in param.items()})
        fields = tuple((name, value) for name, value in headers)
        request = Request(method, target, fields, raw).with_query(**(query or {}))
        self.engine.time.reach(self.now)
        answer = middleware.answer(self.context, request)
        self.collect()
        return answer

    def get(self, path: str, **more: Any) -> Any:
        return json.loads(self.ask("GET", path, **more).body)

    def queue(self, prompt: Mapping[str, Any], client: str | None = "A", **extra: Any) -> str:
        body = {"prompt": prompt, **({"client_id": client} if client else {}), **extra}
        answer = self.ask("POST", "/prompt", body)
        assert answer.status == 200, answer.body
        return str(json.loads(answer.body)["prompt_id"])

    def refuse(self, prompt: Any, **extra: Any) -> dict[str, Any]:
        answer = self.ask("POST", "/prompt", {"prompt": prompt, **extra})
        assert answer.status == 400, answer.body
        refusal: dict[str, Any] = json.loads(answer.body)
        return refusal

    # --- time ----------------------------------------------------------------------------------

    def until(self, now: int) -> None:
        """Let virtual time run up to ``now``, with all wakes on the way."""
        while self.wakes and min(self.wakes) <= now:
            self.wake()
        self.now = max(self.now, now)

    def wake(self) -> None:
        """Go to the next wake."""
        at = min(self.wakes)
        self.wakes.remove(at)
        self.now = max(self.now, at)
        self.engine.woke(self.now)
        self.collect()

    def finish(self) -> None:
        """Let time run until nothing is left to do."""
        while self.wakes:
            self.wake()

    # --- out -----------------------------------------------------------------------------------

    def collect(self) -> None:
        for action in self.engine.take():
            if isinstance(action, Wake):
                self.wakes.append(action.at)
                continue
            assert isinstance(action, Send), action
            for socket in action.sockets:
                message = action.message
                frame = message if isinstance(message, bytes) else json.loads(message)
                self.frames[self._letters[socket]].append(frame)

    def told(self, letter: str = "A") -> list[str]:
        """The frames of a socket in short, and forget them."""
        told = [short(frame) for frame in self.frames[letter]]
        self.frames[letter].clear()
        return told

    def history(self, prompt_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get("/history/{prompt_id}", prompt_id=prompt_id)[prompt_id]
        return found


def short(frame: Frame) -> str:
    """A frame in a few characters: ``run 1``, ``state 1:1.0/1.0!``, ``executed 2``."""
    if isinstance(frame, bytes):
        return f"binary {int.from_bytes(frame[:4], 'big')}"
    kind, data = frame["type"], frame["data"]
    if kind == "status":
        return f"status {data['status']['exec_info']['queue_remaining']}"
    if kind == "executing":
        return f"run {data['node']}" if data["node"] is not None else "end"
    if kind == "progress_state":
        return "state " + " ".join(_part(each) for each in data["nodes"].values())
    if kind == "progress":
        return f"progress {data['node']} {data['value']}/{data['max']}"
    if kind == "execution_cached":
        return f"cached {' '.join(data['nodes'])}".rstrip()
    if kind == "executed":
        return f"executed {data['node']}"
    node_id = f" {data['node_id']}" if "node_id" in data else ""
    return kind.removeprefix("execution_") + node_id


def _part(each: Mapping[str, Any]) -> str:
    mark = "!" if each["state"] == "finished" else ""
    return f"{each['node_id']}:{each['value']}/{each['max']}{mark}"


def lines(told: Iterable[str]) -> list[str]:
    """Without progress_state, which would repeat every node in every line."""
    return [one for one in told if not one.startswith("state")]


def rig_of(version: str = "0.27.0") -> Rig:
    """A server of that version with one socket, which has heard its greeting."""
    rig = Rig(version=version)
    rig.connect("A")
    rig.told()
    return rig


def shown(rig: Rig, prompt: dict[str, Any], node_id: str) -> dict[str, Any]:
    """What the history shows of a node of a prompt that succeeds."""
    entry = rig.history(rig.queue(prompt))
    assert entry["status"]["status_str"] == "success", entry["status"]
    found: dict[str, Any] = entry["outputs"][node_id]
    return found


def content(rig: Rig, file: dict[str, Any]) -> bytes:
    """The bytes of a file that an output names."""
    stored = rig.folders.read(file["type"], file["subfolder"], file["filename"])
    assert stored is not None, file
    return stored.data
