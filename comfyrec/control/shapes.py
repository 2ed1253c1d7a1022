"""What the operations of the control plane take and give; ``GET /__fake__/openapi.json`` has them.

Times ``..._us`` are virtual microseconds since the server began; ``timeout_s`` are real seconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from comfyrec.control.operation import Answer, Body
from fake_server.source import PARTS

Count = Annotated[int, Meta(ge=0, le=1_000_000)]
TimeoutS = Annotated[float, Meta(ge=0, le=600)]
Seconds = Annotated[float, Meta(ge=0, le=10 * 365 * 24 * 3_600)]
"""Up to ten years; a larger number was meant in another unit."""
Speed = Annotated[float, Meta(ge=0, le=1e9)] | Literal["max"]
CloseCode = Annotated[int, Meta(ge=1000, le=4999)]
Resettable = Literal["queue", "history", "cache", "counters", "files", "scenario", "journal"]
RESETS: tuple[Resettable, ...] = (*PARTS, "scenario", "journal")
Kind = Literal[
    "request", "answer", "upgrade", "received", "sent", "closed", "left", "dropped", "cut", "held",
    "released", "fault",
]  # fmt: skip
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


# --- what is served --------------------------------------------------------------------------


class NamedScenario(Body, frozen=True):
    """A scenario and its parameters."""

    name: str
    params: dict[str, Any] = field(default_factory=dict)


class SeveralScenarios(Body, frozen=True):
    """Scenarios that are played at once, as texts (``ws-silent:after=start``) or objects."""

    scenarios: list[str | NamedScenario]


class CassetteBody(Body, frozen=True):
    """A path on the server's machine, or the name of a bundled cassette."""

    file: str
    strict: bool = False
    """Whether requests that the cassette does not have fail."""
    scenarios: list[str | NamedScenario] = field(default_factory=list)
    """What goes wrong during the replay."""


class PlanBody(Body, frozen=True):
    """What nodes do: node id -> keys of a plan."""

    nodes: dict[str, Any] = field(default_factory=dict)
    strict: bool = True
    """Whether a prompt that lacks one of the nodes is refused."""
    params: dict[str, Any] = field(default_factory=dict)


class CatalogueBody(Body, frozen=True):
    """One workflow or several, in API format or as the web page saves them."""

    workflow: dict[str, Any] | None = None
    workflows: list[dict[str, Any]] | None = None


class ResetBody(Body, frozen=True):
    """What to forget; all of it by default."""

    what: list[Resettable] = field(default_factory=lambda: list(RESETS))


class ServerBody(Body, frozen=True):
    """A server to make. What is not said is as with the server that makes it."""

    scenario: str | NamedScenario | None = None
    scenarios: list[str | NamedScenario] = field(default_factory=list)
    """Several at once, or what goes wrong during the replay of ``cassette``."""
    params: dict[str, Any] = field(default_factory=dict)
    """Of ``scenario``."""
    plan: dict[str, Any] | None = None
    """What nodes do: node id -> keys of a plan."""
    cassette: str | None = None
    strict: bool = False
    """Whether requests that the cassette does not have fail."""
    seed: Annotated[int, Meta(ge=0)] | None = None
    version: str | None = None
    """Of ComfyUI."""
    surface: list[str] | None = None
    """The APIs that it speaks, each as ``--surface`` takes it, such as ``v2:token=t``."""
    object_info: dict[str, Any] | None = None
    """The node classes, as ``GET /object_info`` gives them."""
    speed: Speed | None = None
    """Of virtual time; by default it does not wait, except in scenarios about waiting."""
    timeout_s: Annotated[float, Meta(gt=0, le=600)] | None = None
    """The limit of waits that do not name one."""


class PlayedScenario(Answer, frozen=True):
    """A scenario that is played."""

    name: str
    params: dict[str, Any]
    title: str


class Played(Answer, frozen=True):
    """What the server does from now on."""

    scenario: PlayedScenario | None
    """The first of the scenarios; null for a plain replay."""
    scenarios: list[PlayedScenario]
    cassette: str | None


class TimeAnswer(Answer, frozen=True):
    """Virtual time: the moment, the speed, and when something is due (null: nothing is)."""

    now_us: int
    speed: float | Literal["max"]
    next_us: int | None


class Stepped(TimeAnswer, frozen=True):
    """As time, and whether anything was due."""

    stepped: bool


