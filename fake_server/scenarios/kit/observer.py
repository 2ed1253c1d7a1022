"""What has passed on a stage, in the words that operators and oracles think in.

The observer follows sockets, exchanges and prompts by watching what goes in and out. Numbers below
zero are other users (another user of the same server); no shell ever sees them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from comfyrec.events.endings import history_ending, prompt_ending
from fake_server.scenarios.kit.credentials import CredentialWatch
from fake_server.scenarios.kit.graphs import middle, sinks
from fake_server.scenarios.kit.matchers import FrameView, look
from fake_server.scenarios.kit.requests import posts, read_json
from fake_server.source import (
    Abort,
    Accept,
    Action,
    Close,
    Disconnected,
    HangUp,
    Happened,
    MessageReceived,
    Request,
    RequestReceived,
    Respond,
    Response,
    Send,
    UpgradeRequested,
)

__all__ = [
    "JOURNAL_ENTRIES_MAX",
    "MILLISECOND",
    "Ending",
    "JournalNote",
    "ObservedPrompt",
    "Observer",
]

MILLISECOND: Final = 1_000
"""In virtual microseconds."""

JOURNAL_ENTRIES_MAX: Final = 20_000
"""A client in a tight loop fills this in seconds; the oracles need counts and the first part."""

_ENDS_MAX: Final = 1_000

_FIRST_TOKEN: Final = 1 << 48

Ending = Literal["success", "error", "interrupted", "cancelled", "rejected", "lost", "timed-out"]
"""What can become of a prompt; the words that a client's report uses too."""


class JournalNote(msgspec.Struct, frozen=True):
    """One line of the journal: at virtual microsecond ``t``, ``what``, and about whom."""

    t: int
    what: str
    """``knocked``, ``accepted``, ``refused``, ``said``, ``left``, ``closed``, ``asked``,
    ``answered``, ``hung up``, ``sent``, ``ended``, ``flooded``, ``somebody`` (other users),
    ``keyed`` (the first credential came), ``leaked`` (one went to another host)."""
    number: int = 0
    detail: str = ""


class ObservedPrompt(msgspec.Struct, eq=False):
    """A prompt that the source accepted."""

    id: str
    mine: bool
    """It came from the client under test, not from one of the scenario's other users."""
    number: Any = 0
    body: Mapping[str, Any] = {}
    """What was posted, as the source saw it."""
    ending: Ending | None = None
    ended_at: int = -1

    @property
    def graph(self) -> Mapping[str, Any]:
        """The submitted graph, empty when it is none."""
        graph = self.body.get("prompt")
        return graph if isinstance(graph, dict) else {}


