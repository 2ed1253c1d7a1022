"""POST /prompt: which recorded prompt a live one stands for, and what is answered.

protocol.md, section 6.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from comfyrec.http.request import loads_or_none
from comfyrec.timeline import RecordedPrompt, Timeline
from comfyrec.versions import Era
from comfyrec.wording import shortened, shortened_list
from fake_server.replay.live.live_state import LivePrompt
from fake_server.replay.live.playthrough import Playthrough
from fake_server.replay.live.playthrough_index import Playthroughs
from fake_server.replay.live.prompt_rewriter import PromptRewriter
from fake_server.replay.matching.shape import UUID, Shape, Tier, differences
from fake_server.replay.matching.submissions import (
    DIFFERENCES_SHOWN,
    PromptMatch,
    Submission,
    Submissions,
)
from fake_server.replay.matching.validity import UNKNOWN_CLASS, Flaw
from fake_server.replay.recorded.id_mapping import RecordedIds
from fake_server.replay.recorded.request_key import request_key_of
from fake_server.replay.rewrite_response import SYNTHESIZED, json_answer, rewritten_response
from fake_server.replay.strict import StrictMode
from fake_server.seeded import SeededRandom
from fake_server.source import Request, Response

__all__ = ["MATCHED", "PromptMatcher", "SubmissionResult", "Unmatched"]

Unmatched = Literal["simulate", "next", "refuse"]
"""What becomes of a prompt that no recorded one is like."""

MATCHED: Final = "X-Comfyrec-Matched"
"""Says on the answer of POST /prompt how a prompt was matched that is not the recorded one."""
_WHYS_MAX: Final = 5
_WHY_LETTERS_MAX: Final = 100
"""Of a sentence that says why a prompt is refused."""


_OTHERWISE: Final[dict[Unmatched, str]] = {
    "simulate": "it is simulated",
    "next": "the next recorded one is played",
    "refuse": "it is refused",
}
"""What becomes of a prompt that is too far from all of them."""


class SubmissionResult(msgspec.Struct, frozen=True):
    """What came of a submission."""

    playthrough: Playthrough
    answer: Response | None = None
    """None: no recorded prompt stands for it, and it is to be simulated."""
    live: LivePrompt | None = None
    """None: it was refused, or is to be simulated."""
    fresh: bool = False
    notice: str = ""
    """What a person should know of it: that no recorded prompt is like it."""
    remark: str = ""
    """The same where one is played all the same, though not all of it is there."""


class PromptMatcher:
    """Takes submissions for one player.

    Args:
        timeline: the recording.
        recorded_ids: its ids.
        submissions: what was submitted while recording.
        era: of the recorded server.
        playthroughs: the play-throughs.
        chance: makes prompt ids.
        least: the loosest fit that counts.
        strict: where complaints go; None: what does not fit is taken as ``unmatched`` says.
        unmatched: what becomes of a prompt that no recorded one is like.
        mend: ends the sentence about a prompt that was not recorded: how to record it.
    """

    def __init__(
        self,
        timeline: Timeline,
        recorded_ids: RecordedIds,
        submissions: Submissions,
        *,
        era: Era,
        playthroughs: Playthroughs,
        chance: SeededRandom,
        least: Tier,
        strict: StrictMode | None,
        unmatched: Unmatched,
        mend: str = "",
    ) -> None:
        self._timeline, self._recorded_ids = timeline, recorded_ids
        self._submissions = submissions
        self._era, self._playthroughs = era, playthroughs
        self._chance, self._least, self._strict = chance, least, strict
        self._unmatched, self._mend = unmatched, mend
        numbers = (p.queue_number for p in timeline.prompts if p.queue_number is not None)
        self._number = int(max(numbers, default=-1)) + 1

    def submit(self, request: Request) -> SubmissionResult:
        """One POST /prompt."""
        said = loads_or_none(request.body)
        shape = self._submissions.shape(said)
        body: dict[str, Any] = said if isinstance(said, dict) else {}
        client = _client_of(body)
        flaws = self._flaws(shape)
        playthrough = self._playthrough_of(client, request, shape, flaws)
        match = self._match(playthrough, client, shape, flaws, self._least)
        if match is not None:
            return self._matched(playthrough, match, request, shape, body, client)
        if flaws and self._unmatched != "refuse":
            what = f"refused as the recorded server would refuse it ({self._why(shape, flaws)})"
            answer = self._invalid(shape)
            notice = self._notice(shape, what) + self._way_out(shape)
            return SubmissionResult(playthrough, answer, notice=notice)
        return self._unlike_any(playthrough, request, shape, body, client)

    def _flaws(self, shape: Shape) -> list[Flaw] | None:
        if self._strict is not None or not shape.graph:
            return None
        if self._submissions.has_graph(shape):
            return []
        return self._submissions.validity.flaws(shape.graph, self._is_uploaded, shape.targets)

    def _why(self, shape: Shape, flaws: list[Flaw]) -> str:
        """What is wrong with it, in the server's words, with classes and inputs."""
        unknown = self._submissions.validity.unknown_in(shape.graph)
        said = [
            f"{flaw.kind}: {flaw.class_type}.{flaw.name}" if flaw.name else flaw.kind
            for flaw in flaws
            if flaw.kind != UNKNOWN_CLASS
        ]
        if unknown:
            said = [f"{UNKNOWN_CLASS}: {name!a}" for name in unknown] + said
        said = [shortened(one, _WHY_LETTERS_MAX) for one in said]
        return ", ".join(shortened_list(said, _WHYS_MAX))

    def _way_out(self, shape: Shape) -> str:
        """How to go on with classes that nobody knows; nothing where all are known."""
        unknown = self._submissions.validity.unknown_in(shape.graph)
        if not unknown:
            return ""
        names = [shortened(f"{name!a}", _WHY_LETTERS_MAX) for name in unknown]
        return (
            f"; {self._submissions.validity.known_to} knows "
            f"{', '.join(shortened_list(names, _WHYS_MAX))}: start with --learn WORKFLOW.json, "
            "--object-info URL or --unknown-nodes accept"
        )

    def _is_uploaded(self, text: str) -> bool:
        return any(one.live_state.has_upload(text) for one in self._playthroughs.all)

    def _matched(
        self,
        playthrough: Playthrough,
        match: PromptMatch,
        request: Request,
        shape: Shape,
        body: dict[str, Any],
        client: str | None,
    ) -> SubmissionResult:
        prompt = match.submission.prompt
        if prompt is None:
            playthrough.refuse(match.submission.exchange)
            playthrough.live_state.learn(match.alignment.pairs)
            return SubmissionResult(playthrough, self._refusal(playthrough, match, request))
        live_id = self._prompt_id(body)
        if live_id is None:
            return SubmissionResult(playthrough, _bad_prompt_id())
        playthrough.live_state.learn(match.alignment.pairs)
        live = self._live(match, prompt, client, body, live_id)
        variant = playthrough.live_state.variant(prompt.number, shape.graph_key)
        if variant or match.tier < Tier.GRAPH:
            live.rewriter = _rewriter(playthrough, match, variant)
        self._playthroughs.remember(playthrough, request, client=client, prompt=live_id)
        answer = self._accepted(playthrough, match, request, live)
        remark = self._remark(match, shape) if match.tier is Tier.OVERLAP else ""
        return SubmissionResult(playthrough, answer, live, match.fresh, remark=remark)

    def _playthrough_of(
        self, client: str | None, request: Request, shape: Shape, flaws: list[Flaw] | None
    ) -> Playthrough:
        """The play-through that a submission belongs to."""
        known = self._playthroughs.of_client(client)
        if known is not None and not known.over:
            return known
        latest = self._playthroughs.latest
        if latest.over:
            return self._playthroughs.new()
        match = self._match(latest, client, shape, flaws, self._least)
        if match is None or match.fresh:
            return latest
        listening = self._playthroughs.known(request) is latest or latest.live_state.sockets
        return latest if client is None and listening else self._playthroughs.new()

    def _match(
        self,
        playthrough: Playthrough,
        client: str | None,
        shape: Shape,
        flaws: list[Flaw] | None,
        least: Tier,
    ) -> PromptMatch | None:
        played = playthrough.live_state.roles_of(client)
        own_names = {role.name for role in played}

        def fresh(submission: Submission) -> bool:
            if submission.prompt is None:
                return not playthrough.was_refused(submission.exchange)
            return playthrough.may_play(submission.prompt, client)

        def own(submission: Submission) -> bool:
            prompt = submission.prompt
            if prompt is None:
                return False
            # Who plays nobody yet is somebody if he says so, and nobody else.
            name = prompt.client_id or ""
            return name in own_names if played else bool(name) == (client is not None)

        # Only a graph can stand for any other; what is not a prompt at all was refused, or is now.
        return self._submissions.best(
            shape,
            least=least if shape.graph else Tier.GRAPH,
            fresh=fresh,
            own=own,
            flaws=flaws,
            bindings=playthrough.live_state.bindings,
        )

    def _prompt_id(self, body: dict[str, Any]) -> str | None:
        """The client's own id where its server took one, else a new one; None: it is refused."""
        chosen = body.get("prompt_id")
        if chosen is None or not self._era.has("client_prompt_id"):
            return self._chance.uuid()
        wellformed = isinstance(chosen, str) and UUID.fullmatch(chosen)
        return None if self._era.has("uuid_prompt_ids") and not wellformed else str(chosen)

    def _live(
        self,
        match: PromptMatch,
        prompt: RecordedPrompt,
        client: str | None,
        body: dict[str, Any],
        live_id: str,
    ) -> LivePrompt:
        number = prompt.queue_number
        if not match.fresh:
            number, self._number = self._number, self._number + 1
        return LivePrompt(
            prompt=prompt,
            live_id=live_id,
            token=prompt.number,
            client=client,
            number=number,
            body=body,
        )

    # --- answers -------------------------------------------------------------------------------

    def _refusal(self, playthrough: Playthrough, match: PromptMatch, request: Request) -> Response:
        exchange = self._timeline.exchanges[match.submission.exchange]
        answer = rewritten_response(
            exchange, request, self._recorded_ids, playthrough.live_state.renamed
        )
        if match.tier >= Tier.GRAPH:
            return answer
        marks = (*answer.headers, *_marks(match))
        return Response(answer.status, marks, _rewriter(playthrough, match, 0).body(answer.body))

    def _invalid(self, shape: Shape) -> Response:
        """What the recorded server would say of a prompt that it would refuse."""
        verdict = self._submissions.validity.verdict(shape.graph, shape.targets)
        if verdict is None or verdict.error is None:
            return self._not_recorded(shape)
        none: Any = {} if self._era.has("error_objects") else []
        refused = {"error": verdict.error, "node_errors": verdict.node_errors or none}
        return json_answer(refused, 400, "refused")

    def _accepted(
        self, playthrough: Playthrough, match: PromptMatch, request: Request, live: LivePrompt
    ) -> Response:
        exchange = self._timeline.exchanges[match.submission.exchange]
        if exchange.response is None:
            # The recording ended before the answer, and not before its frames.
            made = {"prompt_id": live.live_id, "number": self._number, "node_errors": {}}
            return json_answer(made, 200, "prompt")
        names = {live.prompt.prompt_id: live.live_id}
        answer = rewritten_response(
            exchange,
            request,
            self._recorded_ids,
            lambda i: names.get(i, playthrough.live_state.renamed(i)),
        )
        body = answer.body
        if not match.fresh:
            body = json.dumps({**loads_or_none(body), "number": live.number}).encode()
        return Response(answer.status, (*answer.headers, *_marks(match)), body)

    def _unlike_any(
        self,
        playthrough: Playthrough,
        request: Request,
        shape: Shape,
        body: dict[str, Any],
        client: str | None,
    ) -> SubmissionResult:
        """No recorded prompt is like it."""
        if not shape.graph:
            return SubmissionResult(playthrough, self._no_graph(playthrough, request, shape))
        if self._strict is not None or self._unmatched == "refuse":
            return SubmissionResult(
                playthrough, self._not_recorded(shape), notice=self._notice(shape, "refused")
            )
        if self._unmatched == "next":
            match = self._match(playthrough, client, shape, [], Tier.ANY)
            if match is not None:
                result = self._matched(playthrough, match, request, shape, body, client)
                notice = self._notice(shape, "the next recorded one is played")
                return msgspec.structs.replace(result, notice=notice)
            answer, notice = self._not_recorded(shape), self._notice(shape, "refused")
            return SubmissionResult(playthrough, answer, notice=notice)
        return SubmissionResult(playthrough, notice=self._notice(shape, "simulated"))

    def _notice(self, shape: Shape, what: str) -> str:
        exchange, found = self._submissions.closest(shape)
        closest = f"; closest: exchange {exchange}" if exchange is not None else ""
        detail = f" ({'; '.join(found)})" if found else ""
        return f"a prompt was not recorded and is {what}{closest}{detail}"

    def _remark(self, match: PromptMatch, shape: Shape) -> str:
        """What is played of a prompt of which only parts were recorded, and how to get another."""
        recorded = match.submission
        found = list(differences(shape.graph, recorded.shape.graph))
        shown = "; ".join(shortened_list(found, DIFFERENCES_SHOWN))
        other = _OTHERWISE[self._unmatched]
        return (
            f"only parts of a prompt were recorded, and exchange {recorded.exchange} is played, "
            f"with which it has most in common ({shown}); with --match renumbered {other}"
        )

    def _no_graph(self, playthrough: Playthrough, request: Request, shape: Shape) -> Response:
        key = request_key_of(request, playthrough.live_state.recorded)
        # No question depends on when it came.
        recorded = playthrough.recorded(key, 0, strict=True)
        if recorded is not None and recorded.exchange.response is not None:
            return rewritten_response(
                recorded.exchange, request, self._recorded_ids, playthrough.live_state.renamed
            )
        if self._strict is not None:
            return self._not_recorded(shape)
        return _no_prompt(objects=self._era.has("error_objects"))

    def _not_recorded(self, shape: Shape) -> Response:
        exchange, found = self._submissions.closest(shape)
        if self._strict is not None:
            closest = [] if exchange is None else [f"POST /prompt (exchange {exchange})"]
            return self._strict.refuse("this prompt was not recorded", closest, found, self._mend)
        said = f"The recording has no prompt like this one{self._mend}"
        return _refused("prompt_not_recorded", said, "; ".join(found))


