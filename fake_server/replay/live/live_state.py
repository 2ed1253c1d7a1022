"""The live side of one play-through: its clients, its prompts and its sockets."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Protocol
from urllib.parse import quote, unquote

import msgspec

from comfyrec.events.frames import status, text_frame
from comfyrec.events.outputs import FileEntry
from comfyrec.timeline import Exchange, RecordedPrompt, Socket
from fake_server.replay.live.bindings import Bindings, paired_texts
from fake_server.replay.live.output_names import LiveFiles
from fake_server.replay.live.prompt_rewriter import PromptRewriter
from fake_server.replay.live.uploads import Uploads, bound_fields, form_of
from fake_server.replay.recorded.id_mapping import WORD_OR_CODE
from fake_server.replay.recorded.other_ids import AUTHORITY, KEY_HEADERS, chosen_ids
from fake_server.replay.recorded.recorded_answers import State
from fake_server.replay.recorded.steps import MarkKind, Role, Script
from fake_server.source import Action, Request, Send

__all__ = [
    "LivePrompt",
    "LiveSocket",
    "LiveState",
    "Stage",
    "playthrough_of_token",
]


class Pair(Protocol):
    """An input that a recorded graph and a live one give different values."""

    @property
    def name(self) -> str:
        """Of the input."""
        ...

    @property
    def recorded(self) -> Any:
        """Its recorded value."""
        ...

    @property
    def live(self) -> Any:
        """The live client's."""
        ...


class Stage(enum.IntEnum):
    """How far a live prompt has come."""

    EARLY = 0
    """Submitted, but the script has not come to it."""
    PENDING = 1
    RUNNING = 2
    OVER = 3
    REMOVED = 4


class LivePrompt(msgspec.Struct, eq=False):
    """A prompt of this play-through."""

    prompt: RecordedPrompt
    """The recorded one that it stands for."""
    live_id: str
    token: int
    """The recorded one's number; a negative one when it is played again."""
    client: str | None = None
    number: int | float | None = None
    """Its place in the queue, as POST /prompt answered."""
    body: Mapping[str, Any] = {}
    """Of its POST; empty when nobody live submitted it."""
    stage: Stage = Stage.EARLY
    node: str | None = None
    """The node that runs."""
    done: list[str] = []
    diverged: bool = False
    """It was stopped, or taken off the queue, though its recording was not."""
    interrupted: dict[str, Any] | None = None
    """What was said when it was stopped."""
    rewriter: PromptRewriter | None = None
    """Puts the client's own values in place; None: its graph is the recorded one."""

    @property
    def waits(self) -> bool:
        """Whether it is in the queue or runs."""
        return self.stage < Stage.OVER

    @property
    def again(self) -> bool:
        """Whether its recording was played before."""
        return self.token < 0

    @property
    def as_recorded(self) -> int:
        """Its number for a comparison with recorded states; none fits one that diverged."""
        return _DIVERGED if self.diverged else self.token

    @property
    def graph(self) -> Mapping[str, Any]:
        """As the live client submitted it; the recorded one when nobody did."""
        graph = self.body.get("prompt")
        return graph if isinstance(graph, dict) else self.prompt.graph

    def shows(self, node: str | None) -> bool:
        """Whether the live client can make something of what is said of a recorded node."""
        return self.rewriter is None or self.rewriter.knows(node)

    def live_node(self, node: str | None) -> str | None:
        """The live node that a recorded one stands for."""
        if node is None or self.rewriter is None:
            return node
        return self.rewriter.node(node) or node

    def runs(self, node: str | None) -> None:
        """Another node runs now, or none any more."""
        if self.node is not None:
            self.done.append(self.node)
        self.node = node


_TOKEN_BITS: Final = 32
_DIVERGED: Final = -(1 << 40)


class LiveSocket(msgspec.Struct, eq=False):
    """A socket of this play-through."""

    number: int
    client: str
    played: int | None
    """The recorded socket that it stands for."""
    flagged: bool = False
    """The one message that could have been flags is used up."""
    described: bool = False
    """It announced that it takes previews with metadata about their node."""


