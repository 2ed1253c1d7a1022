"""Clients without a socket: whose play-through they are in, and the jobs and assets that they make.

No client id and no socket tells who they are. A request that names an id of a play-through belongs
to it; whoever does again what the recording does once, or begins as it begins when all of it was
done, is the next client.
"""

from __future__ import annotations

from collections.abc import Callable

from fake_server.replay.live.playthrough import Playthrough
from fake_server.replay.live.playthrough_index import Playthroughs
from fake_server.replay.matching.graph_bodies import GraphBodies
from fake_server.replay.matching.shape import Shape
from fake_server.replay.recorded.recorded_answers import RecordedAnswers, RecordedExchange
from fake_server.replay.recorded.request_key import RequestKey, request_key_of
from fake_server.replay.recorded.steps import Script
from fake_server.replay.strict import StrictMode
from fake_server.source import Request, Response

__all__ = ["Socketless"]


class Socketless:
    """What is known of such clients.

    Args:
        script: what is played.
        answers: the recorded ones.
        playthroughs: the play-throughs.
        graphs: compares changes that hold a graph.
        strict: where complaints go; None: what fits well enough is taken.
        notify: gets a sentence for each job that no recorded one is like.
    """

    def __init__(
        self,
        script: Script,
        answers: RecordedAnswers,
        playthroughs: Playthroughs,
        graphs: GraphBodies,
        strict: StrictMode | None,
        notify: Callable[[str], None],
    ) -> None:
        self._script, self._answers, self._graphs = script, answers, graphs
        self._playthroughs, self._strict, self._notify = playthroughs, strict, notify
        changes = [one for some in answers.changes.values() for one in some]
        self._made = [
            one.exchange.number for one in changes if one.exchange.number in script.other_ids.minted
        ]
        self._alone = bool(self._made) and not script.timeline.sockets

    def begins(self, request: Request) -> Playthrough | None:
        """The play-through of a client that begins as the recording does, when the latest one has
        come to its end: a new one. None for all other requests."""
        latest = self._playthroughs.latest
        if not self._alone or not self._answers.exchanges or latest.active:
            return None
        if not all(map(latest.was_made, self._made)):
            return None
        asked = request_key_of(request, str)
        first = self._answers.exchanges[0].request_key
        if first.place != asked.place and first not in self._answers.like(asked):
            return None
        return self._playthroughs.new()

    def unlike_any(self, request_key: RequestKey, shape: Shape) -> Response:
        """The answer to a job that no recorded one is like."""
        if self._strict is not None:
            return self._strict.refuse_request(request_key)
        notice, answer = self._graphs.refuse(shape, self._answers.at(request_key))
        self._notify(notice)
        return answer

    def makes(
        self,
        recorded: RecordedExchange,
        request_key: RequestKey,
        request: Request,
        playthrough: Playthrough,
        now: int,
    ) -> tuple[Playthrough, RecordedExchange]:
        """A client does what makes a job or an asset: the ids of it, and whose play-through it is.

        Args:
            recorded: what it does again.
            request_key: what it asks for.
            request: of the client.
            playthrough: the one that it seems to belong to.
            now: virtual time.
        """
        state = playthrough.live_state
        number = recorded.exchange.number
        makes = number in self._script.other_ids.minted
        again = makes and playthrough.is_repeated(recorded) and not state.knows_key(request)
        if again and not playthrough.active:
            following = self._playthroughs.new()
            strict = self._strict is not None
            own_key = following.key_of(request, strict=strict)
            own = following.recorded(own_key, now, strict=strict)
            if own is not None:
                playthrough, recorded, again = following, own, False
                request_key = own_key
        state = playthrough.live_state
        state.keep_keys(request)
        if self._graphs.shape(request_key) is not None:
            state.learn(self._graphs.pairs(recorded, request_key))
            state.learn_texts(recorded.request_key.json, request_key.json)
        if request_key.body_form:
            state.learn_upload(recorded.exchange.asked, request)
        for live_id in state.take_ids(recorded.exchange, request, anew=again):
            self._playthroughs.remember(playthrough, request, prompt=live_id)
        return playthrough, recorded
