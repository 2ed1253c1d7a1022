"""What several clients do at one server, in any order, with values that can be drawn anew.

The moves are those of a person or program at work: connect, upload, submit, wait, look, interrupt,
take off the queue, forget, come back. A move names clients and jobs by number, so that the same
moves can be made with other ids, names and literals (``Values``), and what was seen be compared by
number.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from hypothesis import strategies as st

from tests.support.recorded_sessions import (
    Job,
    upload,
    with_other_values,
)
from tests.support.replay_rig import LiveSocket, SourceRig

__all__ = [
    "Move",
    "Moves",
    "People",
    "Seen",
    "Values",
    "moves",
    "other_values",
    "peaceful",
    "reordered",
    "values",
    "values_of",
]

CLIENTS: Final = 3
MOVE_US: Final = 1_000
POLLS_MAX: Final = 60
POLL_US: Final = 500_000

Kind = Literal[
    "connect", "leave", "flags", "submit", "await end", "await node", "elapse", "interrupt",
    "interrupt all", "delete", "clear", "cancel", "forget", "forget all", "look",
]  # fmt: skip
LOOKS: Final = (
    "/queue", "/prompt", "/history", "/history/{}", "/api/jobs", "/api/jobs/{}", "/api/history/{}",
)  # fmt: skip


class Move(msgspec.Struct, frozen=True):
    """One thing that one client does."""

    kind: Kind
    client: int = 0
    job: int = 0
    """Which of those that were submitted by then, counted round."""
    what: str = ""
    """The question of a look."""
    us: int = 0
    own_id: bool = False
    """Of a submission: the client chooses the prompt id."""
    named: bool = True
    """Of a submission: it says who the client is."""
    front: bool = False


Moves = Sequence[Move]


class Values(msgspec.Struct, frozen=True):
    """What a client of flesh and blood draws anew each time."""

    clients: Sequence[str]
    prompt_ids: Sequence[str]
    jobs: Sequence[Job]


class Seen(msgspec.Struct):
    """What was seen, with numbers in the place of values."""

    answers: dict[int, Any] = {}
    """Number of a move -> (status, body)."""
    sockets: list[list[Any]] = []
    outcomes: dict[int, Any] = {}
    """Job -> what the history says in the end."""

    def about(self, job: int) -> list[list[Any]]:
        """The frames about one job, of each socket."""
        word = f"<prompt {job}>"
        return [[one for one in frames if word in json.dumps(one)] for frames in self.sockets]


class People:
    """Makes the moves at a server."""

    def __init__(self, rig: SourceRig, values: Values) -> None:
        self.rig, self.values = rig, values
        self.sockets: list[tuple[int, LiveSocket]] = []
        self.open: dict[int, LiveSocket] = {}
        self.ids: dict[int, str] = {}
        """Job -> prompt id, of those that were accepted."""
        self.submitted: list[int] = []
        self.seen = Seen()

    def make(self, moves: Moves, order: Sequence[int] = ()) -> Seen:
        """Make all moves, wait until all is over, and look at what became of each job.

        Args:
            moves: to be made.
            order: the jobs in the order in which they are submitted; empty: in their own.
        """
        for number, move in enumerate(moves):
            fresh = len(self.submitted)
            self._make(number, move, order[fresh] if order and move.kind == "submit" else fresh)
            self.rig.run(until=self.rig.now + MOVE_US)
        self.rig.run()
        for job, prompt_id in self.ids.items():
            self.seen.outcomes[job] = _outcome(self.rig.get(f"/history/{prompt_id}"))
        self.seen = Seen(
            {number: self._plain(answer) for number, answer in self.seen.answers.items()},
            [[self._message(m) for m in socket.messages] for _, socket in self.sockets],
            self.seen.outcomes,
        )
        return self.seen

    def _make(self, number: int, move: Move, fresh: int) -> None:
        job = self.submitted[move.job % len(self.submitted)] if self.submitted else None
        prompt_id = self.ids.get(job) if job is not None else None
        socket = self.open.get(move.client)
        match move.kind:
            case "connect":
                self.open[move.client] = self.rig.connect(self._client(move.client))
                self.sockets.append((move.client, self.open[move.client]))
            case "leave" if socket is not None:
                self.rig.leave(self.open.pop(move.client))
            case "flags" if socket is not None:
                flags = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
                self.rig.say(socket, flags)
            case "submit":
                self._submit(number, move, fresh)
            case "await end" if prompt_id is not None:
                self._await_end(prompt_id, socket)
            case "await node" if prompt_id is not None and socket is not None:
                self._await(socket, prompt_id, ("executing", *_ENDS))
            case "elapse":
                self.rig.run(until=self.rig.now + move.us)
            case "look" if prompt_id is not None or "{}" not in move.what:
                self._ask(number, "GET", move.what.format(prompt_id))
            case "interrupt all":
                self._ask(number, "POST", "/interrupt")
            case "clear":
                self._ask(number, "POST", "/queue", {"clear": True})
            case "forget all":
                self._ask(number, "POST", "/history", {"clear": True})
            case "interrupt" if prompt_id is not None:
                self._ask(number, "POST", "/interrupt", {"prompt_id": prompt_id})
            case "delete" if prompt_id is not None:
                self._ask(number, "POST", "/queue", {"delete": [prompt_id]})
            case "cancel" if prompt_id is not None:
                self._ask(number, "POST", f"/api/jobs/{prompt_id}/cancel")
            case "forget" if prompt_id is not None:
                self._ask(number, "POST", "/history", {"delete": [prompt_id]})

    def _client(self, number: int) -> str | None:
        """The last one does without an id of its own."""
        return self.values.clients[number] if number < CLIENTS - 1 else None

    def _submit(self, number: int, move: Move, job: int) -> None:
        drawn = self.values.jobs[job]
        for name, data in drawn.uploads.items():
            upload(self.rig, name, data)
        more: dict[str, Any] = {"front": True} if move.front else {}
        if move.own_id:
            more["prompt_id"] = self.values.prompt_ids[job]
        client = self._client(move.client) if move.named else None
        answer = self.rig.post(drawn.graph, client, **more)
        self.submitted.append(job)
        said = json.loads(answer.body)
        if answer.status == 200:
            self.ids[job] = said["prompt_id"]
        self.seen.answers[number] = [answer.status, said]

    def _ask(self, number: int, method: str, target: str, body: Any = b"") -> None:
        answer = self.rig.ask(method, target, body)
        said = json.loads(answer.body) if answer.body else None
        self.seen.answers[number] = [answer.status, said]

    def _await_end(self, prompt_id: str, socket: LiveSocket | None) -> None:
        if socket is not None:
            self._await(socket, prompt_id, _ENDS)
            return
        for _ in range(POLLS_MAX):
            if self.rig.get(f"/history/{prompt_id}"):
                break
            self.rig.run(until=self.rig.now + POLL_US)

    def _await(self, socket: LiveSocket, prompt_id: str, kinds: tuple[str, ...]) -> None:
        def came() -> bool:
            return any(kind in kinds for kind in socket.about(prompt_id))

        # Who did the same when it was recorded is never waited for.
        while not came() and self.rig.step(patience=False):
            pass

    # --- values -> numbers ---------------------------------------------------------------------

    def _message(self, message: str | bytes) -> Any:
        return len(message) if isinstance(message, bytes) else self._plain(json.loads(message))

    def _plain(self, value: Any) -> Any:
        graphs = {json.dumps(job.graph): n for n, job in enumerate(self.values.jobs)}
        return _masked(json.loads(self._words.sub(self._number, json.dumps(_grave(value, graphs)))))

    @property
    def _words(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, self._numbers)))

    @property
    def _numbers(self) -> dict[str, str]:
        found = {client: f"<client {n}>" for n, client in enumerate(self.values.clients)}
        found |= {sid: "<sid>" for sid in self._sids() if sid not in found}
        found |= {prompt_id: f"<prompt {job}>" for job, prompt_id in self.ids.items()}
        found |= {job.tag: f"<tag {n}>" for n, job in enumerate(self.values.jobs)}
        return found

    def _sids(self) -> Iterator[str]:
        for _, socket in self.sockets:
            yield from (one["data"]["sid"] for one in socket.texts if "sid" in one["data"])

    def _number(self, match: re.Match[str]) -> str:
        return self._numbers[match[0]]


_ENDS: Final = ("execution_success", "execution_error", "execution_interrupted")
_TIMES: Final = re.compile(r"timestamp|(create|execution|update|start|end)\w*_(time|at)")


_WORKED_OUT: Final = frozenset(("output", "outputs", "current_inputs", "preview_output"))


def _outcome(history: Mapping[str, Any]) -> str:
    for entry in history.values():
        kinds = [message[0] for message in entry["status"]["messages"]]
        return kinds[-1] if kinds else entry["status"]["status_str"]
    return "gone"


def _grave(value: Any, graphs: Mapping[str, int]) -> Any:
    """With ``<graph N>`` in the place of a whole graph."""
    if isinstance(value, dict):
        known = graphs.get(json.dumps(value))
        return (
            f"<graph {known}>"
            if known is not None
            else {k: _grave(v, graphs) for k, v in value.items()}
        )
    return [_grave(one, graphs) for one in value] if isinstance(value, list) else value


def _masked(value: Any, key: str = "") -> Any:
    """Without times, and without what a drawn graph works out."""
    if _TIMES.fullmatch(key):
        return "<time>"
    if isinstance(value, dict):
        within = key if key in _WORKED_OUT else ""
        return {name: _masked(item, within or name) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(one, key) for one in value]
    if key in _WORKED_OUT and not (isinstance(value, str) and "<" in value):
        return type(value).__name__
    return value


# --- what is drawn -------------------------------------------------------------------------------

_CLIENT: Final = st.integers(0, CLIENTS - 1)
_JOB: Final = st.integers(0, 3)


def _moves(kind: Kind, **more: Any) -> st.SearchStrategy[Move]:
    return st.builds(Move, st.just(kind), _CLIENT, _JOB, **more)


_MOVE: Final = st.one_of(
    _moves("submit", own_id=st.booleans(), named=st.booleans(), front=st.booleans()),
    _moves("await end"),
    _moves("await node"),
    _moves("elapse", us=st.sampled_from([1_000, 300_000, 2_000_000])),
    _moves("look", what=st.sampled_from(LOOKS)),
    *map(_moves, ("connect", "leave", "flags", "interrupt", "interrupt all", "delete", "clear")),
    *map(_moves, ("cancel", "forget", "forget all")),
)


@st.composite
def moves(draw: st.DrawFn, jobs: Sequence[Job]) -> list[Move]:
    """Moves that submit each job once."""
    others = st.lists(_MOVE.filter(lambda move: move.kind != "submit"), max_size=5)
    submit = _moves("submit", own_id=st.booleans(), named=st.booleans(), front=st.booleans())
    made: list[Move] = [Move("connect", client) for client in range(draw(st.integers(0, CLIENTS)))]
    for _ in jobs:
        made += [draw(submit), *draw(others)]
    return made


def values(jobs: Sequence[Job], word: str = "before") -> st.SearchStrategy[Values]:
    """Ids for a session; none is as those for another word."""
    return st.integers(0, 2**32).map(lambda seed: values_of(jobs, f"{word} {seed}"))


def values_of(jobs: Sequence[Job], word: str) -> Values:
    """The ids for a word."""
    chance = Random(word)
    ids = [str(UUID(int=chance.getrandbits(128), version=4)) for _ in range(CLIENTS + len(jobs))]
    return Values([one.replace("-", "") for one in ids[:CLIENTS]], ids[CLIENTS:], jobs)


@st.composite
def other_values(draw: st.DrawFn, before: Values) -> Values:
    """The same session with everything drawn anew."""
    return draw(values(draw(with_other_values(list(before.jobs))), "after"))


def reordered(moves: Moves, jobs: Sequence[Job], chance: Random) -> tuple[list[Move], list[int]]:
    """The moves with submissions that follow each other at once in another order, and the jobs in
    that order.

    Jobs of one kind keep theirs, since nobody could tell them apart. What depends on who came
    first, such as an interrupt, is left out of ``peaceful`` moves.
    """
    made: list[Move] = []
    order: list[int] = []
    for together, some in itertools.groupby(moves, lambda move: move.kind == "submit"):
        run = list(some)
        if not together:
            made += run
            continue
        first = len(order)
        shuffled = chance.sample(range(len(run)), len(run))
        of_kind = {job.kind: deque[int]() for job in jobs}
        for number in range(len(run)):
            of_kind[jobs[first + number].kind].append(number)
        shuffled = [of_kind[jobs[first + number].kind].popleft() for number in shuffled]
        made += [run[number] for number in shuffled]
        order += [first + number for number in shuffled]
    return made, order


def peaceful(moves: Moves) -> list[Move]:
    """Without what stops or forgets somebody's prompt, and without who comes later or goes: what
    all are told of a prompt is told to those who are there when it runs."""
    first = next((n for n, move in enumerate(moves) if move.kind == "submit"), 0)
    return [
        move
        for number, move in enumerate(moves)
        if move.kind not in _STOPS and (move.kind != "connect" or number < first)
    ]


_STOPS: Final = frozenset(
    ("leave", "interrupt", "interrupt all", "delete", "clear", "cancel", "forget", "forget all")
)
