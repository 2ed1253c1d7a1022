"""A recording in parts that can be left out: prompts, connections, exchanges, messages, fields.

A ``Cut`` says what is left out and what is written in another way; ``Parts.records`` makes the
recording that remains. What every client needs stays: the POST of the prompt, the handshake of its
socket, and the entry in the history, which is the truth that a client is judged by.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from comfyrec.cassette.records import AnyRecord, Closed, HttpPart, Opened, Session, Side, WsFrame
from comfyrec.events import comfy_json
from comfyrec.http.request import loads_or_none
from comfyrec.timeline import Exchange, Message, RecordedPrompt, Timeline
from comfyrec.wire.frames import frame, payload_of
from comfyrec.wording import shortened

__all__ = ["Cut", "Part", "Parts"]

SHOWN: Final = 100
_FIN: Final = 0x80
_OPCODE: Final = 0x0F
_CONTROL: Final = 0x8


class Part(msgspec.Struct, frozen=True):
    """Something that can be left out: the records that it takes, by their places."""

    kind: str
    """``prompt``, ``connection``, ``exchange`` or ``message``."""
    places: frozenset[int]
    says: str
    """A few words for a person."""
    at: int = -1
    """Of a message: the place that the timeline knows it by."""


class Cut(msgspec.Struct, frozen=True):
    """What is left of a recording."""

    without: frozenset[int] = frozenset()
    """Places of records that are left out."""
    said: tuple[tuple[int, str | bytes], ...] = ()
    """Messages that say something else: by place, what."""
    answered: tuple[tuple[int, str], ...] = ()
    """Bodies that are something else: by the number of the exchange, what."""
    at_once: bool = False
    """Nothing takes time."""

    def less(self, parts: Iterable[Part]) -> Cut:
        """The same without these parts."""
        gone = frozenset[int]().union(*(part.places for part in parts))
        return msgspec.structs.replace(self, without=self.without | gone)


class Parts:
    """A recording, taken apart.

    Args:
        records: of a whole cassette, in order.
    """

    def __init__(self, records: Iterable[AnyRecord]) -> None:
        kept = [one for one in records if not isinstance(one, Session) or one.seq == 0]
        self._all = _with_history(kept)
        self.timeline = Timeline.build(self._all)
        self._messages = dict(_messages(self._all))
        self._by_place = {
            message.at: message for socket in self.timeline.sockets for message in socket.messages
        }
        self._exchanges = _exchanges(self._all)

    # --- what there is ---------------------------------------------------------------------------

    @property
    def prompt(self) -> RecordedPrompt | None:
        """The first prompt that was submitted: it is the one that clients are judged by."""
        return next((one for one in self.timeline.prompts if one.submitted is not None), None)

    def prompts(self) -> list[Part]:
        """The other prompts that were submitted, each with all that is about it."""
        first, found = self.prompt, []
        for prompt in self.timeline.prompts:
            if prompt.submitted is None or prompt is first:
                continue
            ours = first is not None and prompt.prompt_id == first.prompt_id
            if ours:
                continue
            places = set(self._of_exchange(self.timeline.exchanges[prompt.submitted]))
            for socket, place in prompt.frames:
                message = self.timeline.sockets[socket].messages[place]
                places |= self._messages.get(message.at, frozenset())
            for exchange in self.timeline.exchanges:
                if prompt.prompt_id in exchange.target:
                    places |= self._of_exchange(exchange)
            found.append(Part("prompt", frozenset(places), f"prompt {prompt.prompt_id}"))
        return found

    def connections(self) -> list[Part]:
        """The sockets on which nothing was said about our prompt, each as a whole."""
        needed = {socket for socket, _ in self.prompt.frames} if self.prompt else set()
        if not needed and self.timeline.sockets:
            needed = {0}
        return [
            Part(
                "connection",
                frozenset(
                    at for at, one in enumerate(self._all) if getattr(one, "conn", 0) == socket.conn
                ),
                f"the WebSocket of {socket.name}",
            )
            for socket in self.timeline.sockets
            if socket.number not in needed
        ]

    def exchanges(self) -> list[Part]:
        """All that was asked over HTTP but what a client needs."""
        needed = self._needed()
        return [
            Part("exchange", self._of_exchange(one), f"{one.method} {one.target}")
            for one in self.timeline.exchanges
            if one.number not in needed
        ]

    def messages(self, *, and_ends: bool) -> list[Part]:
        """The messages of all sockets, both ways, in order.

        Args:
            and_ends: also those that say that our prompt is over.
        """
        ends = set() if and_ends or self.prompt is None else self._ends(self.prompt)
        return [
            Part("message", places, self.says(self._by_place[at]), at)
            for at, places in sorted(self._messages.items())
            if at in self._by_place and at not in ends
        ]

    def closings(self) -> list[Part]:
        """How sockets and connections ended."""
        found = []
        for socket in self.timeline.sockets:
            if socket.closing is None:
                continue
            places = frozenset(
                at
                for at, one in enumerate(self._all)
                if getattr(one, "conn", None) == socket.conn
                and (isinstance(one, Closed) or (isinstance(one, WsFrame) and _is_close(one)))
            )
            found.append(Part("closing", places, f"the end of the WebSocket of {socket.name}"))
        return found

    def message(self, at: int) -> Message:
        """The message at a place."""
        return self._by_place[at]

    def answers(self) -> list[tuple[int, Any]]:
        """The JSON that a client needs: (number of the exchange, body)."""
        found = [(one, self.timeline.exchanges[one].response_json) for one in self._needed()]
        return [(number, body) for number, body in found if isinstance(body, dict)]

    def left(self, cut: Cut) -> tuple[list[Part], list[Part]]:
        """What is left of a cut: exchanges, and messages."""
        everything = [
            Part("exchange", self._of_exchange(one), f"{one.method} {one.target} -> {one.status}")
            for one in self.timeline.exchanges
        ]
        changed = dict(cut.said)
        messages = [
            msgspec.structs.replace(
                part, says=_shown(changed.get(part.at, self.message(part.at).data))
            )
            for part in self.messages(and_ends=True)
            if self.message(part.at).side is Side.SERVER
        ]
        return (
            [part for part in everything if not part.places <= cut.without],
            [part for part in messages if not part.places <= cut.without],
        )

    @staticmethod
    def says(message: Message) -> str:
        """A message in a few words."""
        return _shown(message.data)

    def _ends(self, prompt: RecordedPrompt) -> set[int]:
        return {at for at in (prompt.terminal_at, prompt.left_at) if at is not None}

    def _needed(self) -> list[int]:
        """The numbers of the exchanges that every client needs."""
        prompt = self.prompt
        upgrades = {socket.upgrade.number for socket in self.timeline.sockets}
        if prompt is None or prompt.submitted is None:
            posts = [
                one.number
                for one in self.timeline.exchanges
                if one.method == "POST" and one.path == "/prompt"
            ]
            return sorted(upgrades | set(posts))
        entries = [
            one.number for one in self.timeline.exchanges if _tells_of(one, prompt.prompt_id)
        ]
        return sorted(upgrades | {prompt.submitted, *entries[-1:]})

    def _of_exchange(self, exchange: Exchange) -> frozenset[int]:
        return self._exchanges.get((exchange.conn, exchange.request.at), frozenset())

    # --- what remains ----------------------------------------------------------------------------

    def records(self, cut: Cut) -> list[AnyRecord]:
        """The recording that a cut leaves, numbered anew."""
        said = dict(cut.said)
        said_at = {place: at for at in said for place in self._messages[at]}
        bodies = {
            place: number for number, _ in cut.answered for place in self._answer_places(number)
        }
        answered = dict(cut.answered)
        written: list[AnyRecord] = []
        seen: set[tuple[str, int]] = set()
        for place, record in enumerate(self._all):
            if place in cut.without:
                continue
            if place in said_at:
                at = said_at[place]
                if ("said", at) not in seen and isinstance(record, WsFrame):
                    written.append(_saying(record, said[at]))
                seen.add(("said", at))
            elif place in bodies:
                number = bodies[place]
                if ("answered", number) not in seen and isinstance(record, HttpPart):
                    exchange = self.timeline.exchanges[number]
                    written.append(_answering(record, exchange, answered[number]))
                seen.add(("answered", number))
            else:
                written.append(record)
        return list(_numbered(written, at_once=cut.at_once))

    def _answer_places(self, number: int) -> Iterator[int]:
        for place in self._of_exchange(self.timeline.exchanges[number]):
            if getattr(self._all[place], "side", None) is Side.SERVER:
                yield place


# --- records -------------------------------------------------------------------------------------


def _messages(records: Sequence[AnyRecord]) -> Iterator[tuple[int, frozenset[int]]]:
    """Place of each whole message -> the places of all its records."""
    open_: dict[tuple[int, Side], list[int]] = {}
    fin: dict[tuple[int, Side], bool] = {}
    for place, record in enumerate(records):
        if not isinstance(record, WsFrame):
            continue
        key = record.conn, record.side
        if record.head:
            if record.head[0] & _OPCODE >= _CONTROL:
                continue
            fin[key] = bool(record.head[0] & _FIN)
        open_.setdefault(key, []).append(place)
        if record.last and fin.get(key):
            yield place, frozenset(open_.pop(key))


def _is_close(record: WsFrame) -> bool:
    return bool(record.head) and record.head[0] & _OPCODE == _CONTROL


def _exchanges(records: Sequence[AnyRecord]) -> dict[tuple[int, int], frozenset[int]]:
    """(connection, place of the request's last part) -> the places of all parts of an exchange."""
    parts: dict[tuple[int, int], list[int]] = {}
    asked: dict[tuple[int, int], int] = {}
    for place, record in enumerate(records):
        if isinstance(record, HttpPart):
            key = record.conn, record.exchange
            parts.setdefault(key, []).append(place)
            if record.side is Side.CLIENT:
                asked[key] = place
    return {(key[0], asked[key]): frozenset(parts[key]) for key in asked}


def _saying(record: WsFrame, message: str | bytes) -> WsFrame:
    opcode, payload = payload_of(message)
    whole = frame(opcode, payload)
    head = whole[: len(whole) - len(payload)]
    return msgspec.structs.replace(
        record, head=head, payload=payload, last=True, inflated=None, redacted=0
    )


_OF_THE_BODY: Final = ("content-length", "content-encoding", "transfer-encoding")


def _answering(record: HttpPart, exchange: Exchange, text: str) -> HttpPart:
    response, body = exchange.response, text.encode()
    assert response is not None
    lines = [response.start]
    lines += [f"{k}: {v}" for k, v in response.headers if k.lower() not in _OF_THE_BODY]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return HttpPart(
        seq=record.seq,
        t=record.t,
        conn=record.conn,
        side=record.side,
        exchange=record.exchange,
        head="\r\n".join(lines).encode("latin-1", "replace"),
        body=body,
    )


def _numbered(records: Sequence[AnyRecord], *, at_once: bool) -> Iterator[AnyRecord]:
    """Without connections on which nothing happens, in order, with new numbers."""
    used = {one.conn for one in records if isinstance(one, HttpPart | WsFrame)}
    kept = [one for one in records if not isinstance(one, Opened | Closed) or one.conn in used]
    began = kept[0].t if kept else 0
    for seq, record in enumerate(kept):
        t = began + seq if at_once else record.t
        changes: dict[str, Any] = {"seq": seq, "t": t}
        if type(record).__name__ == "End":
            changes["records"] = seq
        yield msgspec.structs.replace(record, **changes)


# --- the truth -----------------------------------------------------------------------------------


def _tells_of(exchange: Exchange, prompt_id: str) -> bool:
    if exchange.method != "GET" or not exchange.path.startswith("/history"):
        return False
    entries = exchange.response_json
    return isinstance(entries, dict) and prompt_id in entries


def _with_history(records: list[AnyRecord]) -> list[AnyRecord]:
    """The same, with an answer of the history that tells how our prompt ended, if there is none."""
    timeline = Timeline.build(records)
    prompt = next((one for one in timeline.prompts if one.submitted is not None), None)
    if prompt is None or any(_tells_of(one, prompt.prompt_id) for one in timeline.exchanges):
        return records
    entry = _entry(prompt)
    body = comfy_json({} if entry is None else {prompt.prompt_id: entry}).encode()
    conn = max((getattr(one, "conn", 0) for one in records), default=0) + 1
    last = [one for one in records if type(one).__name__ != "End"]
    t, seq = (last[-1].t, last[-1].seq) if last else (0, 0)
    asked = f"GET /history/{prompt.prompt_id} HTTP/1.1\r\nHost: 127.0.0.1:8188\r\n\r\n".encode()
    told = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    return [
        *last,
        Opened(seq=seq + 1, t=t, conn=conn),
        HttpPart(seq=seq + 2, t=t, conn=conn, side=Side.CLIENT, exchange=0, head=asked),
        HttpPart(seq=seq + 3, t=t, conn=conn, side=Side.SERVER, exchange=0, head=told, body=body),
    ]


_KINDS: Final[Mapping[str, str]] = {
    "success": "execution_success",
    "error": "execution_error",
    "interrupted": "execution_interrupted",
}


def _entry(prompt: RecordedPrompt) -> Mapping[str, Any] | None:
    """The history entry of a prompt, as its frames tell it."""
    kind = _KINDS.get(prompt.outcome)
    if kind is None:
        return None
    good = prompt.outcome == "success"
    return {
        "prompt": [prompt.queue_number or 0, prompt.prompt_id, prompt.graph, prompt.extra_data, []],
        "outputs": prompt.outputs,
        "status": {
            "status_str": "success" if good else "error",
            "completed": good,
            "messages": [[kind, {"prompt_id": prompt.prompt_id}]],
        },
    }


# --- words ---------------------------------------------------------------------------------------


def _shown(data: str | bytes) -> str:
    if isinstance(data, bytes):
        kind = int.from_bytes(data[:4], "big") if len(data) >= 4 else None
        name = "binary" if kind is None else f"binary of type {kind}"
        return f"{name}, {len(data)} bytes"
    value = loads_or_none(data.encode())
    if isinstance(value, dict) and isinstance(value.get("type"), str):
        inner = json.dumps(value.get("data"), ensure_ascii=False)
        return shortened(f"{value['type']} {inner}", SHOWN)
    return shortened(data, SHOWN)