class LiveState:
    """Live clients, sockets and prompts, and the ids that took the recorded ones' places."""

    def __init__(self, script: Script, number: int, mint: Callable[[str], str]) -> None:
        self._script = script
        self.mint = mint
        self._tokens = number << _TOKEN_BITS
        self.sockets: dict[int, LiveSocket] = {}
        self.prompts: list[LivePrompt] = []
        self.rewritten: dict[str, LivePrompt] = {}
        """Id -> the prompts whose values are not the recorded ones."""
        self._waiting: list[LivePrompt] = []
        self.main: dict[int, LivePrompt] = {}
        """Recorded prompt -> the live one that plays it in its place of the script."""
        self.history: list[LivePrompt] = []
        self._players: dict[int, str | None] = {}
        self._were_here: set[str] = set()
        self._playing: dict[int, int] = {}
        self.bindings = Bindings()
        self.files = LiveFiles(script.files)
        self.uploads = Uploads()
        self._variants: dict[int, list[bytes]] = {}
        self._to_live: dict[str, str] = {}
        self._to_recorded: dict[str, str] = {}
        self._keys: set[str] = set()
        self._authority: str | None = None
        self._secure = False

    def new_token(self) -> int:
        """The token of the next ``WaitRealTime``."""
        self._tokens += 1
        return self._tokens

    # --- ids -----------------------------------------------------------------------------------

    def renamed(self, recorded: str) -> str:
        """The live id, or the replay's own address, that took a recorded one's place."""
        live = self._to_live.get(recorded)
        if live is None and "//" in recorded:
            return self._own_address(recorded)
        if live is None and "%2f%2f" in recorded.lower():
            return quote(self._own_address(unquote(recorded)), safe="")
        return recorded if live is None else live

    def spoke_to(self, request: Request) -> None:
        """A client of this play-through knows the replay under the address of its request."""
        if AUTHORITY.fullmatch(request.authority):
            self._authority, self._secure = request.authority, request.is_secure

    def _own_address(self, recorded: str) -> str:
        if self._authority is None:
            return recorded.removeprefix("//")
        scheme, _, _ = recorded.partition("//")
        if not scheme:
            return self._authority
        family = "ws" if scheme[:1] in "wW" else "http"
        return f"{family}{'s' if self._secure else ''}://{self._authority}"

    def recorded(self, live: str) -> str:
        """The recorded id whose place a live one took."""
        return self._to_recorded.get(live, live)

    def name(self, recorded: str, live: str) -> None:
        """One id takes the place of another from now on."""
        self._to_live[recorded] = live
        self._to_recorded[live] = recorded

    def recorded_word(self, live: str) -> str:
        """The recorded id, name or other word whose place a live one took."""
        recorded = self._to_recorded.get(live)
        if recorded is not None:
            return recorded
        if "://" in live and self._authority is not None:
            return self._recorded_address(live)
        return self.bindings.recorded(live)

    def _recorded_address(self, live: str) -> str:
        """A URL of ours, as the recorded client knew it."""
        scheme, mark, rest = live.partition("://")
        authority = self._script.other_ids.main_authority
        if authority and rest.startswith(self._authority or "://"):
            rest = authority + rest[len(self._authority or "") :]
        if authority and self._authority:
            rest = rest.replace(quote(self._authority, safe=""), quote(authority, safe=""))
        words = WORD_OR_CODE.sub(lambda match: self._to_recorded.get(match[0], match[0]), rest)
        return f"{scheme}{mark}{words}"

    def take_ids(self, recorded: Exchange, request: Request, *, anew: bool) -> Iterator[str]:
        """A client does what was recorded: ids that it chose stand for those that were chosen, and
        the server makes others than it made. Gives the live ones.

        Args:
            recorded: what it does again.
            request: of the live client.
            anew: whether ids are made once more that were made already.
        """
        ours = dict(chosen_ids(request))
        for place, theirs in chosen_ids(recorded.asked):
            if ours.get(place, theirs) != theirs:
                self.name(theirs, ours[place])
        for minted in self._script.other_ids.minted.get(recorded.number, ()):
            if anew or minted not in self._to_live:
                self.name(minted, self.mint(minted))
            yield self._to_live[minted]

    @property
    def unmade(self) -> frozenset[str]:
        """Recorded ids of what nobody has made by now."""
        minted = self._script.other_ids.minted.values()
        return frozenset(one for ids in minted for one in ids if one not in self._to_live)

    def knows_key(self, request: Request) -> bool:
        """Whether it is sent again: its idempotency key was there before."""
        return any(key in self._keys for name, key in chosen_ids(request) if name in KEY_HEADERS)

    def keep_keys(self, request: Request) -> None:
        """Remember the idempotency keys of a request."""
        self._keys.update(key for name, key in chosen_ids(request) if name in KEY_HEADERS)

    def learn(self, pairs: Iterable[Pair]) -> None:
        """The values of a live prompt stand for those of a recorded one."""
        for pair in pairs:
            self.bindings.bind_value(pair.name, pair.recorded, pair.live)

    def learn_texts(self, recorded: Any, live: Any) -> None:
        """The texts of a JSON body stand for those of a recorded one, graphs aside.

        Args:
            recorded: the recorded body.
            live: the live one, ids as recorded.
        """
        for theirs, ours in paired_texts(recorded, live):
            self.bindings.bind(theirs, ours)

    def learn_upload(self, recorded: Request, live: Request) -> None:
        """The names in an upload stand for those in a recorded one."""
        for theirs, ours in bound_fields(form_of(recorded), form_of(live)):
            self.bindings.bind(theirs, ours)

    def has_upload(self, text: str) -> bool:
        """Whether a text input names a file that was uploaded."""
        folder, _, name = text.removesuffix(" [input]").rpartition("/")
        return FileEntry(name, folder, "input") in self.uploads

    def has_file(self, file: FileEntry) -> bool:
        """Whether it is a file of this play-through alone."""
        return file in self.uploads or self.files.recorded(file) != file

    def variant(self, prompt: int, graph_key: bytes) -> int:
        """Which graph it is that is played of a recorded prompt: 0 for the first one, ..."""
        known = self._variants.setdefault(prompt, [])
        if graph_key not in known:
            known.append(graph_key)
        return known.index(graph_key)

    # --- clients -------------------------------------------------------------------------------

    def play(self, client: str | None, role: Role) -> None:
        """A live client plays a recorded one from now on; one without an id keeps its name."""
        self._players[role.number] = client
        if client is not None:
            self.name(role.name, client)

    def is_played(self, role: int) -> bool:
        """Whether a live client has ever taken that part."""
        return role in self._players

    def roles_of(self, client: str | None) -> list[Role]:
        """The recorded clients that a live one plays: one, as a rule."""
        return [self._script.roles[n] for n, player in self._players.items() if player == client]

    def is_here(self, role: int) -> bool:
        """Whether the one who plays it has a socket open."""
        client = self._players.get(role)
        return client is not None and any(s.client == client for s in self.sockets.values())

    def is_gone(self, role: int) -> bool:
        """Whether nobody plays it, or nobody does any more."""
        if role not in self._players:
            return True
        return self._players[role] in self._were_here and not self.is_here(role)

    # --- sockets -------------------------------------------------------------------------------

    def enter(self, socket: LiveSocket) -> None:
        """A live socket opened."""
        self.sockets[socket.number] = socket
        self._were_here.add(socket.client)
        if socket.played is not None:
            self._playing[socket.played] = socket.number

    def stand_in(self, live: int, recorded: int) -> None:
        """An open socket gets what one more recorded socket got."""
        self._playing[recorded] = live

    def socket_playing(self, socket: Socket) -> int | None:
        """The live socket that gets what a recorded one got.

        The one that stands for it; when that is gone, or never came, the client's newest.
        """
        playing = self._playing.get(socket.number)
        if playing in self.sockets:
            return playing
        client = self._players.get(self._script.role_of_socket[socket.number].number)
        return self.newest(client) if client is not None else None

    def is_awaited_by_others(self, at: int) -> bool:
        """Whether a live socket stands for a recorded one that was still open at a place."""
        for socket in self.sockets.values():
            if socket.played is not None:
                closing = self._script.timeline.sockets[socket.played].closing
                if closing is None or closing.at > at:
                    return True
        return False

    def newest(self, client: str | None) -> int | None:
        """The socket under which the server knows a client: the one that came last."""
        own = [number for number, s in self.sockets.items() if s.client == client]
        return own[-1] if own else None

    # --- prompts -------------------------------------------------------------------------------

    def add(self, live: LivePrompt) -> None:
        """A prompt was submitted."""
        self.prompts.append(live)
        if live.rewriter is not None:
            self.rewritten[live.live_id] = live
        self._waiting.append(live)

    @property
    def waiting(self) -> list[LivePrompt]:
        """The prompts that are queued or run, in the order in which they came."""
        if not all(live.waits for live in self._waiting):
            self._waiting = [live for live in self._waiting if live.waits]
        return self._waiting

    @property
    def remaining(self) -> int:
        """Prompts in the queue, the running one included."""
        return len(self.waiting)

    @property
    def running(self) -> LivePrompt | None:
        """The prompt that runs."""
        return next((live for live in self.waiting if live.stage is Stage.RUNNING), None)

    @property
    def busy(self) -> bool:
        """Whether a prompt that is played in its place is queued or runs."""
        return any(x.stage is not Stage.EARLY and not x.again for x in self.waiting)

    @property
    def has_early(self) -> bool:
        """Whether a prompt waits for its place in the script."""
        return any(live.stage is Stage.EARLY for live in self.waiting)

    def enlist(self, live: LivePrompt) -> None:
        """A prompt that is played in its place."""
        self.add(live)
        self.main[live.prompt.number] = live
        self.name(live.prompt.prompt_id, live.live_id)

    def mark(self, live: LivePrompt, kind: MarkKind, *, tell: bool) -> Iterator[Action]:
        """A prompt has come further.

        Args:
            live: the prompt.
            kind: ``STARTED``, ``WRITTEN`` or ``ENDED``.
            tell: say the length of the queue where a server does.
        """
        if kind is MarkKind.WRITTEN:
            self.write(live)
            return
        if live.waits:
            live.stage = Stage.RUNNING if kind is MarkKind.STARTED else Stage.OVER
            live.node = None
            if tell:
                yield from self.tell_remaining()

    def write(self, live: LivePrompt) -> None:
        """Into the history; a repeated id takes the place of the earlier entry."""
        self.history = [entry for entry in self.history if entry.live_id != live.live_id]
        self.history.append(live)

    def state(self) -> State:
        """Queue and history, in the recording's numbers."""
        waiting = (Stage.EARLY, Stage.PENDING)
        return State(
            running=tuple(x.token for x in self.waiting if x.stage is Stage.RUNNING),
            pending=frozenset(x.token for x in self.waiting if x.stage in waiting),
            history=tuple(live.as_recorded for live in self.history),
        )

    # --- what is said without a recording ------------------------------------------------------

    def greet(self, socket: LiveSocket) -> Iterator[Action]:
        """What a server says to a new socket (protocol.md, section 3)."""
        yield Send((socket.number,), status(self.remaining, socket.client))
        running = self.running
        if running is not None and running.client == socket.client and running.node is not None:
            yield Send((socket.number,), text_frame("executing", {"node": running.node}))

    def tell_remaining(self) -> Iterator[Action]:
        """The length of the queue, to everybody."""
        if self.sockets:
            yield Send(tuple(self.sockets), status(self.remaining))


def playthrough_of_token(token: int) -> int:
    """The number of the play-through that a ``WaitRealTime`` token belongs to."""
    return token >> _TOKEN_BITS
