"""One play-through of a recording: inputs of live clients in, actions out.

What a client does is answered at once; what the script says next comes when the shell wakes it, so
that a shell can hold the script while questions are still answered.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from comfyrec.timeline import RecordedPrompt
from fake_server.replay.live.cursor import Walk
from fake_server.replay.live.live_state import Cast, Live, LiveSocket, Stage
from fake_server.replay.live.messages import Lines
from fake_server.replay.live.repeats import Encores
from fake_server.replay.previews import announces
from fake_server.replay.recording.recorded_answers import Book, Page, Reader, forgotten_ids, seen_of
from fake_server.replay.recording.steps import Kind, Need, NeedKind, Role, Script, Step
from fake_server.replay.request_key import Asking
from fake_server.source import Accept, Action, Request, Send, Wake

__all__ = ["Aim", "Take", "aim_of"]


class Aim(msgspec.Struct, frozen=True):
    """Whom a request stops; ids as in the recording where a recorded id is meant."""

    running: bool = False
    """It stops what runs."""
    pending: bool = False
    """It takes off the queue what waits."""
    ids: tuple[str, ...] | None = None
    """Only these; None: whoever it is."""


def aim_of(asking: Asking) -> Aim | None:
    """Whom a request wants to stop (PROTOCOL.md, section 7); None for all other requests."""
    if asking.method != "POST":
        return None
    body = asking.json if isinstance(asking.json, dict) else {}
    path = asking.path
    if path == "/interrupt":
        prompt_id = body.get("prompt_id")
        return Aim(running=True, ids=(str(prompt_id),) if prompt_id else None)
    if path == "/queue":
        return Aim(pending=True, ids=None if body.get("clear") else _strings(body.get("delete")))
    if path == "/jobs/cancel":
        return Aim(running=True, pending=True, ids=_strings(body.get("job_ids")))
    if path.startswith("/jobs/") and path.endswith("/cancel"):
        return Aim(running=True, pending=True, ids=(path[len("/jobs/") : -len("/cancel")],))
    return None


def _strings(value: Any) -> tuple[str, ...]:
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()


class Take:
    """A play-through. What its methods yield has to be done in order.

    Args:
        number: tells it apart from others; part of its ``Linger`` tokens.
        script: what is played.
        lines: the recorded messages.
        book: the recorded answers.
        mint: recorded id -> a new one of the same shape.
    """

    def __init__(
        self, number: int, script: Script, lines: Lines, book: Book, mint: Callable[[str], str]
    ) -> None:
        self.number = number
        self.script, self.cast = script, Cast(script)
        self._lines, self._book, self._reader = lines, book, Reader(book)
        self._tokens = number << _TOKEN_BITS
        self._refused: set[int] = set()
        self._encores = Encores(script, lines, self.cast, token=self._token)
        self.walk = Walk(
            script,
            lines,
            self.cast,
            mint=mint,
            token=self._token,
            added=lambda: self._encores.waiting,
        )

    def _token(self) -> int:
        self._tokens += 1
        return self._tokens

    @staticmethod
    def number_of(token: int) -> int:
        """The number of the play-through that a ``Linger`` token belongs to."""
        return token >> _TOKEN_BITS

    # --- telling -------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether the server is gone, as it was in the recording."""
        return self.walk.over

    @property
    def active(self) -> bool:
        """Whether somebody is connected, or waits for a prompt."""
        return bool(self.cast.sockets) or self.cast.remaining > 0

    @property
    def has_begun(self) -> bool:
        """Whether a client has taken a part, or a prompt came."""
        return bool(self.cast.sockets or self.cast.lives or self.walk.cursor) or any(
            self.cast.is_played(role.number) for role in self.script.roles
        )

    def free_role(self, *, anonymous: bool) -> Role | None:
        """The first recorded client with a socket that nobody plays; one of its kind first."""
        free = [
            role
            for role in self.script.roles
            if role.sockets
            and not self.cast.is_played(role.number)
            and not self.walk.is_ghost(role.number)
        ]
        return min(free, key=lambda r: (r.anonymous != anonymous, r.sockets[0]), default=None)

    def expects(self, client: str) -> bool:
        """Whether another socket of that client belongs to this play-through."""
        if self.over:
            return False
        if any(live.client == client for live in self.cast.waiting):
            return True
        here = self.cast.newest(client) is not None
        return here or self._next_socket(client) is not None

    def page(self, asking: Asking) -> Page | None:
        """The recorded answer that fits now."""
        past, ahead = self.walk.place
        seen = seen_of(asking, self.cast.state(), self._book.numbers)
        return self._reader.answer(asking, seen=seen, past=past, ahead=ahead)

    def timestamp(self, now: int) -> int:
        """Milliseconds on the recording's clock."""
        return (self.script.timeline.t + now) // 1000

    # --- going on ------------------------------------------------------------------------------

    def advance(self, now: int) -> Iterator[Action]:
        """Do all that is due."""
        while True:
            if self._encores.have_their_turn:
                yield from self._encores.advance(now)
                if self._encores.have_their_turn:
                    return
                self.walk.at = now
            yield from self.walk.advance(now)
            if not self._encores.have_their_turn:
                return

    def lingered(self, token: int, now: int) -> Iterator[Action]:
        """A wait for a client has an end."""
        if self.walk.lingered(token) or self._encores.lingered(token):
            yield from self.advance(now)

    # --- sockets -------------------------------------------------------------------------------

    def knock(self, number: int, client: str, request: Request, now: int) -> Iterator[Action]:
        """A live client opens a socket."""
        played = self._next_socket(client)
        socket = LiveSocket(number, client, played)
        self.cast.enter(socket)
        yield Accept(number, protocol=self._protocol(played, request))
        need = self.script.knock_of_socket[played] if played is not None else None
        yield from self._greet(socket, need)
        if need is not None:
            self.walk.meet(need, now)
        yield Wake(now)

    def _greet(self, socket: LiveSocket, need: Need | None) -> Iterator[Action]:
        """A client waits for its sid: as recorded, or as it is now when the script is elsewhere."""
        at_hand = need is not None and self.walk.is_at(need)
        replies = self.walk.replies_early(need) if need is not None else []
        if at_hand and replies:
            yield from self._say((socket.number,), replies)
        else:
            yield from self.cast.greet(socket)

    def _say(self, sockets: tuple[int, ...], steps: list[Step]) -> Iterator[Action]:
        for step in steps:
            message = self._lines.said(step.index, step.part, self.cast.renamed)
            yield Send(sockets, message)

    def _next_socket(self, client: str) -> int | None:
        for role in self.cast.roles_of(client):
            for number in role.sockets:
                if self.walk.is_open(self.script.knock_of_socket[number]):
                    return number
        return None

    def _protocol(self, played: int | None, request: Request) -> str | None:
        if played is None:
            return None
        response = self.script.timeline.sockets[played].upgrade.response
        chosen = response.header("Sec-WebSocket-Protocol") if response else ""
        offered = [p.strip() for p in request.header("Sec-WebSocket-Protocol").split(",")]
        return chosen if chosen and chosen in offered else None

    def adopt(self, client: str | None, role: Role, now: int) -> None:
        """A live client plays one more recorded client; its open socket stands for that one's."""
        self.cast.play(client, role)
        newest = self.cast.newest(client) if client is not None else None
        if newest is None or not role.sockets:
            return
        need = self.script.knock_of_socket[role.sockets[0]]
        if self.walk.is_open(need):
            self.cast.stand_in(newest, role.sockets[0])
            self.walk.meet(need, now)
            self.walk.replies_early(need)

    def left(self, number: int, now: int) -> Iterator[Action]:
        """A socket is gone."""
        if self.cast.sockets.pop(number, None) is not None:
            yield Wake(now)

    def said(self, number: int, message: str | bytes, now: int) -> Iterator[Action]:
        """A client said something: its feature flags, mostly."""
        socket = self.cast.sockets.get(number)
        if socket is None:
            return
        announced = None if socket.flagged else announces(message)
        if announced is not None:
            socket.flagged, socket.described = True, announced and self._lines.flags is not None
        need = self._meant(socket, message)
        if need is not None:
            self.walk.meet(need, now)
            if not self.walk.is_on_time(need, now):
                yield from self._say((number,), self.walk.replies_early(need))
            yield Wake(now)
        elif announced is not None and self._lines.flags is not None and _FLAGS in message:
            yield Send((number,), self._lines.flags)

    def _meant(self, socket: LiveSocket, message: str | bytes) -> Need | None:
        """The recorded message that this one stands for, if the server answered it."""
        if socket.played is None:
            return None
        messages = self.script.timeline.sockets[socket.played].messages
        return next(
            (
                need
                for need in self.script.needs
                if need.kind is NeedKind.SAY
                and need.socket == socket.played
                and not self.walk.is_met(need)
                and _alike(messages[need.part].data, message)
            ),
            None,
        )

    # --- prompts -------------------------------------------------------------------------------

    def may_play(self, prompt: RecordedPrompt, client: str | None) -> bool:
        """Whether a recorded prompt is still to be played, and by this client."""
        need = self.script.need_of_prompt.get(prompt.number)
        if need is None or not self.walk.is_open(need):
            return False
        if need.role is None or not self.cast.is_played(need.role):
            return True
        return self.script.roles[need.role] in self.cast.roles_of(client)

    def submit(self, live: Live, now: int, *, fresh: bool) -> Iterator[Action]:
        """A live client submits what stands for a recorded prompt, for the first time or again."""
        need = self.script.need_of_prompt.get(live.prompt.number)
        if fresh and need is not None:
            if need.role is not None and not self.cast.is_played(need.role):
                self.adopt(live.client, self.script.roles[need.role], now)
            self.cast.enlist(live)
            self.walk.meet(need, now)
        else:
            live.token = -1 - len(self.cast.lives)
            self.cast.add(live)
            yield from self._encores.add(live)
        yield Wake(now)

    def refusal(self, pages: Sequence[Page], *, accepted_too: bool) -> Page | None:
        """Which of some refused upgrades comes next, None when an accepted one does.

        Args:
            pages: upgrades that were refused, all in the same manner.
            accepted_too: whether others in that manner were accepted; then it goes by turns.
        """
        fresh = [page for page in pages if not self.was_refused(page.exchange.number)]
        if accepted_too:
            knocks = (need for need in self.script.knock_of_socket if self.walk.is_open(need))
            next_one = min((need.place[0] for need in knocks), default=-1)
            fresh = pages = [page for page in fresh if page.at < next_one]
        page = fresh[0] if fresh else next(reversed(pages), None)
        if page is not None:
            self.refuse(page.exchange.number)
        return page

    def refuse(self, exchange: int) -> None:
        """A recorded refusal was given once more."""
        self._refused.add(exchange)

    def was_refused(self, exchange: int) -> bool:
        """Whether a recorded refusal was given already."""
        return exchange in self._refused

    # --- changes -------------------------------------------------------------------------------

    def change(self, asking: Asking, page: Page | None, now: int) -> Iterator[Action]:
        """A request that may stop somebody, or make the history forget.

        Args:
            asking: the request, in recorded ids.
            page: the recorded exchange that answers it, if one does.
            now: virtual time.
        """
        aim = aim_of(asking)
        victims = self.victims(aim) if aim is not None else []
        need = self._need_for(page, victims)
        if need is not None:
            self.walk.meet(need, now)
            yield Wake(now)
        elif asking.path == "/history":
            self._forget(asking)
        elif page is None or self._reader.is_repeated(page):
            yield from self._stop(victims, now)

    def awaits(self, asking: Asking) -> bool:
        """Whether the script stands before this very change."""
        need = self.walk.next_need
        return (
            need is not None
            and need.kind is NeedKind.CONTROL
            and self._book.is_page_of(asking, need.exchange)
        )

    def victims(self, aim: Aim) -> list[Live]:
        """The live prompts that a request stops."""
        ids = None if aim.ids is None else {self.cast.renamed(i) for i in aim.ids}
        return [
            live
            for live in self.cast.waiting
            if (ids is None or live.live_id in ids)
            and (
                (aim.running and live.stage is Stage.RUNNING)
                or (aim.pending and live.stage in (Stage.EARLY, Stage.PENDING))
            )
        ]

    def _need_for(self, page: Page | None, victims: list[Live]) -> Need | None:
        controls = [
            need
            for need in self.script.needs
            if need.kind is NeedKind.CONTROL and self.walk.is_open(need)
        ]
        exchange = page.exchange.number if page is not None else None
        tokens = {live.token for live in victims}
        exact = next((need for need in controls if need.exchange == exchange), None)
        return exact or next((need for need in controls if need.victims & tokens), None)

    def _stop(self, victims: list[Live], now: int) -> Iterator[Action]:
        for live in victims:
            if live.stage is not Stage.RUNNING:
                self._remove(live)
                yield from self.cast.tell_remaining()
            elif not (live.again and self._encores.stop()):
                yield from self._interrupt(live, now)
        yield Wake(now)

    def _remove(self, live: Live) -> None:
        if not live.again and live.stage is Stage.PENDING:
            self.walk.leave_out(live.token)
        live.stage, live.strays = Stage.REMOVED, True

    def _interrupt(self, live: Live, now: int) -> Iterator[Action]:
        """End a prompt whose recording ran on: what a real server says then."""
        node = live.node or next(iter(live.prompt.graph), "")
        graph_node = live.prompt.graph.get(node)
        live.strays = True
        live.interrupted = {
            "prompt_id": live.live_id,
            "node_id": node,
            "node_type": graph_node.get("class_type", "") if isinstance(graph_node, dict) else "",
            "executed": list(dict.fromkeys(live.done)),
            "timestamp": self.timestamp(now),
        }
        if not live.again:
            self.walk.leave_out(live.token)
        self.cast.write(live)
        own = self.cast.newest(live.client) if live.client is not None else None
        to_all = live.client is None
        hearing = tuple(self.cast.sockets) if to_all else (own,) if own is not None else ()
        yield from _said(hearing, "execution_interrupted", live.interrupted)
        yield from self.cast.mark(live, Kind.ENDED, tell=True)
        gone = {"node": None, "prompt_id": live.live_id}
        yield from _said(() if to_all else hearing, "executing", gone)

    def _forget(self, asking: Asking) -> None:
        gone = forgotten_ids(asking.json)
        self.cast.history = [
            live
            for live in self.cast.history
            if gone is not None and self.cast.recorded(live.live_id) not in gone
        ]


_TOKEN_BITS: Final = 32
_FLAGS: Final = '"feature_flags"'


def _alike(recorded: str | bytes, said: str | bytes) -> bool:
    if isinstance(recorded, str) and isinstance(said, str):
        return recorded == said or (_FLAGS in recorded and _FLAGS in said)
    return recorded == said


def _said(sockets: tuple[int, ...], kind: str, data: dict[str, Any]) -> Iterator[Action]:
    if sockets:
        yield Send(sockets, json.dumps({"type": kind, "data": data}))
