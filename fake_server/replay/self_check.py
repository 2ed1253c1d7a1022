"""A recording, replayed to its own clients: is what they get what was recorded?

A client without a network makes every recorded request and says every recorded message, in the
recorded order and at the recorded distances, each when it has received what the recorded client had
by then, with client and prompt ids of its own. Time is virtual: checking a long recording takes
no time.
"""

from __future__ import annotations

import heapq
import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from comfyrec.http.request import loads_or_none
from comfyrec.timeline import Exchange, HttpMessage, Message, Side, Socket, Timeline
from fake_server.replay.differences import (
    Difference,
    difference_of_large,
    difference_of_whole,
    first_difference,
    first_difference_of_shape,
    uncompressed,
)
from fake_server.replay.player import Player
from fake_server.replay.recorded.id_mapping import WORD, RecordedIds
from fake_server.replay.recorded.other_ids import other_ids_of
from fake_server.replay.rewrite_response import SYNTHESIZED
from fake_server.source import (
    Abort,
    Accept,
    Action,
    Close,
    Disconnected,
    HangUp,
    Happened,
    MessageReceived,
    RealTimePassed,
    Request,
    RequestReceived,
    Respond,
    RespondMore,
    Response,
    Send,
    UpgradeRequested,
    WaitRealTime,
    Wake,
    Woke,
)

__all__ = ["Played", "replay_differences", "replay_to_clients_of"]

DIFFERENCES_MAX: Final = 50


def replay_differences(timeline: Timeline) -> list[str]:
    """In what a replay of the recording to its own clients differs from it.

    Returns:
        One sentence for each difference, at most 50; empty when the recording replays itself.
    """
    found = dict.fromkeys(_SelfCheck(timeline).differences())
    return list(found)[:DIFFERENCES_MAX]


class Played:
    """What clients got from another recording than their own."""

    def __init__(self, statuses: Mapping[int, int | None], messages: Mapping[int, int]) -> None:
        self.statuses = statuses
        """Exchange -> the status of its answer, where the recording has a whole one."""
        self.messages = messages
        """Socket -> how many messages came."""

    @staticmethod
    def receivable(socket: Socket) -> list[Message]:
        """The messages that the client of a recorded socket could get."""
        return _receivable(socket)


def replay_to_clients_of(timeline: Timeline, player: Player) -> Played:
    """Let the clients of one recording do what they did with a player of another one."""
    check = _SelfCheck(timeline, player)
    for _ in check.differences():
        continue
    return check.played()


