"""A live POST /prompt -> the recorded one that it stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from comfyrec.timeline import RecordedPrompt, Timeline
from comfyrec.wording import shortened_list
from fake_server.replay.matching.graphs import Fit, Shape, differences

__all__ = ["Fitting", "Submission", "Submissions"]

DIFFERENCES_SHOWN: Final = 8


class Submission(msgspec.Struct, frozen=True, eq=False):
    """A recorded POST /prompt, accepted or refused."""

    exchange: int
    shape: Shape
    prompt: RecordedPrompt | None
    """None: it was refused."""


class Fitting(msgspec.Struct, frozen=True):
    """What a live submission stands for, and how well."""

    submission: Submission
    fit: Fit
    fresh: bool
    """False: it was played already, and is played again."""


class Submissions:
    """All recorded submissions, compared with live ones."""

    def __init__(self, timeline: Timeline, volatile: frozenset[str]) -> None:
        self._volatile = volatile
        of_exchange = {p.submitted: p for p in timeline.prompts if p.submitted is not None}
        self._all = [
            Submission(e.number, Shape(e.request_json, volatile), of_exchange.get(e.number))
            for e in timeline.exchanges
            if e.method == "POST"
            and e.path == "/prompt"
            and (e.response is not None or e.number in of_exchange)
            and not e.request.omitted_bytes
        ]

    def shape(self, body: Any) -> Shape:
        """What is compared of a body."""
        return Shape(body, self._volatile)

    def best(
        self,
        shape: Shape,
        *,
        least: Fit,
        fresh: Callable[[Submission], bool],
        own: Callable[[Submission], bool],
    ) -> Fitting | None:
        """The one that fits best; among equals one that is not played yet, of the same client,
        and the earliest. What was all played already is played again: the last of them.

        Args:
            shape: of the live body.
            least: the loosest fit that counts.
            fresh: whether a recorded submission is still to be played.
            own: whether it is the doing of the client that submits now.
        """
        found = [
            Fitting(submission, fit, fresh(submission))
            for submission in self._all
            if (fit := shape.fit(submission.shape)) >= least
            # What the server refused was refused for this very graph.
            and (submission.prompt is not None or fit >= Fit.GRAPH)
        ]
        return max(found, key=lambda f: _rank(f, own=own(f.submission)), default=None)

    def closest(self, shape: Shape) -> tuple[int | None, list[str]]:
        """The exchange of the recorded graph with the fewest differences, and these."""
        compared = [
            (list(differences(shape.graph, submission.shape.graph)), submission)
            for submission in self._all
            if submission.shape.graph
        ]
        if not compared or not shape.graph:
            return None, []
        found, submission = min(compared, key=lambda entry: len(entry[0]))
        return submission.exchange, shortened_list(found, DIFFERENCES_SHOWN)


def _rank(fitting: Fitting, *, own: bool) -> tuple[int, ...]:
    whole = fitting.fit is Fit.BODY
    place = fitting.submission.exchange
    return (
        min(fitting.fit, Fit.GRAPH),
        whole and fitting.fresh,
        fitting.fresh,
        whole,
        own,
        -place if fitting.fresh else place,
    )
