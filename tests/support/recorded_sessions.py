"""A client's session at a simulated server, recorded; and the same session with other values."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from hypothesis import assume
from hypothesis import strategies as st

from comfyrec.cassette.records import AnyRecord, Closed, HttpPart, Session, Side, WsFrame
from comfyrec.strategies import Workflow, graphs
from comfyrec.timeline import Timeline
from fake_server.nodes.catalogue import Catalogue, Input
from fake_server.simulated_server import SimulatedServer
from fake_server.source import (
    Action,
    Disconnected,
    Happened,
    MessageReceived,
    RequestReceived,
    Respond,
    Send,
    UpgradeRequested,
)
from tests.support.replay_rig import SourceRig

__all__ = [
    "Job",
    "RecordingRig",
    "jobs_of",
    "outcome_of",
    "sessions",
    "submit",
    "upload",
    "with_other_values",
]

NODES_MAX: Final = 4
PNG: Final = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763"
    "f8cfc000000301010018dd8db00000000049454e44ae426082"
)


class Job(msgspec.Struct, frozen=True):
    """One prompt of a session, and what the client uploads for it."""

    kind: str
    tag: str
    color: int
    graph: Workflow
    uploads: Mapping[str, bytes] = {}


class RecordingRig(SourceRig):
    """Writes down what crosses the wire, as a recorder would."""

    def __init__(self, source: SimulatedServer) -> None:
        super().__init__(source)
        self.records: list[AnyRecord] = []
        self._put(Session, about={"comfyui_version": "0.33.0"})

    def timeline(self) -> Timeline:
        return Timeline.build(self.records)

    def _put(self, kind: Any, **fields: Any) -> None:
        self.records.append(kind(seq=len(self.records), t=1_000_000 + self.now, **fields))

    def feed(self, happened: Happened) -> None:
        if isinstance(happened, RequestReceived):
            self._request(happened.exchange, happened.request)
        elif isinstance(happened, UpgradeRequested):
            self._request(happened.socket, happened.request)
            head = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
            self._put(HttpPart, conn=happened.socket, side=Side.SERVER, exchange=0, head=head)
        elif isinstance(happened, MessageReceived):
            self._frame(happened.socket, Side.CLIENT, happened.message)
        elif isinstance(happened, Disconnected):
            self._put(Closed, conn=happened.socket, side=Side.CLIENT)
        super().feed(happened)

    def _frame(self, conn: int, side: Side, message: str | bytes) -> None:
        text = isinstance(message, str)
        payload = message.encode() if isinstance(message, str) else message
        self._put(
            WsFrame, conn=conn, side=side, head=bytes((0x81 if text else 0x82, 0)), payload=payload
        )

    def _request(self, conn: int, request: Any) -> None:
        fields = "".join(f"{name}: {value}\r\n" for name, value in request.headers)
        head = f"{request.method} {request.target} HTTP/1.1\r\n{fields}\r\n".encode()
        self._put(HttpPart, conn=conn, side=Side.CLIENT, exchange=0, head=head, body=request.body)

    def _carry(self, action: Action) -> None:
        if isinstance(action, Respond):
            answer = action.answer
            fields = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
            head = f"HTTP/1.1 {answer.status} X\r\n{fields}\r\n".encode()
            self._put(
                HttpPart,
                conn=action.exchange,
                side=Side.SERVER,
                exchange=0,
                head=head,
                body=answer.body,
            )
        elif isinstance(action, Send):
            for socket in action.sockets:
                self._frame(socket, Side.SERVER, action.message)
        super()._carry(action)


# --- what a client does --------------------------------------------------------------------------


def submit(rig: SourceRig, job: Job, client_id: str) -> str | None:
    """Upload, submit, wait for the end, read the history and the files; the prompt's id.

    None: it was refused.
    """
    for name, data in job.uploads.items():
        upload(rig, name, data)
    answer = rig.post(job.graph, client_id)
    if answer.status != 200:
        return None
    prompt_id: str = json.loads(answer.body)["prompt_id"]
    rig.get("/queue")
    rig.run()
    history = rig.get(f"/history/{prompt_id}")
    for file in _files(history):
        if file["filename"].endswith(".png"):
            rig.ask("GET", f"/view?filename={file['filename']}&type={file['type']}")
    return prompt_id


def upload(rig: SourceRig, name: str, data: bytes) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="'
        + name.encode()
        + b'"\r\nContent-Type: image/png\r\n\r\n'
        + data
        + b"\r\n--b--\r\n"
    )
    headers = (
        ("Host", "127.0.0.1:8188"),
        ("Content-Type", "multipart/form-data; boundary=b"),
    )
    assert rig.ask("POST", "/upload/image", body, headers=headers).status == 200


def _files(history: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
    for entry in history.values():
        for shown in entry["outputs"].values():
            yield from shown.get("images", ())


def outcome_of(history: Mapping[str, Any]) -> str:
    """What a history entry says of the end."""
    return str(next(iter(history.values()))["status"]["status_str"])


# --- what is drawn -------------------------------------------------------------------------------

_CATALOGUE: Final = Catalogue.core()
_TAGS: Final = st.integers(0, 16**8 - 1).map(lambda number: f"ck{number:08x}1")
_COLORS: Final = st.integers(1_000, 0xFFFFFF)


def _image(tag: str, color: int, *, steps: int) -> Workflow:
    graph: Workflow = {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": color},
        }
    }
    for step in range(steps):
        link = [str(step + 1), 0]
        graph[str(step + 2)] = {"class_type": "ImageInvert", "inputs": {"image": link}}
    link = [str(steps + 1), 0]
    saved = {"images": link, "filename_prefix": tag}
    graph["99"] = {"class_type": "SaveImage", "inputs": saved}
    return graph


def _load(tag: str, name: str) -> Workflow:
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": tag}},
    }


def _job(kind: str, tag: str, color: int, drawn: Workflow) -> Job:
    match kind:
        case "loaded" | "broken":
            name = f"{tag}_{'in' if kind == 'loaded' else 'broken'}.png"
            data = (PNG if kind == "loaded" else b"not a picture") + tag.encode()
            return Job(kind, tag, color, _load(tag, name), {name: data})
        case "lacking":
            graph = _image(tag, color, steps=1)
            del graph["1"]["inputs"]["width"]
        case "unknown":
            graph = {"1": {"class_type": f"NoSuchNode_{tag}", "inputs": {}}}
        case "drawn":
            graph = drawn
        case _:
            graph = _image(tag, color, steps=int(kind.removeprefix("image")))
    return Job(kind, tag, color, graph)


def jobs_of(kinds: Sequence[str], first: int) -> list[Job]:
    """Jobs of these kinds, with values that are counted on from one."""
    numbers = range(first, first + len(kinds))
    return [
        _job(kind, f"ck{number:08x}1", 1_000 + number, {})
        for kind, number in zip(kinds, numbers, strict=True)
    ]


_KINDS: Final = st.sampled_from(
    ["image0", "image1", "image2", "drawn", "loaded", "broken", "lacking", "unknown"]
)


@st.composite
def sessions(draw: st.DrawFn) -> list[Job]:
    """The jobs of a client, one after the other, each with a tag of its own."""
    kinds = draw(st.lists(_KINDS, min_size=1, max_size=4))
    drawn = st.just({}) if "drawn" not in kinds else graphs(max_nodes=NODES_MAX)
    tags = draw(_unlike(_TAGS, len(kinds)))
    return [
        _job(kind, tag, draw(_COLORS), draw(drawn)) for kind, tag in zip(kinds, tags, strict=True)
    ]


@st.composite
def with_other_values(draw: st.DrawFn, jobs: list[Job]) -> list[Job]:
    """The same jobs with tags, colors, names and other literals drawn anew: none as before, and
    different ones where different ones were."""
    tags, colors = {job.tag for job in jobs}, {job.color for job in jobs}
    new_tags = draw(_unlike(_TAGS, len(jobs), tags))
    new_colors = dict(zip(sorted(colors), draw(_unlike(_COLORS, len(colors), colors)), strict=True))
    made = [
        _job(job.kind, tag, new_colors[job.color], draw(_redrawn(job.graph)))
        for job, tag in zip(jobs, new_tags, strict=True)
    ]
    # A drawn graph may come out as another one of its shape was, and that one is meant then.
    for (one, new), (other, newer) in itertools.permutations(zip(jobs, made, strict=True), 2):
        assume(one.graph == other.graph or new.graph not in (newer.graph, other.graph))
    return made


def _unlike(
    values: st.SearchStrategy[Any], count: int, others: Iterable[Any] = ()
) -> st.SearchStrategy[list[Any]]:
    """So many values, all different, and none of the others."""
    fresh = values.filter(lambda value: value not in others)
    return st.lists(fresh, min_size=count, max_size=count, unique=True)


@st.composite
def _redrawn(draw: st.DrawFn, graph: Workflow) -> Workflow:
    return {
        node_id: {
            "class_type": node["class_type"],
            "inputs": {
                name: draw(_other(node["class_type"], name, value))
                for name, value in node["inputs"].items()
            },
        }
        for node_id, node in graph.items()
    }


def _other(class_type: str, name: str, value: Any) -> st.SearchStrategy[Any]:
    node_class = _CATALOGUE.get(class_type)
    known = node_class.inputs.get(name) if node_class is not None else None
    if known is None or isinstance(value, list) or known.choices is not None:
        return st.just(value)
    return _values(known, value)


def _values(known: Input, value: Any) -> st.SearchStrategy[Any]:
    if isinstance(value, bool):
        return st.booleans()
    if isinstance(value, int):
        low = int(known.options.get("min", 0))
        return st.integers(low, max(low, min(int(known.options.get("max", low + 8)), low + 8)))
    if isinstance(value, str):
        return st.sampled_from(["", "a dog", "ab12cd34", "Ünï"])
    return st.just(value)
