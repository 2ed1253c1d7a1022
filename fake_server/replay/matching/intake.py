"""POST /prompt: which recorded prompt a live one stands for, and what is answered.

PROTOCOL.md, section 6.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from comfyrec.timeline import RecordedPrompt, Timeline
from comfyrec.timeline.peek import loads
from comfyrec.versions import Era
from fake_server.replay.live.live_state import Live
from fake_server.replay.live.session import Take
from fake_server.replay.live.sessions import Takes
from fake_server.replay.matching.graphs import UUID, Fit, Shape
from fake_server.replay.matching.submissions import Fitting, Submission, Submissions
from fake_server.replay.recording.id_mapping import Vocabulary
from fake_server.replay.request_key import asking_of
from fake_server.replay.rewrite_response import MARK, json_answer, reprint
from fake_server.replay.strict import Strictness
from fake_server.seeded import SeededRandom
from fake_server.source import Request, Response

__all__ = ["MATCHED", "Intake", "Submitted"]

MATCHED: Final = "X-Comfyrec-Matched"
"""Says on the answer of POST /prompt how a prompt was matched that is not the recorded one."""


class Submitted(msgspec.Struct, frozen=True):
    """What came of a submission; ``live`` is None when it was refused."""

    answer: Response
    take: Take
    live: Live | None = None
    fresh: bool = False


class Intake:
    """Takes submissions for one player.

    Args:
        timeline: the recording.
        vocabulary: its ids.
        submissions: what was submitted while recording.
        era: of the recorded server.
        takes: the play-throughs.
        chance: makes prompt ids.
        least: the loosest fit that counts.
        strict: where complaints go; None: what does not fit is refused in ComfyUI's words.
    """

    def __init__(
        self,
        timeline: Timeline,
        vocabulary: Vocabulary,
        submissions: Submissions,
        *,
        era: Era,
        takes: Takes,
        chance: SeededRandom,
        least: Fit,
        strict: Strictness | None,
    ) -> None:
        self._timeline, self._vocabulary = timeline, vocabulary
        self._submissions, self._era, self._takes = submissions, era, takes
        self._chance, self._least, self._strict = chance, least, strict
        numbers = (p.queue_number for p in timeline.prompts if p.queue_number is not None)
        self._number = int(max(numbers, default=-1)) + 1

    def take_in(self, request: Request) -> Submitted:
        """One POST /prompt."""
        said = loads(request.body)
        shape = self._submissions.shape(said)
        body: dict[str, Any] = said if isinstance(said, dict) else {}
        client = _client_of(body)
        take = self._take_of(client, request, shape)
        fitting = self._fitting(take, client, shape)
        if fitting is None:
            return Submitted(self._unfitting(take, request, shape), take)
        prompt = fitting.submission.prompt
        if prompt is None:
            take.refuse(fitting.submission.exchange)
            return Submitted(self._reprinted(take, fitting, request), take)
        live_id = self._prompt_id(body)
        if live_id is None:
            return Submitted(_bad_prompt_id(), take)
        live = self._live(fitting, prompt, client, body, live_id)
        self._takes.remember(take, request, client=client, prompt=live_id)
        answer = self._accepted(take, fitting, request, live)
        return Submitted(answer, take, live, fitting.fresh)

    def _take_of(self, client: str | None, request: Request, shape: Shape) -> Take:
        """The play-through that a submission belongs to."""
        known = self._takes.of_client(client)
        if known is not None and not known.over:
            return known
        latest = self._takes.latest
        if latest.over:
            return self._takes.new()
        fitting = self._fitting(latest, client, shape)
        if fitting is None or fitting.fresh:
            return latest
        listening = self._takes.known(request) is latest or latest.cast.sockets
        return latest if client is None and listening else self._takes.new()

    def _fitting(self, take: Take, client: str | None, shape: Shape) -> Fitting | None:
        own_names = {role.name for role in take.cast.roles_of(client)} or {""}

        def fresh(submission: Submission) -> bool:
            if submission.prompt is None:
                return not take.was_refused(submission.exchange)
            return take.may_play(submission.prompt, client)

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
    ) -> Live:
        number = prompt.queue_number
        if not fitting.fresh:
            number, self._number = self._number, self._number + 1
        return Live(
            prompt=prompt,
            live_id=live_id,
            token=prompt.number,
            client=client,
            number=number,
            body=body,
        )

    # --- answers -------------------------------------------------------------------------------

    def _reprinted(self, take: Take, fitting: Fitting, request: Request) -> Response:
        exchange = self._timeline.exchanges[fitting.submission.exchange]
        return reprint(exchange, request, self._vocabulary, take.cast.renamed)

    def _accepted(self, take: Take, fitting: Fitting, request: Request, live: Live) -> Response:
        exchange = self._timeline.exchanges[fitting.submission.exchange]
        if exchange.response is None:
            # The recording ended before the answer, and not before its frames.
            made = {"prompt_id": live.live_id, "number": self._number, "node_errors": {}}
            return json_answer(made, 200, "prompt")
        names = {live.prompt.prompt_id: live.live_id}
        answer = reprint(
            exchange, request, self._vocabulary, lambda i: names.get(i, take.cast.renamed(i))
        )
        body = answer.body
        if not fitting.fresh:
            body = json.dumps({**loads(body), "number": live.number}).encode()
        return Response(answer.status, (*answer.headers, *_marks(fitting)), body)

    def _unfitting(self, take: Take, request: Request, shape: Shape) -> Response:
        """No recorded prompt fits: in ComfyUI's words, or as a complaint."""
        page = take.page(asking_of(request, take.cast.recorded)) if not shape.graph else None
        if page is not None and page.exchange.response is not None:
            return reprint(page.exchange, request, self._vocabulary, take.cast.renamed)
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