class State(Answer, frozen=True):
    """What this is and does."""

    what: str
    comfyrec: str
    url: str
    ws_url: str
    seed: int
    scenario: PlayedScenario | None
    scenarios: list[PlayedScenario]
    cassette: str | None
    time: TimeAnswer
    held_at: str | None
    facts: dict[str, Any]
    """What the source tells of its state."""
    routes: dict[str, list[str]]


class ScenarioAbout(Answer, frozen=True):
    """A scenario of the catalogue."""

    name: str
    row: str
    category: str
    summary: str
    correct: str
    """What a correct client does."""
    truth: list[str]
    """What a client may truthfully report."""
    parameters: dict[str, Any]
    """Name -> its JSON schema."""


class ScenarioList(Answer, frozen=True):
    """The catalogue."""

    scenarios: list[ScenarioAbout]


class Learned(Answer, frozen=True):
    """What was learned from workflows."""

    learned: dict[str, Any]


class WasReset(Answer, frozen=True):
    """What was forgotten."""

    reset: list[str]


class Done(Answer, frozen=True):
    """It was done."""

    done: Literal[True] = True


class OpenApi(Answer, frozen=True):
    """An OpenAPI 3.1 document."""

    openapi: str
    info: dict[str, Any]
    servers: list[dict[str, Any]]
    paths: dict[str, Any]
    components: dict[str, Any]


# --- what was seen ---------------------------------------------------------------------------


class JournalQuery(Body, frozen=True):
    """Which entries."""

    after: int = -1
    """Those with a larger serial number."""
    what: Kind | None = None


class RequestQuery(Body, frozen=True):
    """Which requests."""

    method: Method | None = None
    path: str | None = None
    """Without query and without ``/api``; ``*`` stands for anything."""
    status: int | None = None
    after: int = 0
    """Those with a larger serial number."""


class PromptQuery(Body, frozen=True):
    """Which prompts."""

    prompt_id: str | None = None
    client_id: str | None = None


class SocketQuery(Body, frozen=True):
    """Which websockets."""

    client_id: str | None = None
    open: bool | None = None


class FrameQuery(Body, frozen=True):
    """Which frames."""

    type: str | None = None
    """As in a hold: the type of a text frame, or ``preview`` or ``text``."""
    socket: int | None = None


class JournalAnswer(Answer, frozen=True):
    """Entries in order, and how many older ones are forgotten."""

    entries: list[dict[str, Any]]
    forgotten: int


class SeenRequestAnswer(Answer, frozen=True):
    """A request; ``status`` is null until its answer has left."""

    serial: int
    t_us: int
    method: str
    path: str
    query: dict[str, list[str]]
    headers: list[tuple[str, str]]
    size_bytes: int
    text: str | None
    """The body; null when it is not text."""
    json: Any
    """The body; null when it is not JSON."""
    status: int | None


class RequestList(Answer, frozen=True):
    """Requests in order."""

    requests: list[SeenRequestAnswer]


class SeenPromptAnswer(Answer, frozen=True):
    """A prompt that was accepted."""

    serial: int
    """Of its request."""
    t_us: int
    prompt_id: str
    client_id: str | None
    graph: dict[str, Any]
    extra_data: dict[str, Any]


class PromptList(Answer, frozen=True):
    """Prompts in order."""

    prompts: list[SeenPromptAnswer]


class UploadedFile(Answer, frozen=True):
    """A file of an upload."""

    field: str
    filename: str
    content_type: str | None
    size_bytes: int
    sha256: str
    base64: str


class SeenUpload(Answer, frozen=True):
    """An upload that was accepted."""

    serial: int
    t_us: int
    path: str
    fields: dict[str, str]
    files: list[UploadedFile]


class UploadList(Answer, frozen=True):
    """Uploads in order."""

    uploads: list[SeenUpload]


class SeenSocketAnswer(Answer, frozen=True):
    """A WebSocket."""

    socket: int
    client_id: str | None
    open: bool
    opened_us: int
    closed_us: int | None
    received: list[str | None]
    """The client's messages; null for a binary one."""


class SocketList(Answer, frozen=True):
    """Websockets in order."""

    sockets: list[SeenSocketAnswer]


class SeenFrame(Answer, frozen=True):
    """A frame that was sent to one socket."""

    t_us: int
    socket: int
    type: str
    """Of a text frame; ``binary`` for others."""
    text: str | None
    size_bytes: int


class FrameList(Answer, frozen=True):
    """Frames in order."""

    frames: list[SeenFrame]


class Complaints(Answer, frozen=True):
    """What was to happen and did not, one sentence each."""

    complaints: list[str]