class _SelfCheck:
    def __init__(self, timeline: Timeline, player: Player | None = None) -> None:
        self._timeline = timeline
        self._player = player or Player(timeline, match="graph", seed=1)
        self._now = 0
        self._wakes: list[int] = []
        self._wait: list[int] = []
        self._ids: dict[str, str] = {}
        self._others = other_ids_of(timeline, ())
        self._words = frozenset(self._others.all)
        self._addresses = RecordedIds((), (), self._others.authorities)
        self._prompt_of = {p.submitted: p for p in timeline.prompts if p.submitted is not None}
        self._received: dict[int, list[str | bytes]] = {
            self._live(s.number): [] for s in timeline.sockets
        }
        self._ended: dict[int, Close | Abort] = {}
        self._accepted: set[int] = set()
        self._answers: dict[int, Response | None] = {}
        self._known: dict[int, int] = {}
        """Exchange -> how many of the ids stood for others when it was answered."""
        self._sockets_at = [[m.at for m in _receivable(s)] for s in timeline.sockets]

    def differences(self) -> Iterator[str]:
        began, last = 0, self._timeline.t
        for at, t, happened in self._inputs():
            yield from self._catch_up(at)
            # A person, or a client that polls, lets time pass without waiting for a frame.
            self._pass_time(began + t - last)
            self._feed(happened)
            self._learn(happened)
            if isinstance(happened, RequestReceived):
                self._known[happened.exchange] = len(self._ids)
            began, last = self._now, t
        yield from self._catch_up(self._timeline.records)
        while self._step():
            pass
        for socket in self._timeline.sockets:
            yield from self._compare_socket(socket)
        for exchange in self._timeline.exchanges:
            yield from self._compare_exchange(exchange)

    def played(self) -> Played:
        """What the clients got."""
        answers = {
            exchange.number: answer.status if answer is not None else None
            for exchange in self._timeline.exchanges
            if exchange.response is not None
            and exchange.response.complete
            and exchange.status != 101
            for answer in (self._answers.get(exchange.number),)
        }
        messages = {
            s.number: len(self._received[self._live(s.number)]) for s in self._timeline.sockets
        }
        return Played(answers, messages)

    def _live(self, socket: int) -> int:
        """Exchanges and sockets are numbered in one row."""
        return len(self._timeline.exchanges) + socket

    # --- the recorded clients ------------------------------------------------------------------

    def _inputs(self) -> Iterator[tuple[int, int, Happened]]:
        """(place, time, what a client did), in order; a request is written when its turn comes."""
        places: list[tuple[int, int, int, int, int]] = []
        upgrades = {s.upgrade.number: s.number for s in self._timeline.sockets}
        for exchange in filter(self._had_consequences, self._timeline.exchanges):
            upgraded = upgrades.get(exchange.number, -1)
            request = exchange.request
            places.append((request.at, request.t_end, 0, exchange.number, upgraded))
        for socket in self._timeline.sockets:
            for part, message in enumerate(socket.messages):
                if message.side is Side.CLIENT:
                    places.append((message.at, message.t, 1, socket.number, part))
            closing = socket.closing
            if closing is not None and closing.by is Side.CLIENT:
                places.append((closing.at, closing.t, 2, socket.number, 0))
        for at, t, kind, number, more in sorted(places):
            if kind == 0:
                yield at, t, self._request(self._timeline.exchanges[number], more)
            elif kind == 1:
                yield (
                    at,
                    t,
                    MessageReceived(
                        self._live(number), self._timeline.sockets[number].messages[more].data
                    ),
                )
            else:
                yield at, t, Disconnected(self._live(number), _code(self._timeline.sockets[number]))

    def _had_consequences(self, exchange: Exchange) -> bool:
        """Whether the recording says what came of it; it may end behind the request."""
        ended = exchange.response is not None or exchange.cut_by is Side.SERVER
        return ended or exchange.number in self._prompt_of

    def _request(self, exchange: Exchange, socket: int) -> Happened:
        self._choose_ids(exchange, socket)
        target = "/".join(self._own(part) for part in exchange.target.split("/"))
        path, mark, query = target.partition("?")
        pairs = [pair.partition("=") for pair in query.split("&")]
        query = "&".join(f"{name}{equals}{self._own(value)}" for name, equals, value in pairs)
        request = Request(
            method=exchange.method,
            target=f"{path}{mark}{query}",
            headers=exchange.request.headers,
            body=self._own_body(exchange),
            stored=exchange.request.stored,
            peer=f"self-check:{exchange.conn}",
        )
        if socket >= 0:
            return UpgradeRequested(self._live(socket), request)
        if _can_upgrade(request):
            return UpgradeRequested(exchange.number, request)
        return RequestReceived(exchange.number, request)

    def _choose_ids(self, exchange: Exchange, socket: int) -> None:
        if socket >= 0:
            client_id = self._timeline.sockets[socket].client_id
            if client_id:
                self._ids.setdefault(client_id, f"self-check-{len(self._ids)}")
        prompt, body = self._prompt_of.get(exchange.number), exchange.request_json
        if prompt is None or not isinstance(body, dict):
            return
        if prompt.client_id:
            self._ids.setdefault(prompt.client_id, f"self-check-{len(self._ids)}")
        if body.get("prompt_id") == prompt.prompt_id:
            own = f"00000000-0000-4000-9000-{len(self._ids):012x}"
            self._ids.setdefault(prompt.prompt_id, own)

    def _own(self, word: str) -> str:
        return self._ids.get(word, word)

    def _own_body(self, exchange: Exchange) -> bytes:
        body = exchange.request_json
        if body is None or not isinstance(body, (dict, list)):
            return exchange.request.body
        return json.dumps(_with_own_ids(body, self._ids, self._words)).encode()

    def _learn(self, happened: Happened) -> None:
        """The ids that the server minted: a sid from the greeting, a prompt id from the answer."""
        if isinstance(happened, UpgradeRequested) and happened.socket >= self._live(0):
            while not self._received[happened.socket] and self._step():
                pass
            socket = self._timeline.sockets[happened.socket - self._live(0)]
            for message in self._received[happened.socket][:1]:
                said = loads_or_none(message) if isinstance(message, str) else None
                if socket.sid and isinstance(said, dict) and "sid" in said.get("data", {}):
                    self._ids[socket.sid] = said["data"]["sid"]
        elif isinstance(happened, RequestReceived):
            answer = self._answers.get(happened.exchange)
            peek = loads_or_none(answer.body) if answer is not None and answer.body else None
            prompt = self._prompt_of.get(happened.exchange)
            if prompt is not None and isinstance(peek, dict):
                self._ids[prompt.prompt_id] = str(peek.get("prompt_id"))
            minted = self._others.minted.get(happened.exchange, ())
            if minted:
                said = self._timeline.exchanges[happened.exchange].response_json
                self._ids.update(_in_place_of(minted, said, peek))

    # --- the server ----------------------------------------------------------------------------

    def _feed(self, happened: Happened) -> int:
        """Give it to the server and do what it says; how much that was."""
        count = 0
        for action in self._player.handle(happened, self._now):
            self._carry(action)
            count += 1
        return count

    def _carry(self, action: Action) -> None:
        if isinstance(action, Send):
            for socket in action.sockets:
                self._received.setdefault(socket, []).append(action.message)
        elif isinstance(action, Wake):
            heapq.heappush(self._wakes, action.at)
        elif isinstance(action, WaitRealTime):
            self._wait.append(action.token)
        elif isinstance(action, Respond):
            self._answers[action.exchange] = action.answer
        elif isinstance(action, RespondMore):
            begun = self._answers[action.exchange]
            if begun is not None and action.data:
                whole = msgspec.structs.replace(begun, body=begun.body + action.data)
                self._answers[action.exchange] = whole
        elif isinstance(action, HangUp):
            self._answers[action.exchange] = None
        elif isinstance(action, (Close, Abort)):
            self._ended[action.socket] = action
        elif isinstance(action, Accept):
            self._accepted.add(action.socket)

    def _step(self) -> bool:
        """Let time pass until something may happen; False when nothing will."""
        if not self._wakes:
            return False
        self._now = max(self._now, heapq.heappop(self._wakes))
        self._feed(Woke())
        return True

    def _pass_time(self, until: int) -> None:
        while self._wakes and self._wakes[0] <= until:
            self._step()
        self._now = max(self._now, until)

    def _catch_up(self, at: int) -> Iterator[str]:
        """Receive what the recorded clients had received by then."""
        while not self._has_all_before(at):
            if self._step():
                continue
            if not self._wait:
                return
            token = self._wait.pop(0)
            # Below zero: of an answer in pieces that its client did not wait for.
            if self._feed(RealTimePassed(token)) and token >= 0:
                yield f"before record {at}: the replay waited for a request that was not recorded"

    def _has_all_before(self, at: int) -> bool:
        return all(
            bisect_left(places, at) <= len(self._received[self._live(number)])
            for number, places in enumerate(self._sockets_at)
        )

    # --- the comparison ------------------------------------------------------------------------

    def _compare_socket(self, socket: Socket) -> Iterator[str]:
        name, number = f"socket {socket.number}", self._live(socket.number)
        if number not in self._accepted:
            yield f"{name}: it was accepted, and the replay refused it"
            return
        recorded, got = _receivable(socket), self._received[number]
        if len(recorded) != len(got):
            yield f"{name}: {len(recorded)} messages were recorded, {len(got)} were replayed"
        for place, (message, live) in enumerate(zip(recorded, got, strict=False)):
            difference = self._message_difference(message, live)
            if difference is not None:
                yield f"{name}: message {place}: {difference}"
                return
        closing = socket.closing
        if closing is not None and closing.by is Side.SERVER:
            ended = self._ended.get(number)
            close = Close(number, closing.code, closing.reason)
            wanted = close if closing.clean else Abort(number)
            if ended != wanted:
                yield f"{name}: it ended with {wanted}, in the replay with {ended}"

    def _message_difference(self, recorded: Message, live: str | bytes) -> Difference | None:
        data = recorded.data
        if isinstance(data, str) and isinstance(live, str):
            return self._text_difference(data, live, len(self._ids))
        if isinstance(data, str) or isinstance(live, str):
            return difference_of_whole(data, live)
        if recorded.binary_type != 4 or live[:4] != data[:4]:
            return None if data == live else difference_of_whole(data, live)
        sizes = int.from_bytes(data[4:8], "big"), int.from_bytes(live[4:8], "big")
        metadata = data[8 : 8 + sizes[0]], live[8 : 8 + sizes[1]]
        was, now = (loads_or_none(one) for one in metadata)
        found = first_difference(was, now, self._same_until(len(self._ids)))
        same = data[8 + sizes[0] :] == live[8 + sizes[1] :]
        return found if found is not None or same else difference_of_whole(data, live)

    def _text_difference(self, recorded: str, live: str, known: int) -> Difference | None:
        if recorded == live and not any(i in recorded for i in self._ids if len(i) >= _LONG):
            return None
        one = loads_or_none(recorded)
        if one is None:
            return None if self._same_words(recorded, live) else difference_of_whole(recorded, live)
        return first_difference(one, loads_or_none(live), self._same_until(known))

    def _same_words(self, recorded: str, live: str) -> bool:
        """Of what is not JSON, or too deep to be read: equal but for long ids."""
        for one, own in self._ids.items():
            if len(one) >= _LONG:
                recorded = recorded.replace(one, own)
        return self._is_renamed(recorded, live, self._ids)

    def _is_renamed(self, recorded: str, live: str, ids: Mapping[str, str]) -> bool:
        """Whether two texts differ in ids of jobs and the like, and in addresses, alone."""
        renamed = self._worded(recorded, ids)
        return renamed == live or self._without_addresses(renamed) == self._without_addresses(live)

    def _without_addresses(self, text: str) -> str:
        return self._addresses.renamed(text, lambda _: "")

    def _worded(self, recorded: str, ids: Mapping[str, str]) -> str:
        """A text with the ids of jobs, assets and the like in their places."""
        if not self._words:
            return recorded
        return WORD.sub(
            lambda match: ids.get(match[0], match[0]) if match[0] in self._words else match[0],
            recorded,
        )

    def _same_until(self, known: int) -> Callable[[Any, Any], bool]:
        """Equal but for ids; an id that cannot be another word has to be the live one.

        Args:
            known: so many of the ids stood for others by then. What was said earlier of a later
                id is of an earlier run, and stays as it was.
        """
        later = len(self._ids) > known
        ids = dict(islice(self._ids.items(), known)) if later else self._ids

        def same(recorded: Any, live: Any) -> bool:
            if isinstance(recorded, str) and isinstance(live, str):
                own = ids.get(recorded)
                if own is not None and len(recorded) >= _LONG:
                    return live == own
                if live == recorded or (own is not None and live == own):
                    return True
                return self._is_renamed(recorded, live, ids)
            # NaN is not equal to itself.
            return bool(recorded == live or (recorded != recorded and live != live))

        return same

    def _compare_exchange(self, exchange: Exchange) -> Iterator[str]:
        response = exchange.response
        if response is None or not response.complete or exchange.status == 101:
            return
        name = f"{exchange.method} {exchange.target} (exchange {exchange.number})"
        answer = self._answers.get(exchange.number)
        if answer is None:
            yield f"{name}: the replay gave no answer"
        elif answer.status != exchange.status:
            yield f"{name}: the answer was {exchange.status}, in the replay {answer.status}"
        elif response.omitted_bytes == 0:
            difference = self._body_difference(exchange, response, answer)
            if difference is not None:
                made = next((value for key, value in answer.headers if key == SYNTHESIZED), "")
                how = f" (made up: {made})" if made else ""
                yield f"{name}: the answer's {difference}{how}"

    def _body_difference(
        self, exchange: Exchange, recorded: HttpMessage, live: Response
    ) -> Difference | None:
        if recorded.stored is not None or live.stored is not None:
            return difference_of_large(recorded.stored or recorded.body, live.stored or live.body)
        one, other = uncompressed(recorded.body), uncompressed(live.body)
        if one == other and not any(i.encode() in one for i in self._ids if len(i) >= _LONG):
            return None
        said = loads_or_none(one)
        if said is None:
            same = self._same_words(one.decode("latin-1"), other.decode("latin-1"))
            return None if same else difference_of_whole(one, other)
        if exchange.path in _UNREPEATABLE:
            return first_difference_of_shape(said, loads_or_none(other))
        known = self._known.get(exchange.number, len(self._ids))
        return first_difference(said, loads_or_none(other), self._same_until(known))


