"""A live POST /prompt -> the recorded one that it stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import msgspec

from comfyrec.timeline import RecordedPrompt, Timeline
from comfyrec.wording import shortened_list
from fake_server.replay.live.bindings import EQUAL, UNLIKE, Bindings
from fake_server.replay.matching.alignment import Alignment, aligned
from fake_server.replay.matching.shape import Shape, Tier, differences
from fake_server.replay.matching.validity import Flaw, Validity, flaws_of
from fake_server.replay.recorded.match_redacted import is_pseudonymous

__all__ = ["DIFFERENCES_SHOWN", "PromptMatch", "Submission", "Submissions"]

DIFFERENCES_SHOWN: Final = 8


class Submission(msgspec.Struct, frozen=True, eq=False):
    """A recorded POST /prompt, accepted or refused."""

    exchange: int
    shape: Shape
    prompt: RecordedPrompt | None
    """None: it was refused."""
    flaws: frozenset[Flaw] = frozenset()
    """Why it was refused."""


class PromptMatch(msgspec.Struct, frozen=True):
    """What a live submission stands for, and how well."""

    submission: Submission
    tier: Tier
    fresh: bool
    """False: it was played already, and is played again."""
    alignment: Alignment
    """Which node stands for which; empty where the graphs are the same."""


class Submissions:
    """All recorded submissions, compared with live ones.

    Args:
        timeline: the recording.
        volatile: names of inputs that do not count for the structure.
        judge: makes what knows the recorded server's refusals, from the reasons that it gave; made
            when a prompt comes that was not recorded.
    """

    def __init__(
        self,
        timeline: Timeline,
        volatile: frozenset[str],
        judge: Callable[[Iterable[Flaw]], Validity],
    ) -> None:
        self._volatile, self._judge = volatile, judge
        self._hidden = is_pseudonymous(timeline)
        self._visible: dict[int, frozenset[Flaw]] = {}
        of_exchange = {p.submitted: p for p in timeline.prompts if p.submitted is not None}
        self.all = [
            Submission(
                e.number,
                shape := self.shape(e.request_json),
                of_exchange.get(e.number),
                frozenset(_flaws(shape, e.response_json))
                if e.number not in of_exchange
                else frozenset(),
            )
            for e in timeline.exchanges
            if e.method == "POST"
            and e.path == "/prompt"
            and (e.response is not None or e.number in of_exchange)
            and not e.request.omitted_bytes
        ]

    @cached_property
    def validity(self) -> Validity:
        """What the recorded server refuses."""
        return self._judge(flaw for submission in self.all for flaw in submission.flaws)

    def has_graph(self, shape: Shape) -> bool:
        """Whether the very same graph was submitted; what came of it is known then."""
        return shape.graph_key in self._by_graph

    @cached_property
    def _by_graph(self) -> Mapping[bytes, list[Submission]]:
        found: dict[bytes, list[Submission]] = {}
        for submission in self.all:
            found.setdefault(submission.shape.graph_key, []).append(submission)
        return found

    def shape(self, body: Any) -> Shape:
        """What is compared of a body."""
        return Shape(body, self._volatile, hidden=self._hidden)

    def best(
        self,
        shape: Shape,
        *,
        least: Tier,
        fresh: Callable[[Submission], bool],
        own: Callable[[Submission], bool],
        flaws: Sequence[Flaw] | None,
        bindings: Bindings,
    ) -> PromptMatch | None:
        """The one that fits best.

        The closest tier counts first, then how near the literals are, then whether it is still to
        be played; among equals the client's own and the earliest. What was all played already is
        played again: the last of them.

        Args:
            shape: of the live body.
            least: the loosest fit that counts.
            fresh: whether a recorded submission is still to be played.
            own: whether it is the doing of the client that submits now.
            flaws: why the recorded server would refuse the live prompt; None: a prompt that it
                refused stands for nothing but the very same graph.
            bindings: which live values stand for which recorded ones.
        """
        # Where the very same graph is there, no other one is closer; and where one has the same
        # nodes, others are not taken apart.
        pool = self._by_graph.get(shape.graph_key) or self.all
        found = self._fitting(pool, shape.close_tier, least, flaws) or self._fitting(
            pool, shape.tier, least, flaws
        )
        candidates = [
            PromptMatch(submission, tier, fresh(submission), aligned(submission.shape, shape, tier))
            for submission, tier in _closest(shape, found)
        ]
        return max(
            candidates,
            key=lambda match: self._rank(match, bindings, own=own(match.submission)),
            default=None,
        )

    def _fitting(
        self,
        pool: Iterable[Submission],
        tier_of: Callable[[Shape], Tier | None],
        least: Tier,
        flaws: Sequence[Flaw] | None,
    ) -> list[tuple[Submission, Tier]]:
        return [
            (submission, tier)
            for submission in pool
            if (tier := tier_of(submission.shape)) is not None
            and tier >= least
            and self._may(submission, tier, flaws)
        ]

    def _may(self, submission: Submission, tier: Tier, flaws: Sequence[Flaw] | None) -> bool:
        """Whether a recorded outcome can be that of a live prompt: a refusal needs its reason."""
        if tier >= Tier.GRAPH or (self._hidden and tier is Tier.STRUCTURE):
            return True
        if submission.prompt is not None:
            return not flaws
        if flaws is None or tier < Tier.RENUMBERED or not submission.shape.graph:
            return False
        reasons = self._visible_flaws(submission)
        return not reasons or any(flaw in reasons for flaw in flaws)

    def _visible_flaws(self, submission: Submission) -> frozenset[Flaw]:
        """Those reasons of a refusal that a live graph can be checked for."""
        if submission.exchange not in self._visible:
            graph = submission.shape.graph
            found = self.validity.seen_in(graph, submission.flaws)
            self._visible[submission.exchange] = found
        return self._visible[submission.exchange]

    def _rank(self, match: PromptMatch, bindings: Bindings, *, own: bool) -> tuple[int, ...]:
        distances = [
            (pair.name, bindings.distance(pair.name, pair.recorded, pair.live))
            for pair in match.alignment.pairs
        ]
        same = all(far == EQUAL or name in self._volatile for name, far in distances)
        whole = match.tier is Tier.BODY
        place = match.submission.exchange
        return (
            all(far < UNLIKE for _, far in distances),
            same,
            whole and match.fresh,
            match.fresh,
            -sum(far for name, far in distances if name not in self._volatile),
            -sum(far for name, far in distances if name in self._volatile),
            whole,
            own,
            -place if match.fresh else place,
        )

    def closest(self, shape: Shape) -> tuple[int | None, list[str]]:
        """The exchange of the recorded graph with the fewest differences, and these."""
        compared = [
            (list(differences(shape.graph, submission.shape.graph)), submission)
            for submission in self.all
            if submission.shape.graph
        ]
        if not compared or not shape.graph:
            return None, []
        found, submission = min(compared, key=lambda entry: len(entry[0]))
        return submission.exchange, shortened_list(found, DIFFERENCES_SHOWN)


def _flaws(shape: Shape, answer: Any) -> Iterator[Flaw]:
    if isinstance(answer, dict) and "error" in answer:
        yield from flaws_of(shape.graph, answer["error"], answer.get("node_errors"))


def _closest(
    shape: Shape, found: Sequence[tuple[Submission, Tier]]
) -> list[tuple[Submission, Tier]]:
    """Those of the closest tier; where graphs only overlap, those with the most in common."""
    closest = min(max((tier for _, tier in found), default=Tier.ANY), Tier.GRAPH)
    best = [(submission, tier) for submission, tier in found if tier >= closest]
    if closest is not Tier.OVERLAP:
        return best
    overlaps = [shape.overlap(submission.shape) for submission, _ in best]
    return [one for one, overlap in zip(best, overlaps, strict=True) if overlap == max(overlaps)]
