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
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, get_args

import msgspec

from comfyrec.http.routes import is_question
from comfyrec.timeline import Timeline
from comfyrec.versions import era_of
from fake_server.options import ServerOptions
from fake_server.replay.elsewhere import Elsewhere
from fake_server.replay.live.cancel_target import cancel_target_of
from fake_server.replay.live.live_state import playthrough_of_token
from fake_server.replay.live.messages import RecordedMessages
from fake_server.replay.live.playthrough import Playthrough
from fake_server.replay.live.playthrough_index import Playthroughs
from fake_server.replay.live.recorded_facts import RecordedFacts
from fake_server.replay.live.streams import Streams
from fake_server.replay.live.uploads import UPLOADS, upload_of
from fake_server.replay.live_values import with_live_values
from fake_server.replay.matching.graph_bodies import GraphBodies
from fake_server.replay.matching.prompt_matcher import PromptMatcher, Unmatched
from fake_server.replay.matching.shape import VOLATILE, Tier
from fake_server.replay.matching.submissions import Submissions
from fake_server.replay.matching.validity import validity_of
from fake_server.replay.recorded.known_nodes import recorded_options, with_recorded_graphs
from fake_server.replay.recorded.minting import another_number, minted_like
from fake_server.replay.recorded.node_durations import seconds_by_class
from fake_server.replay.recorded.recorded_answers import RecordedAnswers, RecordedExchange
from fake_server.replay.recorded.request_key import (
    RequestKey,
    recorded_request_key,
    request_key_of,
)
from fake_server.replay.recorded.steps import Script
from fake_server.replay.recorded.timed_body import timed_body
from fake_server.replay.rewrite_response import rewritten_response
from fake_server.replay.simulation import Simulation
from fake_server.replay.socketless import Socketless
from fake_server.replay.strict import StrictMode
from fake_server.replay.synthesize import Synthesizer
from fake_server.seeded import SeededRandom
from fake_server.source import (
    Action,
    Disconnected,
    HangUp,
    Happened,
    MessageReceived,
    RealTimePassed,
    Request,
    RequestAborted,
    RequestReceived,
    Respond,
    Response,
    Source,
    UpgradeRequested,
    Wake,
    Woke,
)

__all__ = ["Match", "Player"]

Match = Literal["graph", "structure", "shape", "renumbered", "overlap", "any"]
_LEAST: Final = {name: Tier[name.upper()] for name in get_args(Match)}
# A simulated server that was recorded may have had the same seed: its ids are not drawn again.
_REPLAY: Final = 0x5EED_0F_A_4E91A7
_SIMULATION: Final = 0x5EED_0F_A_514D1A
UNMATCHED: Final = "X-Comfyrec-Unmatched"
"""On the answer to POST /prompt: no recorded prompt is like it, what is closest, what differs."""


def _nobody(sentence: str) -> None:
    pass