class Observer:
    """The state that operators share; see the module's docstring."""

    def __init__(
        self, *, seed: int, ask: Callable[[Request], Response | None], lifelike: bool = False
    ) -> None:
        self.now = 0
        self._lifelike = lifelike
        self.seed = seed
        self.prompts: dict[str, ObservedPrompt] = {}
        self.sockets: dict[int, str] = {}
        """Sockets of the client under test that the source has accepted: the id each goes by.

        It is the ``sid`` that the source greeted it with, whoever chose that.
        """
        self.handshakes: dict[int, Request] = {}
        """How they asked to be let in."""
        self.cut: set[int] = set()
        """Sockets that were closed from this side and have not left yet."""
        self.exchanges: dict[int, Request] = {}
        """Requests that the source has not answered yet."""
        self.journal: list[JournalNote] = []
        self.notes = 0
        """How many entries the journal had or would have had."""
        self.ends_told: dict[str, Ending] = {}
        """Prompts of which the client was told that they are over, its own or not, and how."""
        self.held = False
        """The source is not woken: its worker stands still while its HTTP side answers."""
        self._submitted: set[int] = set()
        self._ask = ask
        self._people = self._tokens = 0
        self._drawn = 0
        self._upgrades: dict[int, Request] = {}
        """As the source got them."""
        self._last = look("")
        self._credentials = CredentialWatch()
        self._keyed = False

    # --- for operators -------------------------------------------------------------------

    def frame(self, message: str | bytes) -> FrameView:
        """The message, looked at once for all operators it passes."""
        if self._last.message is not message:
            self._last = look(message)
            if self._lifelike and self._is_early(self._last):
                self._last = msgspec.structs.replace(self._last, is_early=True)
        return self._last

    def _is_early(self, frame: FrameView) -> bool:
        prompt = self.prompts.get(frame.prompt_id or "")
        graph = prompt.graph if prompt is not None else {}
        return bool(graph) and frame.data.get("node") not in (middle(graph), *sinks(graph))

    def other_user(self) -> int:
        """A fresh number for a socket or exchange of the scenario's other users."""
        self._people -= 1
        return self._people

    def token(self) -> int:
        """A fresh number for a wait in real time, far from what a replay counts its own by."""
        self._tokens += 1
        return _FIRST_TOKEN + self._tokens

    def draw(self) -> bytes:
        """Sixteen bytes of chance, the same for the same seed and place in the run."""
        self._drawn += 1
        name = f"{self.seed}:{self._drawn}".encode()
        return hashlib.blake2b(name, digest_size=16).digest()

    def uuid(self) -> str:
        """A random (version 4) UUID from the seed."""
        raw = self.draw().hex()
        return f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-8{raw[17:20]}-{raw[20:]}"

    def mine(self) -> list[ObservedPrompt]:
        """The prompts of the client under test, in order of acceptance."""
        return [prompt for prompt in self.prompts.values() if prompt.mine]

    def open_sockets(self) -> list[int]:
        """The client's sockets that were not closed from this side, oldest first."""
        return [socket for socket in self.sockets if socket not in self.cut]

    def reaches(self, action: Action) -> bool:
        """Whether it is a message to a socket of the client under test that is still open."""
        return isinstance(action, Send) and any(
            socket >= 0 and socket not in self.cut for socket in action.sockets
        )

    def running(self) -> ObservedPrompt | None:
        """The first of the client's prompts that has not ended."""
        return next((prompt for prompt in self.mine() if prompt.ending is None), None)

    def history(self, prompt_id: str) -> Mapping[str, Any] | None:
        """The history entry as the source would give it now, whatever operators make of it."""
        answer = self._ask(Request("GET", f"/history/{prompt_id}"))
        entries = read_json(answer.body) if answer is not None else None
        entry = entries.get(prompt_id) if isinstance(entries, dict) else None
        return entry if isinstance(entry, dict) else None

    def ask(self, request: Request) -> Response | None:
        """Any question to the source itself, past all operators."""
        return self._ask(request)

    def end(self, ending: Ending, prompt_id: str = "") -> None:
        """A prompt is over in truth; the first word counts. No id: every open one of ours."""
        for prompt in [self.prompts[prompt_id]] if prompt_id else self.mine():
            if prompt.ending is None:
                prompt.ending, prompt.ended_at = ending, self.now
                if prompt.mine:
                    self.note("ended", 0, f"{ending} {prompt.id}")

    def note(self, what: str, number: int = 0, detail: str = "") -> None:
        """Write into the journal."""
        self.notes += 1
        if len(self.journal) < JOURNAL_ENTRIES_MAX:
            self.journal.append(JournalNote(self.now, what, number, detail))

    # --- for the stage -------------------------------------------------------------------

    def from_client(self, happened: Happened) -> None:
        """Something came from outside, before any operator."""
        match happened:
            case UpgradeRequested():
                self.handshakes[happened.socket] = happened.request
                self.note("knocked", happened.socket, happened.request.client_id)
                self._watch_credentials(happened.socket, happened.request)
            case RequestReceived():
                request = happened.request
                if posts(request):
                    self._submitted.add(happened.exchange)
                self.note("asked", happened.exchange, f"{request.method} {request.target}")
                self._watch_credentials(happened.exchange, request)
            case MessageReceived():
                self.note("said", happened.socket, str(happened.message)[:80])
            case Disconnected():
                self.sockets.pop(happened.socket, None)
                self.handshakes.pop(happened.socket, None)
                self.cut.discard(happened.socket)
                self.note("left", happened.socket, str(happened.code))

    def _watch_credentials(self, number: int, request: Request) -> None:
        keyed, leaked = self._credentials.look(request)
        if keyed and not self._keyed:
            self._keyed = True
            self.note("keyed", number)
        for what in leaked:
            self.note("leaked", number, f"{what} in {request.method} {request.parts.path}")

    def from_operator(self, happened: Happened) -> None:
        """An operator lets something happen; where other users do it, note it."""
        if isinstance(happened, RequestReceived) and happened.exchange < 0:
            request = happened.request
            self.note("somebody", happened.exchange, f"{request.method} {request.target}")
        elif isinstance(happened, UpgradeRequested) and happened.socket < 0:
            self.note("somebody", happened.socket, f"GET {happened.request.target}")

    def to_source(self, happened: Happened) -> None:
        """Something reaches the source, behind all operators."""
        if isinstance(happened, RequestReceived):
            self.exchanges[happened.exchange] = happened.request
        elif isinstance(happened, UpgradeRequested):
            self._upgrades[happened.socket] = happened.request

    def from_source(self, action: Action) -> None:
        """The source acts, before any operator."""
        if isinstance(action, Respond):
            self._upgrades.pop(action.exchange, None)
            self._answered(action)
        elif isinstance(action, Accept):
            self._accepted(action.socket)
        elif isinstance(action, Send) and isinstance(action.message, str):
            frame = self.frame(action.message)
            self._greeted(frame, action.sockets)
            self._notice_end(frame)

    def to_client(self, action: Action) -> None:
        """Something leaves for the shell, behind all operators."""
        match action:
            case Accept():
                self.note("accepted", action.socket)
            case Send():
                frame = self.frame(action.message)
                self.note("sent", action.sockets[0], frame.type or f"binary {frame.kind}")
                self._notice_told(frame)
            case Close() | Abort():
                self.cut.add(action.socket)
                self.note("closed", action.socket, type(action).__name__.lower())
            case Respond():
                self.handshakes.pop(action.exchange, None)  # an upgrade that was refused
                self.note("answered", action.exchange, str(action.answer.status))
                self._refused(action)
            case HangUp():
                self.note("hung up", action.exchange)

    def notice_quiet_ends(self) -> None:
        """A prompt without a listening socket ends in the history only."""
        for prompt in self.mine():
            if prompt.ending is None and (entry := self.history(prompt.id)) is not None:
                self.end(ending_of(entry), prompt.id)

    def _accepted(self, socket: int) -> None:
        upgrade = self._upgrades.pop(socket, None)
        if socket in self.handshakes:
            # Until it is greeted, as far as the source greets at all: what it asked for.
            self.sockets[socket] = upgrade.client_id if upgrade is not None else ""

    def _greeted(self, frame: FrameView, sockets: tuple[int, ...]) -> None:
        sid = frame.data.get("sid")
        if frame.type == "status" and isinstance(sid, str):
            self.sockets |= {socket: sid for socket in sockets if socket in self.sockets}

    def _answered(self, reply: Respond) -> None:
        request = self.exchanges.pop(reply.exchange, None)
        if request is None or not posts(request):
            return
        value = read_json(reply.answer.body)
        if reply.answer.status == 200 and isinstance(value, dict) and "prompt_id" in value:
            body = request.json
            self.prompts[value["prompt_id"]] = ObservedPrompt(
                id=value["prompt_id"],
                mine=reply.exchange >= 0,
                number=value.get("number"),
                body=body if isinstance(body, dict) else {},
            )

    def _refused(self, reply: Respond) -> None:
        if reply.exchange in self._submitted:
            self._submitted.discard(reply.exchange)
            value = read_json(reply.answer.body) if reply.answer.status == 200 else None
            if not isinstance(value, dict) or "prompt_id" not in value:
                self.note("ended", reply.exchange, "rejected")

    def _notice_told(self, frame: FrameView) -> None:
        null = frame.type == "executing" and frame.data.get("node", "") is None
        ending = "success" if null else prompt_ending(frame.type, lambda: frame.data)
        if ending and frame.prompt_id and len(self.ends_told) < _ENDS_MAX:
            # A null executing tells that it ended, not how; a frame before it may have told that.
            self.ends_told.setdefault(frame.prompt_id, ending)

    def _notice_end(self, frame: FrameView) -> None:
        ending = prompt_ending(frame.type, lambda: frame.data)
        if ending is not None and frame.prompt_id in self.prompts:
            self.end(ending, frame.prompt_id or "")


def ending_of(entry: Mapping[str, Any]) -> Ending:
    """What a history entry says of its prompt."""
    return history_ending(entry) or "success"
