"""POST /prompt: which recorded prompt a live one stands for, and what is answered.

PROTOCOL.md, section 6.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from comfyrec.http.request import loads_or_none
from comfyrec.timeline import RecordedPrompt, Timeline
from comfyrec.versions import Era
from fake_server.replay.live.live_state import LivePrompt
from fake_server.replay.live.playthrough import Playthrough
from fake_server.replay.live.playthrough_index import Playthroughs
from fake_server.replay.matching.graphs import UUID, Fit, Shape
from fake_server.replay.matching.submissions import Fitting, Submission, Submissions
from fake_server.replay.recording.id_mapping import RecordedIds
from fake_server.replay.recording.request_key import request_key_of
from fake_server.replay.rewrite_response import MARK, json_answer, rewritten_response
from fake_server.replay.strict import StrictMode
from fake_server.seeded import SeededRandom
from fake_server.source import Request, Response

__all__ = ["MATCHED", "PromptMatcher", "SubmissionResult"]

MATCHED: Final = "X-Comfyrec-Matched"
"""Says on the answer of POST /prompt how a prompt was matched that is not the recorded one."""


class SubmissionResult(msgspec.Struct, frozen=True):
    """What came of a submission; ``live`` is None when it was refused."""

    answer: Response
    playthrough: Playthrough
    live: LivePrompt | None = None
    fresh: bool = False


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
        strict: where complaints go; None: what does not fit is refused in ComfyUI's words.
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
        least: Fit,
        strict: StrictMode | None,
    ) -> None:
        self._timeline, self._recorded_ids = timeline, recorded_ids
        self._submissions, self._era, self._playthroughs = submissions, era, playthroughs
        self._chance, self._least, self._strict = chance, least, strict
        numbers = (p.queue_number for p in timeline.prompts if p.queue_number is not None)
        self._number = int(max(numbers, default=-1)) + 1

    def submit(self, request: Request) -> SubmissionResult:
        """One POST /prompt."""
        said = request.json
        shape = self._submissions.shape(said)
        body: dict[str, Any] = said if isinstance(said, dict) else {}
        client = _client_of(body)
        playthrough = self._playthrough_of(client, request, shape)
        fitting = self._fitting(playthrough, client, shape)
        if fitting is None:
            return SubmissionResult(self._unfitting(playthrough, request, shape), playthrough)
        prompt = fitting.submission.prompt
        if prompt is None:
            playthrough.refuse(fitting.submission.exchange)
            return SubmissionResult(self._rewritten(playthrough, fitting, request), playthrough)
        live_id = self._prompt_id(body)
        if live_id is None:
            return SubmissionResult(_bad_prompt_id(), playthrough)
        live = self._live(fitting, prompt, client, body, live_id)
        self._playthroughs.remember(playthrough, request, client=client, prompt=live_id)
        answer = self._accepted(playthrough, fitting, request, live)
        return SubmissionResult(answer, playthrough, live, fitting.fresh)

    def _playthrough_of(self, client: str | None, request: Request, shape: Shape) -> Playthrough:
        """The play-through that a submission belongs to."""
        known = self._playthroughs.of_client(client)
        if known is not None and not known.over:
            return known
        latest = self._playthroughs.latest
        if latest.over:
            return self._playthroughs.new()
        fitting = self._fitting(latest, client, shape)
        if fitting is None or fitting.fresh:
            return latest
        listening = self._playthroughs.known(request) is latest or latest.live_state.sockets
        return latest if client is None and listening else self._playthroughs.new()

    def _fitting(
        self, playthrough: Playthrough, client: str | None, shape: Shape
    ) -> Fitting | None:
        own_names = {role.name for role in playthrough.live_state.roles_of(client)} or {""}

        def fresh(submission: Submission) -> bool:
            if submission.prompt is None:
                return not playthrough.was_refused(submission.exchange)
            return playthrough.may_play(submission.prompt, client)

        def own(submission: Submission) -> bool:
            prompt = submission.prompt
            return prompt is not None and (prompt.client_id or "") in own_names

        # Only a graph can stand for any other; what is no prompt at all was refused, or is now.
        least = self._least if shape.graph else Fit.GRAPH
        return self._submissions.best(shape, least=least, fresh=fresh, own=own)

    def _prompt_id(self, body: dict[str, Any]) -> str | None:
        """The client's own id where its server took one, else a new one; None: it is refused."""
        chosen = body.get("prompt_id")
        if chosen is None or not self._era.has("client_prompt_id"):
            return self._chance.uuid()
        wellformed = isinstance(chosen, str) and UUID.fullmatch(chosen)
        return None if self._era.has("uuid_prompt_ids") and not wellformed else str(chosen)

    def _live(
        self,
        fitting: Fitting,
        prompt: RecordedPrompt,
        client: str | None,
        body: dict[str, Any],
        live_id: str,
    ) -> LivePrompt:
        number = prompt.queue_number
        if not fitting.fresh:
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

    def _rewritten(self, playthrough: Playthrough, fitting: Fitting, request: Request) -> Response:
        exchange = self._timeline.exchanges[fitting.submission.exchange]
        return rewritten_response(
            exchange, request, self._recorded_ids, playthrough.live_state.renamed
        )

    def _accepted(
        self, playthrough: Playthrough, fitting: Fitting, request: Request, live: LivePrompt
    ) -> Response:
        exchange = self._timeline.exchanges[fitting.submission.exchange]
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
        if not fitting.fresh:
            body = json.dumps({**loads_or_none(body), "number": live.number}).encode()
        return Response(answer.status, (*answer.headers, *_marks(fitting)), body)

    def _unfitting(self, playthrough: Playthrough, request: Request, shape: Shape) -> Response:
        """No recorded prompt fits: in ComfyUI's words, or as a complaint."""
        recorded = (
            playthrough.recorded(request_key_of(request, playthrough.live_state.recorded))
            if not shape.graph
            else None
        )
        if recorded is not None and recorded.exchange.response is not None:
            return rewritten_response(
                recorded.exchange, request, self._recorded_ids, playthrough.live_state.renamed
            )
        exchange, found = self._submissions.closest(shape)
        if self._strict is not None:
            closest = [] if exchange is None else [f"POST /prompt (exchange {exchange})"]
            return self._strict.refuse("this prompt was not recorded", closest, found)
        if not shape.graph:
            return _no_prompt(objects=self._era.has("error_objects"))
        return _refused(
            "prompt_not_recorded", "The recording has no prompt like this one", "; ".join(found)
        )


def _client_of(body: dict[str, Any]) -> str | None:
    """The top level wins."""
    extra = body.get("extra_data")
    client = body.get("client_id", extra.get("client_id") if isinstance(extra, dict) else None)
    return client if isinstance(client, str) else None


def _marks(fitting: Fitting) -> Iterator[tuple[str, str]]:
    if fitting.fit < Fit.GRAPH:
        yield MATCHED, fitting.fit.name.lower()
    if not fitting.fresh:
        yield MARK, "played again"


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