# Clocks, free memory, lines of a log: no answer is like the one before.
_UNREPEATABLE: Final = frozenset(("/system_stats", "/internal/logs", "/internal/logs/raw"))


_LONG: Final = 32


def _receivable(socket: Socket) -> list[Message]:
    """What its client could get: behind a close frame of its own it reads no more."""
    closing = socket.closing
    left = closing.at if closing is not None and closing.by is Side.CLIENT else None
    return [m for m in socket.received if left is None or m.at < left]


def _code(socket: Socket) -> int:
    """What the server sees when the recorded client leaves."""
    closing = socket.closing
    return (closing.code or 1005) if closing is not None and closing.clean else 1006


def _with_own_ids(value: Any, ids: Mapping[str, str], words: frozenset[str], key: str = "") -> Any:
    """The ids of a request: what can be nothing else anywhere, others behind the keys for ids."""
    if isinstance(value, str):
        is_id = len(value) >= _LONG or key in _ID_KEYS or value in words
        return ids.get(value, value) if is_id else value
    if isinstance(value, list):
        return [_with_own_ids(item, ids, words, key) for item in value]
    if isinstance(value, dict):
        return {name: _with_own_ids(item, ids, words, name) for name, item in value.items()}
    return value


def _in_place_of(words: Sequence[str], recorded: Any, live: Any) -> Iterator[tuple[str, str]]:
    """(recorded word, live word) where both answers have the same shape."""
    if isinstance(recorded, dict) and isinstance(live, dict):
        for name in recorded.keys() & live.keys():
            yield from _in_place_of(words, recorded[name], live[name])
    elif isinstance(recorded, list) and isinstance(live, list):
        for one, other in zip(recorded, live, strict=False):
            yield from _in_place_of(words, one, other)
    elif recorded in words and isinstance(live, str):
        yield recorded, live


_ID_KEYS: Final = ("client_id", "clientId", "prompt_id", "delete", "job_ids")


def _can_upgrade(request: Request) -> bool:
    return (
        request.header("Upgrade").lower() == "websocket"
        and request.header("Sec-WebSocket-Version") == "13"
        and bool(request.header("Sec-WebSocket-Key"))
    )
