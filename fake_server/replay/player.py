"""A recording as a server: every live client gets a play-through of it.

One play-through is for all clients of one recorded session: the first live client that comes plays
the first recorded one, the next live client the next recorded one, and when all are played a new
play-through begins. So a recording of one client serves any number of clients, one after the other
and at once, each from its beginning and each with ids of its own.

A client is known by its id, by the ids of its prompts, and by its connection. A question that names
nobody (GET /queue) is about the one play-through that is going on; when several are, it is about
all of them. A change that names nobody goes to the play-through that waits for it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal

from comfyrec.timeline import Timeline
from comfyrec.versions import era_of
from fake_server.replay.live.messages import Lines
from fake_server.replay.live.recorded_facts import Remembered
from fake_server.replay.live.session import Take, aim_of
from fake_server.replay.live.sessions import QUESTIONS, Takes, query_of
from fake_server.replay.matching.graphs import VOLATILE, Fit
from fake_server.replay.matching.intake import Intake
from fake_server.replay.matching.submissions import Submissions
from fake_server.replay.recording.recorded_answers import Book, Page
from fake_server.replay.recording.steps import Script
from fake_server.replay.request_key import Asking, asking_of, recorded_asking
from fake_server.replay.rewrite_response import reprint
from fake_server.replay.strict import Strictness
from fake_server.replay.synthesize import Synthesis
from fake_server.seeded import SeededRandom
from fake_server.source import (
    Action,
    Disconnected,
    HangUp,
    Happened,
    MessageReceived,
    RealTimePassed,
    Request,
    RequestReceived,
    Respond,
    Response,
    UpgradeRequested,
    Wake,
    Woke,
)

__all__ = ["Match", "Player"]

Match = Literal["graph", "structure", "any"]
_LEAST: Final = {"graph": Fit.GRAPH, "structure": Fit.STRUCTURE, "any": Fit.ANY}


class Player:
    """Plays a recording; a ``Source`` (see ``fake_server.source``).

    Args:
        timeline: the recording.
        strict: a request that was not recorded is an error, not answered as well as possible.
        match: the loosest way in which a live prompt may stand for a recorded one: ``graph`` (the
            same nodes and inputs), ``structure`` (but for volatile inputs) or ``any`` (then the
            next that was not played yet). The best that there is is taken. None: ``structure`` when
            strict, else ``any``.
        volatile: names of the inputs that do not count for the structure.
        idle_time_limit_us: no pause is longer.
        seed: of the ids that the server mints.
    """

    def __init__(
        self,
        timeline: Timeline,
        *,
        strict: bool = False,
        match: Match | None = None,
        volatile: Iterable[str] = VOLATILE,
        idle_time_limit_us: int | None = None,
        seed: int = 0,
    ) -> None:
        self._chance = SeededRandom(seed)
        era = era_of(timeline.comfyui_version)
        self._script = script = Script.of(timeline, idle_time_limit_us=idle_time_limit_us)
        self._book = Book(timeline, script.lives)
        self._strict = Strictness(self._book) if strict else None
        remembered = Remembered(timeline, script.vocabulary, era)
        self._synthesis = Synthesis(remembered, era)
        flags = remembered.flags() if era.has("progress_state") else None
        self._lines = Lines(timeline, script.vocabulary, flags=flags)
        self._takes = Takes(self._begin)
        self._intake = Intake(
            timeline,
            script.vocabulary,
            Submissions(timeline, frozenset(volatile)),
            era=era,
            takes=self._takes,
            chance=self._chance,
            least=_LEAST[match or ("structure" if strict else "any")],
            strict=self._strict,
        )
        self._accepted_manners = {recorded_asking(s.upgrade).manner for s in timeline.sockets}
        self._of_socket: dict[int, Take] = {}
        self._wakes: list[tuple[int, int]] = []
        self._asked_for: set[tuple[int, int]] = set()

    def _begin(self, number: int) -> Take:
        return Take(number, self._script, self._lines, self._book, self._mint)

    def _mint(self, recorded: str) -> str:
        return self._chance.hex32() if len(recorded) == 32 else self._chance.uuid()

    @property
    def complaints(self) -> list[str]:
        """What was not recorded, one sentence each; empty unless strict."""
        return self._strict.complaints if self._strict is not None else []

    @property
    def timeline(self) -> Timeline:
        """The recording."""
        return self._script.timeline

    def facts(self) -> Mapping[str, Any]:
        """What ``GET /__fake__/`` shows."""
        timeline = self._script.timeline
        return {
            "comfyui_version": timeline.comfyui_version,
            "prompts": len(timeline.prompts),
            "sockets": len(timeline.sockets),
            "play_throughs": self._takes.begun,
            "strict": self._strict is not None,
            "complaints": self.complaints[-20:],
        }

    # --- in and out ----------------------------------------------------------------------------

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        """Take what happened and say what shall happen, in order."""
        match happened:
            case Woke():
                yield from self._woke(now)
            case RequestReceived():
                yield from self._asked(happened.exchange, happened.request, now)
            case UpgradeRequested():
                yield from self._knocked(happened.socket, happened.request, now)
            case MessageReceived():
                if take := self._of_socket.get(happened.socket):
                    said = take.said(happened.socket, happened.message, now)
                    yield from self._noted(take, said)
            case Disconnected():
                if take := self._of_socket.pop(happened.socket, None):
                    yield from self._noted(take, take.left(happened.socket, now))
            case RealTimePassed():
                if take := self._takes.numbered(Take.number_of(happened.token)):
                    yield from self._noted(take, take.lingered(happened.token, now))

    def _noted(self, take: Take, actions: Iterable[Action]) -> Iterator[Action]:
        """The actions of a play-through; when it wants to be woken is remembered, once."""
        for action in actions:
            if isinstance(action, Wake):
                wake = action.at, take.number
                if wake in self._asked_for:
                    continue
                self._asked_for.add(wake)
                heapq.heappush(self._wakes, wake)
            yield action

    def _woke(self, now: int) -> Iterator[Action]:
        due = []
        while self._wakes and self._wakes[0][0] <= now:
            wake = heapq.heappop(self._wakes)
            self._asked_for.discard(wake)
            due.append(wake[1])
        for number in dict.fromkeys(due):
            if take := self._takes.numbered(number):
                yield from self._noted(take, take.advance(now))

    # --- sockets -------------------------------------------------------------------------------

    def _knocked(self, number: int, request: Request, now: int) -> Iterator[Action]:
        page = self._refusal(request)
        if page is not None:
            yield self._printed(number, page, request, self._takes.latest)
            return
        asked_for = query_of(request.target).get("clientId", "")
        client = asked_for or self._chance.hex32()
        take = self._takes.of_client(client)
        if take is None or not take.expects(client):
            take = self._joined(client, anonymous=not asked_for)
        self._of_socket[number] = take
        self._takes.remember(take, request, client=client)
        yield from self._noted(take, take.knock(number, client, request, now))

    def _joined(self, client: str, *, anonymous: bool) -> Take:
        """The play-through in which the next recorded client is still to be played."""
        take = self._takes.latest
        role = None if take.over else take.free_role(anonymous=anonymous)
        if role is None and (take.over or take.has_begun):
            take = self._takes.new()
            role = take.free_role(anonymous=anonymous)
        if role is not None:
            take.cast.play(client, role)
        return take

    def _refusal(self, request: Request) -> Page | None:
        """An upgrade in the manner of one that was refused is refused, when its turn has come."""
        asking = asking_of(request, str)
        like = (page for page in self._book.at(asking) if page.is_like(asking))
        pages = [page for page in like if page.has_an_end]
        accepted_too = asking.manner in self._accepted_manners
        return self._takes.latest.refusal(pages, accepted_too=accepted_too)

    # --- requests ------------------------------------------------------------------------------

    def _asked(self, exchange: int, request: Request, now: int) -> Iterator[Action]:
        if request.method == "POST" and _plain(request.target) == "/prompt":
            yield from self._submitted(exchange, request, now)
        elif request.method in QUESTIONS:
            yield self._answered(exchange, request)
        else:
            yield from self._changed(exchange, request, now)

    def _submitted(self, exchange: int, request: Request, now: int) -> Iterator[Action]:
        submitted = self._intake.take_in(request)
        yield Respond(exchange, submitted.answer)
        if submitted.live is not None:
            take = submitted.take
            yield from self._noted(take, take.submit(submitted.live, now, fresh=submitted.fresh))

    def _answered(self, exchange: int, request: Request) -> Action:
        """A question: as recorded where the recording fits, else as it follows from its events."""
        known = self._takes.known(request)
        takes = [known] if known is not None else self._takes.active
        asking = asking_of(request, takes[-1].cast.recorded)
        page = takes[0].page(asking) if len(takes) == 1 else None
        if page is None and self._is_unknown(asking):
            return Respond(exchange, self._refused(asking))
        if page is None:
            return Respond(exchange, self._synthesis.answer(asking, request, takes))
        return self._printed(exchange, page, request, takes[0])

    def _changed(self, exchange: int, request: Request, now: int) -> Iterator[Action]:
        """A change: answered as recorded, and done if the recording did it, or had no such one."""
        plain = asking_of(request, str)
        known = self._takes.known(request)
        active = self._takes.active
        awaiting = known or self._takes.awaiting(plain)
        take = awaiting or self._takes.running or active[-1]
        asking = asking_of(request, take.cast.recorded)
        page = take.page(asking)
        if page is None and self._is_unknown(asking):
            yield Respond(exchange, self._refused(asking))
            return
        if page is not None and page.hung_up:
            yield HangUp(exchange)
            return
        aim = aim_of(asking)
        stopped = aim is not None and bool(take.victims(aim))
        yield Respond(
            exchange, self._answer_to_change(asking, request, page, take, stopped=stopped)
        )
        # Of several play-throughs none waits for it: somebody's recorded change that did nothing.
        if awaiting is not None or len(active) == 1 or page is None:
            yield from self._noted(take, take.change(asking, page, now))

    def _answer_to_change(
        self, asking: Asking, request: Request, page: Page | None, take: Take, *, stopped: bool
    ) -> Response:
        if page is None or page.exchange.response is None:
            return self._synthesis.answer(asking, request, [take], stopped=stopped)
        return self._reprinted(page, request, take)

    def _printed(self, number: int, page: Page, request: Request, take: Take) -> Action:
        """What came of a recorded question."""
        return (
            HangUp(number)
            if page.hung_up
            else Respond(number, self._reprinted(page, request, take))
        )

    def _reprinted(self, page: Page, request: Request, take: Take) -> Response:
        return reprint(page.exchange, request, self._script.vocabulary, take.cast.renamed)

    def _is_unknown(self, asking: Asking) -> bool:
        return self._strict is not None and not self._book.at(asking)

    def _refused(self, asking: Asking) -> Response:
        assert self._strict is not None, "only a strict replay refuses"
        return self._strict.refuse_asking(asking)


def _plain(target: str) -> str:
    path = target.partition("?")[0]
    return path.removeprefix("/api") if path.startswith("/api/") else path