class Unused(Answer, frozen=True):
    """What the cassette holds and this client never requested, a line each."""

    unused: list[str]


# --- waiting and holding ---------------------------------------------------------------------


class WaitRequestBody(Body, frozen=True):
    """Requests to wait for."""

    method: Method
    path: str
    """Without query and without ``/api``."""
    count: Annotated[int, Meta(ge=1)] = 1
    timeout_s: TimeoutS | None = None


class WaitSocketBody(Body, frozen=True):
    """Websockets to wait for."""

    count: Annotated[int, Meta(ge=1)] = 1
    timeout_s: TimeoutS | None = None


class HoldBody(Body, frozen=True):
    """The frame after which to hold; ``*`` is any."""

    event: str
    where: dict[str, Any] = field(default_factory=dict)
    """Fields of the event's data -> their values."""


class RunUntilBody(HoldBody, frozen=True):
    """As a hold, and how long to wait."""

    timeout_s: TimeoutS | None = None


class TimeoutBody(Body, frozen=True):
    """How long to wait."""

    timeout_s: TimeoutS | None = None


class WaitQuery(Body, frozen=True):
    """How long to wait until it is reached; not at all by default."""

    wait_s: TimeoutS = 0.0


class HoldAnswer(Answer, frozen=True):
    """A hold, and the frame after which the server is or was held (null: binary, or none yet)."""

    id: int
    frame: str
    """What is waited for, in words."""
    reached: bool
    message: str | None


class HoldList(Answer, frozen=True):
    """The holds that were not released."""

    holds: list[HoldAnswer]
    held_at: str | None


class FrameAnswer(Answer, frozen=True):
    """The frame that was let out; null for a binary one."""

    message: str | None


# --- judging ---------------------------------------------------------------------------------


class RequestPattern(Body, frozen=True):
    """What a request is like; what is not said may be anything."""

    method: Method | None = None
    path: str | None = None
    """Without query and without ``/api``; ``*`` stands for anything."""
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    json: dict[str, Any] | None = None
    """Members that the body has at least, at any depth."""


class VerifyBody(Body, frozen=True):
    """How many such requests there must have been: at least one, if nothing is said."""

    request: RequestPattern
    count: Count | None = None
    at_least: Count | None = None
    at_most: Count | None = None


class Verdict(Answer, frozen=True):
    """Whether it holds; if not, ``message`` says what was there instead."""

    ok: bool
    message: str | None = None


class Verified(Verdict, frozen=True, kw_only=True):
    """A verdict on requests."""

    count: int
    near: list[str]
    """Requests that all but fit, and why they do not."""


Assertion = Literal[
    "one_terminal_event", "interrupted", "no_foreign_prompt_used", "socket_before_post",
    "all_closed", "prompt",
]  # fmt: skip


class AssertBody(Body, frozen=True):
    """An assertion of the pytest fixture, ``assert_`` left out."""

    name: Assertion
    prompt_id: str | None = None
    """For ``one_terminal_event`` and ``interrupted``, where there are several prompts."""
    expected: dict[str, Any] | None = None
    """For ``prompt``: the graph."""
    timeout_s: TimeoutS | None = None
    """For ``all_closed``."""


# --- faults and time -------------------------------------------------------------------------


class DropBody(Body, frozen=True):
    """Which open websockets to end, all by default, and how: cut, or closed with a code."""

    socket: int | None = None
    client_id: str | None = None
    code: CloseCode | None = None
    reason: str = ""


class Dropped(Answer, frozen=True):
    """The sockets that were ended."""

    dropped: list[int]


class StopBody(Body, frozen=True):
    """How long the server stays away, in real seconds; without it, until ``start``."""

    seconds: Annotated[float, Meta(ge=0, le=600)] | None = None


class AdvanceBody(Body, frozen=True):
    """Virtual seconds."""

    seconds: Seconds


class SpeedBody(Body, frozen=True):
    """Virtual seconds in a real one, or ``max``."""

    speed: Speed


# --- servers ---------------------------------------------------------------------------------


class ServerAnswer(Answer, frozen=True):
    """A server that was made. ``control_url`` works while it is stopped, too."""

    id: int
    url: str
    ws_url: str
    control_url: str


class ServerList(Answer, frozen=True):
    """The servers that were made and not ended."""

    servers: list[ServerAnswer]


class Ended(Answer, frozen=True):
    """The numbers of the servers that were ended, and what they complained of."""

    ended: list[int]
    complaints: list[str]


class Error(Answer, frozen=True):
    """What is wrong, and how to mend it, in one sentence."""

    error: str