def _rewriter(playthrough: Playthrough, match: PromptMatch, variant: int) -> PromptRewriter:
    alignment = match.alignment
    return PromptRewriter(
        None if match.tier >= Tier.SHAPE else alignment.nodes,
        [(pair.name, pair.recorded, pair.live) for pair in alignment.pairs],
        playthrough.live_state.files,
        variant,
    )


def _client_of(body: dict[str, Any]) -> str | None:
    """The top level wins."""
    extra = body.get("extra_data")
    client = body.get("client_id", extra.get("client_id") if isinstance(extra, dict) else None)
    return client if isinstance(client, str) else None


def _marks(match: PromptMatch) -> Iterator[tuple[str, str]]:
    if match.tier < Tier.GRAPH:
        yield MATCHED, match.tier.name.lower()
    if not match.fresh:
        yield SYNTHESIZED, "played again"


def _refused(kind: str, message: str, details: str) -> Response:
    error = {"type": kind, "message": message, "details": details, "extra_info": {}}
    return json_answer({"error": error, "node_errors": {}}, 400, "prompt")


def _bad_prompt_id() -> Response:
    details = "prompt_id must be a canonical UUID string"
    return _refused("invalid_prompt_id", "prompt_id must be a valid UUID", details)


def _no_prompt(*, objects: bool) -> Response:
    if not objects:
        return json_answer({"error": "no prompt", "node_errors": []}, 400, "prompt")
    return _refused("no_prompt", "No prompt provided", "No prompt provided")