class Player(Source):
    """Plays a recording; a ``Source`` (see ``fake_server.source``).

    Args:
        timeline: the recording.
        strict: a request that was not recorded is an error, not answered as well as possible.
        match: the loosest way in which a live prompt may stand for a recorded one: ``graph`` (the
            same nodes and inputs), ``structure`` (but for volatile inputs), ``shape`` (the same
            node ids, classes, input names and links), ``renumbered`` (the same under other node
            ids), ``overlap`` (classes or links in common) or ``any``. The best that there is is
            taken. None: ``structure`` when strict, else ``overlap``.
        unmatched: what becomes of a prompt that no recorded one fits: ``simulate`` (it is run as a
            server with the recorded classes would), ``next`` (the next recorded one is played) or
            ``refuse``. A strict replay refuses.
        volatile: names of the inputs that do not count for the structure.
        idle_time_limit_us: no pause is longer.
        seed: of the ids that the server mints.
        mends: what a person can do about a prompt, and about another request, that was not
            recorded; the end of a sentence each, or nothing.
        notify: gets one sentence for each prompt that no recorded one is like, or only parts of
            one are, with the closest one and what differs; for each prompt that is stopped as it
            was recorded though nobody stopped it; and for each request that a strict replay
            refuses.
        takes_stored: large uploads come in files (``Request.stored``).
        nodes: what simulated prompts may use; None: ``recorded_options`` of the recording.
    """

    def __init__(
        self,
        timeline: Timeline,
        *,
        strict: bool = False,
        match: Match | None = None,
        unmatched: Unmatched = "simulate",
        volatile: Iterable[str] = VOLATILE,
        idle_time_limit_us: int | None = None,
        seed: int = 0,
        mends: tuple[str, str] = ("", ""),
        notify: Callable[[str], None] = _nobody,
        takes_stored: bool = False,
        nodes: ServerOptions | None = None,
    ) -> None:
        self._chance = SeededRandom(seed ^ _REPLAY)
        era = era_of(timeline.comfyui_version)
        self._script = script = Script.of(timeline, idle_time_limit_us=idle_time_limit_us)
        self._answers = RecordedAnswers(script)
        self._strict = StrictMode(self._answers, mends[1], notify) if strict else None
        recorded_facts = RecordedFacts(timeline, script.recorded_ids, era)
        self._recorded_facts = recorded_facts
        self._synthesizer = Synthesizer(recorded_facts, era)
        self._simulation = Simulation(
            lambda: msgspec.structs.replace(
                with_recorded_graphs(nodes or recorded_options(timeline), timeline),
                seed=seed ^ _SIMULATION,
            ),
            lambda: seconds_by_class(timeline),
        )
        flags = recorded_facts.flags() if era.has("progress_state") else None
        self._messages = RecordedMessages(timeline, script.recorded_ids, flags=flags)
        least = _LEAST[match or ("structure" if strict else "overlap")]
        self._graphs = GraphBodies(
            volatile,
            least=Tier.ANY if unmatched == "next" and not strict else least,
            hidden=self._answers.hidden,
        )
        self._numbers = dict.fromkeys(script.other_ids.all_numbers, 0)
        self._playthroughs = Playthroughs(self._begin)
        self._socketless = Socketless(
            script, self._answers, self._playthroughs, self._graphs, self._strict, notify
        )
        self._streams = Streams(self._answers, idle_time_limit_us)
        self._elsewhere = Elsewhere(timeline, script.other_ids.authorities, notify)
        submissions = Submissions(
            timeline,
            frozenset(volatile),
            lambda refused: validity_of(timeline, recorded_facts.node_classes, refused, nodes),
        )
        self._matcher = PromptMatcher(
            timeline,
            script.recorded_ids,
            submissions,
            era=era,
            playthroughs=self._playthroughs,
            chance=self._chance,
            least=least,
            strict=self._strict,
            unmatched=unmatched,
            mend=mends[0],
        )
        self._notify = notify
        self._takes_stored = takes_stored
        self._accepted_manners = {recorded_request_key(s.upgrade).manner for s in timeline.sockets}
        self._of_socket: dict[int, Playthrough] = {}
        self._wakes: list[tuple[int, int]] = []
        self._asked_for: set[tuple[int, int]] = set()

    def _begin(self, number: int) -> Playthrough:
        return Playthrough(
            number, self._script, self._messages, self._answers, self._mint, self._graphs
        )

    def _mint(self, recorded: str) -> str:
        if recorded in self._numbers:
            self._numbers[recorded] += 1
            return another_number(recorded, self._numbers[recorded] - 1)
        return minted_like(recorded, self._chance)

    @property
    def complaints(self) -> list[str]:
        """What was not recorded, one sentence each; empty unless strict."""
        return self._strict.complaints if self._strict is not None else []

    @property
    def playthroughs(self) -> list[Playthrough]:
        """Those that are remembered, in the order in which they began."""
        return self._playthroughs.all

    @property
    def timeline(self) -> Timeline:
        """The recording."""
        return self._script.timeline

    @property
    def takes_stored(self) -> bool:
        """Whether large uploads may come in files."""
        return self._takes_stored

    def facts(self) -> Mapping[str, Any]:
        """What ``GET /__fake__/`` shows."""
        timeline = self._script.timeline
        return {
            "comfyui_version": timeline.comfyui_version,
            "prompts": len(timeline.prompts),
            "sockets": len(timeline.sockets),
            "play_throughs": self._playthroughs.begun,
            "strict": self._strict is not None,
            "complaints": self.complaints[-20:],
        }

    # --- in and out ----------------------------------------------------------------------------

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        """Take what happened and say what shall happen, in order."""
        yield from self._simulation.heard(happened, now)
        match happened:
            case Woke():
                yield from self._woke(now)
                yield from self._streams.advance(now)
            case RequestReceived():
                yield from self._asked(happened.exchange, happened.request, now)
            case RequestAborted():
                self._streams.aborted(happened.exchange)
            case UpgradeRequested():
                yield from self._upgrade_requested(happened.socket, happened.request, now)
            case MessageReceived():
                if playthrough := self._of_socket.get(happened.socket):
                    said = playthrough.said(happened.socket, happened.message, now)
                    yield from self._noted(playthrough, said)
            case Disconnected():
                if playthrough := self._of_socket.pop(happened.socket, None):
                    yield from self._noted(playthrough, playthrough.left(happened.socket, now))
            case RealTimePassed() if happened.token < 0:
                yield from self._streams.wait_ended(happened.token, now)
            case RealTimePassed():
                if playthrough := self._playthroughs.numbered(playthrough_of_token(happened.token)):
                    yield from self._noted(playthrough, playthrough.wait_ended(happened.token, now))
                    for sentence in playthrough.take_remarks():
                        self._notify(sentence)

    def _noted(self, playthrough: Playthrough, actions: Iterable[Action]) -> Iterator[Action]:
        """The actions of a play-through; when it wants to be woken is remembered, once."""
        for action in actions:
            if isinstance(action, Wake):
                wake = action.at, playthrough.number
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
            if playthrough := self._playthroughs.numbered(number):
                yield from self._noted(playthrough, playthrough.advance(now))

    # --- sockets -------------------------------------------------------------------------------

    def _upgrade_requested(self, number: int, request: Request, now: int) -> Iterator[Action]:
        recorded = self._refusal(request)
        if recorded is not None:
            self._simulation.refused(number)
            if recorded.hung_up:
                yield HangUp(number)
            else:
                answer = self._rewritten(recorded, request, self._playthroughs.latest)
                yield Respond(number, answer)
            return
        asked_for = request.client_id
        client = asked_for or self._chance.hex32()
        playthrough = self._playthroughs.of_client(client)
        if playthrough is None or not playthrough.expects(client):
            playthrough = self._joined(client, anonymous=not asked_for)
        self._of_socket[number] = playthrough
        playthrough.live_state.spoke_to(request)
        self._playthroughs.remember(playthrough, request, client=client)
        yield from self._noted(playthrough, playthrough.connect(number, client, request, now))

    def _joined(self, client: str, *, anonymous: bool) -> Playthrough:
        """The play-through in which the next recorded client is still to be played."""
        playthrough = self._playthroughs.latest
        role = None if playthrough.over else playthrough.free_role(anonymous=anonymous)
        if role is None and (playthrough.over or playthrough.has_begun):
            playthrough = self._playthroughs.new()
            role = playthrough.free_role(anonymous=anonymous)
        if role is not None:
            playthrough.live_state.play(client, role)
        return playthrough

    def _refusal(self, request: Request) -> RecordedExchange | None:
        """An upgrade in the manner of one that was refused is refused, when its turn has come."""
        request_key = request_key_of(request, str)
        like = (
            recorded for recorded in self._answers.at(request_key) if recorded.is_like(request_key)
        )
        exchanges = [recorded for recorded in like if recorded.has_an_end]
        accepted_too = request_key.manner in self._accepted_manners
        return self._playthroughs.latest.refusal(exchanges, accepted_too=accepted_too)

    # --- requests ------------------------------------------------------------------------------

    def _asked(self, exchange: int, request: Request, now: int) -> Iterator[Action]:
        if (stand_in := self._elsewhere.answer(request)) is not None:
            yield Respond(exchange, stand_in)
        elif self._simulation.owns(request):
            yield from self._simulation.answer(exchange, request, now)
        elif request.asks("POST", "/prompt"):
            yield from self._submitted(exchange, request, now)
        elif is_question(request.method, request.path):
            yield from self._answered(exchange, request, now)
        elif self._simulation.is_running and request.path == "/interrupt":
            yield from self._simulation.answer(exchange, request, now)
        else:
            yield from self._changed(exchange, request, now)

    def _submitted(self, exchange: int, request: Request, now: int) -> Iterator[Action]:
        submitted = self._matcher.submit(request)
        if submitted.notice and not self._is_strict:  # which says itself what it refuses
            self._notify(submitted.notice)
        if submitted.remark:
            self._notify(submitted.remark)
        if submitted.answer is None:
            for action in self._simulation.submit(exchange, request, now):
                yield _with_notice(action, submitted.notice)
            return
        yield _with_notice(Respond(exchange, submitted.answer), submitted.notice)
        if submitted.live is not None:
            playthrough = submitted.playthrough
            yield from self._noted(
                playthrough, playthrough.submit(submitted.live, now, fresh=submitted.fresh)
            )

    def _answered(self, exchange: int, request: Request, now: int) -> Iterator[Action]:
        """A question: as recorded where the recording fits, else as it follows from its events."""
        known = self._playthroughs.known(request) or self._socketless.begins(request)
        playthroughs = [known] if known is not None else self._playthroughs.active
        request_key = playthroughs[-1].key_of(request, strict=self._is_strict)
        recorded = None
        if len(playthroughs) == 1:
            recorded = playthroughs[0].recorded(request_key, now, strict=self._is_strict)
        if recorded is None and self._is_unknown(request_key):
            yield Respond(exchange, self._refused(request_key))
            return
        if recorded is not None and recorded.hung_up:
            yield HangUp(exchange)
            return
        if recorded is None:
            answer = self._synthesizer.answer(request_key, request, playthroughs)
        else:
            answer = self._rewritten(recorded, request, playthroughs[0])
        if request_key.route in _ABOUT_QUEUE:
            answer = self._simulation.joined(request, answer, now)
        yield from self._respond(exchange, recorded, answer, request, playthroughs[0], now)
        due = playthroughs[0].next_answer_due if recorded is not None else None
        if due is not None:
            # At any speed time comes to the next answer before it is given.
            yield Wake(due)

    def _respond(
        self,
        exchange: int,
        recorded: RecordedExchange | None,
        answer: Response,
        request: Request,
        playthrough: Playthrough,
        now: int,
    ) -> Iterator[Action]:
        """An answer at once, or in the time that the recorded one took."""
        timed = timed_body(recorded.exchange) if recorded is not None else None
        if recorded is None or timed is None or request.method == "HEAD":
            yield Respond(exchange, answer)
            return
        yield from self._streams.begin(
            exchange,
            recorded,
            answer,
            timed,
            request,
            owner=playthrough,
            was_made=playthrough.was_made,
            now=now,
        )

    def _changed(self, exchange: int, request: Request, now: int) -> Iterator[Action]:
        """A change: answered as recorded, and done if the recording did it, or had no such one."""
        plain = request_key_of(request, str)
        known = self._playthroughs.known(request)
        active = self._playthroughs.active
        awaiting = known or self._playthroughs.awaiting(plain)
        playthrough = awaiting or self._playthroughs.running or active[-1]
        request_key = playthrough.key_of(request, strict=self._is_strict)
        recorded = playthrough.recorded(request_key, now, strict=self._is_strict)
        shape = self._graphs.shape(request_key) if recorded is None else None
        if shape is not None and self._answers.at(request_key):
            yield Respond(exchange, self._socketless.unlike_any(request_key, shape))
            return
        if recorded is None and self._is_unknown(request_key):
            yield Respond(exchange, self._refused(request_key))
            return
        if recorded is not None and recorded.hung_up:
            yield HangUp(exchange)
            return
        if recorded is not None:
            playthrough, recorded = self._socketless.makes(
                recorded, request_key, request, playthrough, now
            )
        cancel = cancel_target_of(request_key)
        stopped = cancel is not None and bool(playthrough.cancelled(cancel))
        answer = self._answer_to_change(
            request_key, request, recorded, playthrough, stopped=stopped
        )
        yield from self._respond(exchange, recorded, answer, request, playthrough, now)
        if recorded is not None:
            yield from self._streams.made(recorded.exchange.number, playthrough, now)
        if request_key.route in UPLOADS:
            self._uploaded(request, answer, playthrough, now)
        # Of several play-throughs none waits for it: somebody's recorded change that did nothing.
        if awaiting is not None or len(active) == 1 or recorded is None:
            yield from self._noted(playthrough, playthrough.change(request_key, recorded, now))

    def _uploaded(
        self, request: Request, answer: Response, playthrough: Playthrough, now: int
    ) -> None:
        stored = upload_of(request, answer.body) if answer.status in (200, 201) else None
        if stored is not None:
            playthrough.live_state.uploads.keep(*stored)
            self._simulation.uploaded(request, now)

    def _answer_to_change(
        self,
        request_key: RequestKey,
        request: Request,
        recorded: RecordedExchange | None,
        playthrough: Playthrough,
        *,
        stopped: bool,
    ) -> Response:
        if recorded is None or recorded.exchange.response is None:
            return self._synthesizer.answer(request_key, request, [playthrough], stopped=stopped)
        if request_key.route == "upload":
            playthrough.live_state.learn_upload(recorded.exchange.asked, request)
        return self._rewritten(recorded, request, playthrough)

    def _rewritten(
        self, recorded: RecordedExchange, request: Request, playthrough: Playthrough
    ) -> Response:
        playthrough.live_state.spoke_to(request)
        response = rewritten_response(
            recorded.exchange,
            request,
            self._script.recorded_ids,
            playthrough.live_state.renamed,
            self._script.other_ids.numbers.get(recorded.exchange.number, ()),
        )
        response = self._elsewhere.redirected(recorded.exchange, response, request)
        return with_live_values(
            response, recorded.request_key, request, playthrough.live_state, self._recorded_facts
        )

    @property
    def _is_strict(self) -> bool:
        return self._strict is not None

    def _is_unknown(self, request_key: RequestKey) -> bool:
        return self._strict is not None and not self._answers.at(request_key)

    def _refused(self, request_key: RequestKey) -> Response:
        assert self._strict is not None, "only a strict replay refuses"
        return self._strict.refuse_request(request_key)


# What the answer to these shows is the queue or the history of the whole server.
_ABOUT_QUEUE: Final = frozenset(("queue", "prompt", "history", "jobs"))


def _with_notice(action: Action, notice: str) -> Action:
    """The answer says it as well, so that it stands in the journal."""
    if not notice or not isinstance(action, Respond):
        return action
    header = UNMATCHED, notice.encode("ascii", "backslashreplace").decode()
    answer = msgspec.structs.replace(action.answer, headers=(*action.answer.headers, header))
    return Respond(action.exchange, answer)
