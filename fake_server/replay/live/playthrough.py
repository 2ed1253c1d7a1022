"""One play-through of a recording: inputs of live clients in, actions out.

What a client does is answered at once; what the script says next comes when the shell wakes it, so
that a shell can hold the script while questions are still answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from comfyrec.events.frames import text_frame
from comfyrec.timeline import RecordedPrompt
from fake_server.replay.live.answer_picker import AnswerPicker
from fake_server.replay.live.cancel_target import CancelTarget, cancel_target_of
from fake_server.replay.live.cursor import Cursor
from fake_server.replay.live.live_state import LivePrompt, LiveSocket, LiveState, Stage
from fake_server.replay.live.messages import RecordedMessages
from fake_server.replay.live.previews import announces
from fake_server.replay.live.repeats import Repeats
from fake_server.replay.live.uploads import viewed_file
from fake_server.replay.matching.graph_bodies import GraphBodies
from fake_server.replay.recorded.recorded_answers import (
    RecordedAnswers,
    RecordedExchange,
    state_shown_by,
)
from fake_server.replay.recorded.request_key import RequestKey, request_key_of
from fake_server.replay.recorded.sightings import forgotten_ids
from fake_server.replay.recorded.steps import MarkKind, Need, NeedKind, Role, Script, SendStep
from fake_server.source import Accept, Action, Request, Send, Wake

__all__ = ["Playthrough"]


class Playthrough:
    """A play-through. What its methods yield has to be done in order.

    Args:
        number: tells it apart from others; part of its ``WaitRealTime`` tokens.
        script: what is played.
        messages: the recorded messages.
        answers: the recorded answers.
        mint: recorded id -> a new one of the same shape.
        graphs: compares changes that hold a graph.
    """

    def __init__(
        self,
        number: int,
        script: Script,
        messages: RecordedMessages,
        answers: RecordedAnswers,
        mint: Callable[[str], str],
        graphs: GraphBodies,
    ) -> None:
        self.number, self.graphs = number, graphs
        self.script, self.live_state = script, LiveState(script, number, mint)
        self._messages, self._answers, self._picker = messages, answers, AnswerPicker(answers)
        self._refused: set[int] = set()
        self._repeats = Repeats(script, messages, self.live_state)
        self.cursor = Cursor(script, messages, self.live_state)

    # --- telling -------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether the server is gone, as it was in the recording."""
        return self.cursor.over

    @property
    def active(self) -> bool:
        """Whether somebody is connected, or waits for a prompt."""
        return bool(self.live_state.sockets) or self.live_state.remaining > 0

    @property
    def has_begun(self) -> bool:
        """Whether a client has taken a part, or a prompt came."""
        return bool(
            self.live_state.sockets or self.live_state.prompts or self.cursor.position
        ) or any(self.live_state.is_played(role.number) for role in self.script.roles)

    def free_role(self, *, anonymous: bool) -> Role | None:
        """The first recorded client with a socket that nobody plays; one of its kind first."""
        free = [
            role
            for role in self.script.roles
            if role.sockets
            and not self.live_state.is_played(role.number)
            and not self.cursor.is_absent(role.number)
        ]
        return min(free, key=lambda r: (r.anonymous != anonymous, r.sockets[0]), default=None)

    def expects(self, client: str) -> bool:
        """Whether another socket of that client belongs to this play-through."""
        if self.over:
            return False
        if any(live.client == client for live in self.live_state.waiting):
            return True
        here = self.live_state.newest(client) is not None
        return here or self._next_socket(client) is not None

    def key_of(self, request: Request, *, strict: bool) -> RequestKey:
        """What a live request asks for, in the recording's words.

        A name that the live client drew anew stands for the recorded one of the same form from the
        first time on that it is used.
        """
        bindings = self.live_state.bindings
        key = request_key_of(request, self.live_state.recorded_word)
        if key.route == "view":
            key = self._recorded_view(key, request)
            strict = True
        exact = (strict or key.route in _BY_ID) and not self._answers.hidden
        if exact or self._answers.at(key):
            return key
        for like in self._answers.like(key):
            texts = list(zip(_words(like), _words(key), strict=True))
            if all(self._may_stand_for(ours, theirs) for theirs, ours in texts):
                for theirs, ours in texts:
                    bindings.bind(theirs, ours)
                return msgspec.structs.replace(key, path=like.path, query=like.query)
        return key

    def _may_stand_for(self, live: str, recorded: str) -> bool:
        """Whether nothing else stands for a recorded text yet."""
        state = self.live_state
        names = state.bindings.live(recorded), state.renamed(recorded)
        return all(name in (recorded, live) for name in names)

    def _recorded_view(self, key: RequestKey, request: Request) -> RequestKey:
        """A /view of a live name asks for the file that was recorded under another one."""
        live = viewed_file(request)
        recorded = self.live_state.files.recorded(live) if live is not None else None
        if recorded is None or recorded == live:
            return key
        named = {"filename": recorded.filename, "subfolder": recorded.subfolder}
        named["type"] = "" if recorded.type == "output" else recorded.type
        query = {**dict(key.query), **named}
        return msgspec.structs.replace(
            key, query=tuple(sorted((name, value) for name, value in query.items() if value))
        )

    def recorded(
        self, request_key: RequestKey, now: int, *, strict: bool
    ) -> RecordedExchange | None:
        """The recorded answer that fits now."""
        shape = self.graphs.shape(request_key)
        if shape is not None:
            closest = self.graphs.closest(
                request_key,
                shape,
                self._answers.at(request_key),
                is_fresh=self._picker.is_fresh,
                bindings=self.live_state.bindings,
            )
            return None if closest is None else self._picker.made(closest, now)
        any_body = not strict and request_key.route not in _BY_ID
        past, ahead = self.cursor.place
        seen = state_shown_by(request_key, self.live_state.state(), self._answers.numbers)
        return self._picker.answer(
            request_key,
            seen=seen,
            past=past,
            ahead=ahead,
            begun=self.cursor.begun,
            now=now,
            any_body=any_body,
        )

    @property
    def next_answer_due(self) -> int | None:
        """When the question that was answered last has another answer; None: at any time."""
        return self._picker.next_due

    def is_repeated(self, recorded: RecordedExchange) -> bool:
        """Whether a recorded change was made more often than when recorded."""
        return self._picker.is_repeated(recorded)

    def was_made(self, change: int) -> bool:
        """Whether a live client did what was done in a recorded exchange."""
        return self._picker.was_made(change)

    def timestamp(self, now: int) -> int:
        """Milliseconds on the recording's clock."""
        return (self.script.timeline.t + now) // 1000

    # --- going on ------------------------------------------------------------------------------

    def advance(self, now: int) -> Iterator[Action]:
        """Do all that is due."""
        while True:
            if self._repeats.have_their_turn:
                yield from self._repeats.advance(now)
                if self._repeats.have_their_turn:
                    return
                self.cursor.at = now
            yield from self.cursor.advance(now)
            if not self._repeats.have_their_turn:
                return

    def wait_ended(self, token: int, now: int) -> Iterator[Action]:
        """A wait for a client has an end."""
        if self.cursor.wait_ended(token) or self._repeats.wait_ended(token):
            yield from self.advance(now)

    def take_remarks(self) -> list[str]:
        """What a person should know of the waits that have ended, one sentence each."""
        missed = [*self.cursor.missed, *self._repeats.missed]
        self.cursor.missed, self._repeats.missed = [], []
        exchanges = self.script.timeline.exchanges
        return [
            f"a prompt is stopped as it was recorded, though nobody stopped it now: the recorded "
            f"client sent {exchanges[need.exchange].method} {exchanges[need.exchange].path} "
            f"(exchange {need.exchange})"
            for need in missed
            if need.cancelled
        ]

    # --- sockets -------------------------------------------------------------------------------

    def connect(self, number: int, client: str, request: Request, now: int) -> Iterator[Action]:
        """A live client opens a socket."""
        played = self._next_socket(client)
        socket = LiveSocket(number, client, played)
        self.live_state.enter(socket)
        yield Accept(number, protocol=self._protocol(played, request))
        need = self.script.need_of_socket[played] if played is not None else None
        yield from self._greet(socket, need)
        if need is not None:
            self.cursor.meet(need, now)
        yield Wake(now)

    def _greet(self, socket: LiveSocket, need: Need | None) -> Iterator[Action]:
        """A client waits for its sid: as recorded, or as it is now when the script is elsewhere."""
        # A prompt that was posted before its place in the script waits already, which a recorded
        # greeting does not know.
        at_hand = need is not None and self.cursor.is_at(need) and not self.live_state.has_early
        replies = self.cursor.replies_early(need) if need is not None else []
        if at_hand and replies:
            yield from self._say((socket.number,), replies)
        else:
            yield from self.live_state.greet(socket)

    def _say(self, sockets: tuple[int, ...], steps: list[SendStep]) -> Iterator[Action]:
        for step in steps:
            message = self._messages.with_live_ids(step, self.live_state.renamed)
            yield Send(sockets, message)

    def _next_socket(self, client: str) -> int | None:
        for role in self.live_state.roles_of(client):
            for number in role.sockets:
                if self.cursor.is_open(self.script.need_of_socket[number]):
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
        self.live_state.play(client, role)
        newest = self.live_state.newest(client) if client is not None else None
        if newest is None or not role.sockets:
            return
        need = self.script.need_of_socket[role.sockets[0]]
        if self.cursor.is_open(need):
            self.live_state.stand_in(newest, role.sockets[0])
            self.cursor.meet(need, now)
            self.cursor.replies_early(need)

    def left(self, number: int, now: int) -> Iterator[Action]:
        """A socket is gone."""
        if self.live_state.sockets.pop(number, None) is not None:
            yield Wake(now)

    def said(self, number: int, message: str | bytes, now: int) -> Iterator[Action]:
        """A client said something: its feature flags, mostly."""
        socket = self.live_state.sockets.get(number)
        if socket is None:
            return
        announced = None if socket.flagged else announces(message)
        if announced is not None:
            socket.flagged, socket.described = True, announced and self._messages.flags is not None
        need = self._meant(socket, message)
        if need is not None:
            self.cursor.meet(need, now)
            if not self.cursor.is_on_time(need, now):
                yield from self._say((number,), self.cursor.replies_early(need))
            yield Wake(now)
        elif announced is not None and self._messages.flags is not None and _FLAGS in message:
            yield Send((number,), self._messages.flags)

    def _meant(self, socket: LiveSocket, message: str | bytes) -> Need | None:
        """The recorded message that this one stands for, if the server answered it."""
        if socket.played is None:
            return None
        return next(
            (
                need
                for need in self.script.needs
                if need.kind is NeedKind.MESSAGE
                and need.socket == socket.played
                and not self.cursor.is_met(need)
                and need.message is not None
                and _alike(need.message.data, message)
            ),
            None,
        )

    # --- prompts -------------------------------------------------------------------------------

    def may_play(self, prompt: RecordedPrompt, client: str | None) -> bool:
        """Whether a recorded prompt is still to be played, and by this client."""
        need = self.script.need_of_prompt.get(prompt.number)
        if need is None or not self.cursor.is_open(need):
            return False
        if need.role is None or not self.live_state.is_played(need.role):
            return True
        return self.script.roles[need.role] in self.live_state.roles_of(client)

    def submit(self, live: LivePrompt, now: int, *, fresh: bool) -> Iterator[Action]:
        """A live client submits what stands for a recorded prompt, for the first time or again."""
        need = self.script.need_of_prompt.get(live.prompt.number)
        if fresh and need is not None:
            if need.role is not None and not self.live_state.is_played(need.role):
                self.adopt(live.client, self.script.roles[need.role], now)
            self.live_state.enlist(live)
            self.cursor.meet(need, now)
        else:
            live.token = -1 - len(self.live_state.prompts)
            self.live_state.add(live)
            yield from self._repeats.add(live)
        yield Wake(now)

    def refusal(
        self, exchanges: Sequence[RecordedExchange], *, accepted_too: bool
    ) -> RecordedExchange | None:
        """Which of some refused upgrades comes next, None when an accepted one does.

        Args:
            pages: upgrades that were refused, all in the same manner.
            accepted_too: whether others in that manner were accepted; then it goes by turns.
        """
        fresh = [
            recorded for recorded in exchanges if not self.was_refused(recorded.exchange.number)
        ]
        if accepted_too:
            connects = (need for need in self.script.need_of_socket if self.cursor.is_open(need))
            next_one = min((need.place[0] for need in connects), default=-1)
            fresh = exchanges = [recorded for recorded in fresh if recorded.at < next_one]
        recorded = fresh[0] if fresh else next(reversed(exchanges), None)
        if recorded is not None:
            self.refuse(recorded.exchange.number)
        return recorded

    def refuse(self, exchange: int) -> None:
        """A recorded refusal was given once more."""
        self._refused.add(exchange)

    def was_refused(self, exchange: int) -> bool:
        """Whether a recorded refusal was given already."""
        return exchange in self._refused

    # --- changes -------------------------------------------------------------------------------

    def change(
        self, request_key: RequestKey, recorded: RecordedExchange | None, now: int
    ) -> Iterator[Action]:
        """A request that may stop somebody, or make the history forget.

        Args:
            request_key: the request, in recorded ids.
            recorded: the recorded exchange that answers it, if one does.
            now: virtual time.
        """
        cancel = cancel_target_of(request_key)
        cancelled = self.cancelled(cancel) if cancel is not None else []
        need = self._need_for(recorded, cancelled)
        if need is not None:
            self.cursor.meet(need, now)
            yield Wake(now)
        elif request_key.path == "/history":
            self._forget(request_key)
        elif recorded is None or self._picker.is_repeated(recorded):
            yield from self._stop(cancelled, now)

    def awaits(self, request_key: RequestKey) -> bool:
        """Whether the script stands before this very change."""
        need = self.cursor.next_need
        return (
            need is not None
            and need.kind is NeedKind.CONTROL
            and self._answers.is_same_request(request_key, need.exchange)
        )

    def cancelled(self, cancel: CancelTarget) -> list[LivePrompt]:
        """The live prompts that a request stops."""
        ids = None if cancel.ids is None else {self.live_state.renamed(i) for i in cancel.ids}
        return [
            live
            for live in self.live_state.waiting
            if (ids is None or live.live_id in ids)
            and (
                (cancel.running and live.stage is Stage.RUNNING)
                or (cancel.pending and live.stage in (Stage.EARLY, Stage.PENDING))
            )
        ]

    def _need_for(
        self, recorded: RecordedExchange | None, cancelled: list[LivePrompt]
    ) -> Need | None:
        controls = [
            need
            for need in self.script.needs
            if need.kind is NeedKind.CONTROL and self.cursor.is_open(need)
        ]
        exchange = recorded.exchange.number if recorded is not None else None
        tokens = {live.token for live in cancelled}
        exact = next((need for need in controls if need.exchange == exchange), None)
        return exact or next((need for need in controls if need.cancelled & tokens), None)

    def _stop(self, cancelled: list[LivePrompt], now: int) -> Iterator[Action]:
        for live in cancelled:
            if live.stage is not Stage.RUNNING:
                self._remove(live)
                yield from self.live_state.tell_remaining()
            elif not (live.again and self._repeats.stop()):
                yield from self._interrupt(live, now)
        yield Wake(now)

    def _remove(self, live: LivePrompt) -> None:
        if not live.again and live.stage is Stage.PENDING:
            self.cursor.leave_out(live.token)
        live.stage, live.diverged = Stage.REMOVED, True

    def _interrupt(self, live: LivePrompt, now: int) -> Iterator[Action]:
        """End a prompt whose recording ran on: what a real server says then."""
        node = live.node or next(iter(live.graph), "")
        graph_node = live.graph.get(node)
        live.diverged = True
        live.interrupted = {
            "prompt_id": live.live_id,
            "node_id": node,
            "node_type": graph_node.get("class_type", "") if isinstance(graph_node, dict) else "",
            "executed": list(dict.fromkeys(live.done)),
            "timestamp": self.timestamp(now),
        }
        if not live.again:
            self.cursor.leave_out(live.token)
        self.live_state.write(live)
        own = self.live_state.newest(live.client) if live.client is not None else None
        to_all = live.client is None
        hearing = tuple(self.live_state.sockets) if to_all else (own,) if own is not None else ()
        yield from _said(hearing, "execution_interrupted", live.interrupted)
        yield from self.live_state.mark(live, MarkKind.ENDED, tell=True)
        gone = {"node": None, "prompt_id": live.live_id}
        yield from _said(() if to_all else hearing, "executing", gone)

    def _forget(self, request_key: RequestKey) -> None:
        gone = forgotten_ids(request_key.json)
        self.live_state.history = [
            live
            for live in self.live_state.history
            if gone is not None and self.live_state.recorded(live.live_id) not in gone
        ]


# What requests of these name is an id, or a file that is looked up as one.
_BY_ID: Final = frozenset(("history", "queue", "prompt", "jobs", "interrupt", "ws", "view"))
_FLAGS: Final = '"feature_flags"'


def _words(request_key: RequestKey) -> list[str]:
    return [*request_key.path.split("/"), *(value for _, value in request_key.query)]


def _alike(recorded: str | bytes, said: str | bytes) -> bool:
    if isinstance(recorded, str) and isinstance(said, str):
        return recorded == said or (_FLAGS in recorded and _FLAGS in said)
    return recorded == said


def _said(sockets: tuple[int, ...], kind: str, data: dict[str, Any]) -> Iterator[Action]:
    if sockets:
        yield Send(sockets, text_frame(kind, data))
