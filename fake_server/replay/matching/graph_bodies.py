"""A change whose body holds a graph, as jobs of other APIs do -> the recorded one it stands for.

``POST /prompt`` has its own way (``prompt_matcher``): of such a prompt the recording knows every
frame. Of these the answers are all that is known, so it is enough to find the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from comfyrec.wording import shortened_list
from fake_server.replay.live.bindings import EQUAL, UNLIKE, Bindings
from fake_server.replay.matching.alignment import Pair, aligned
from fake_server.replay.matching.shape import Shape, Tier, differences
from fake_server.replay.recorded.recorded_answers import RecordedExchange
from fake_server.replay.recorded.request_key import RequestKey
from fake_server.replay.rewrite_response import json_answer
from fake_server.source import Response

__all__ = ["GraphBodies", "graph_in"]

DEPTH_MAX: Final = 3
"""So deep a graph may lie in a body: ``{"input": {"workflow": {...}}}``."""
DIFFERENCES_SHOWN: Final = 8
REFUSED: Final = 400
STATUS: Final = 422


def graph_in(body: Any, depth: int = DEPTH_MAX) -> Mapping[str, Any] | None:
    """The first graph in API format in a body, wherever it stands; None where there is none."""
    if not isinstance(body, dict) or not body:
        return None
    if all(isinstance(node, dict) and isinstance(node.get("class_type"), str)
           for node in body.values()):  # fmt: skip
        return body
    inner = (graph_in(value, depth - 1) for value in body.values()) if depth else ()
    return next((graph for graph in inner if graph is not None), None)


class GraphBodies:
    """Compares the graphs of changes.

    Args:
        volatile: names of inputs that do not count for the structure.
        least: the loosest fit that counts.
        hidden: texts of the recording may be stand-ins.
    """

    def __init__(self, volatile: Iterable[str], *, least: Tier, hidden: bool) -> None:
        self._volatile, self._least, self._hidden = frozenset(volatile), least, hidden
        self._recorded: dict[int, Shape | None] = {}

    def shape(self, request_key: RequestKey) -> Shape | None:
        """What is compared of a change; None where its body holds no graph."""
        if request_key.method in ("GET", "HEAD", "OPTIONS"):
            return None
        graph = graph_in(request_key.json)
        if graph is None:
            return None
        return Shape({"prompt": graph}, self._volatile, hidden=self._hidden)

    def _shape_of(self, recorded: RecordedExchange) -> Shape | None:
        number = recorded.exchange.number
        if number not in self._recorded:
            self._recorded[number] = self.shape(recorded.request_key)
        return self._recorded[number]

    def closest(
        self,
        request_key: RequestKey,
        shape: Shape,
        exchanges: Sequence[RecordedExchange],
        *,
        is_fresh: Callable[[RecordedExchange], bool],
        bindings: Bindings,
    ) -> RecordedExchange | None:
        """The recorded change that fits best; None where none is like it.

        The closest tier counts first, then whether it is still to be made, how near the literals
        are, and the order of the recording. What was refused stands for its own structure alone.

        Args:
            request_key: the live change, ids as recorded.
            shape: of its body.
            exchanges: what was asked at the same place.
            is_fresh: whether a recorded change is still to be made.
            bindings: which live values stand for which recorded ones.
        """
        ranked = []
        for recorded in exchanges:
            theirs = self._shape_of(recorded) if recorded.has_an_end else None
            if theirs is None:
                continue
            tier = shape.tier(theirs)
            was_refused = (recorded.exchange.status or 0) >= REFUSED
            if tier < (max(self._least, Tier.STRUCTURE) if was_refused else self._least):
                continue
            fresh = is_fresh(recorded)
            rank = (
                min(tier, Tier.GRAPH),
                shape.overlap(theirs) if tier is Tier.OVERLAP else 0,
                *self._nearness(aligned(theirs, shape, tier).pairs, bindings, fresh=fresh),
                recorded.request_key.has_body_of(request_key),
                -recorded.at if fresh else recorded.at,
            )
            ranked.append((rank, recorded))
        return max(ranked, key=lambda one: one[0], default=(None, None))[1]

    def _nearness(
        self, pairs: Sequence[Pair], bindings: Bindings, *, fresh: bool
    ) -> tuple[int | bool, ...]:
        distances = [
            (pair.name, bindings.distance(pair.name, pair.recorded, pair.live)) for pair in pairs
        ]
        told = [far for name, far in distances if name not in self._volatile]
        return (
            all(far < UNLIKE for _, far in distances),
            all(far == EQUAL for far in told),
            fresh,
            -sum(told),
            -sum(far for name, far in distances if name in self._volatile),
        )

    def pairs(self, recorded: RecordedExchange, request_key: RequestKey) -> Sequence[Pair]:
        """The literals of both graphs that stand for each other."""
        ours, theirs = self.shape(request_key), self._shape_of(recorded)
        if ours is None or theirs is None:
            return ()
        return aligned(theirs, ours, ours.tier(theirs)).pairs

    def refuse(self, shape: Shape, exchanges: Sequence[RecordedExchange]) -> tuple[str, Response]:
        """What to say of a job that no recorded one is like, and the answer to its client: that of
        Comfy API v2 to a workflow that it does not take."""
        known = [(one, theirs) for one in exchanges if (theirs := self._shape_of(one)) is not None]
        compared = [([*differences(shape.graph, theirs.graph)], one) for one, theirs in known]
        found, closest = min(compared, key=lambda one: len(one[0]), default=([], None))
        near = f"; closest: exchange {closest.exchange.number}" if closest is not None else ""
        detail = f" ({'; '.join(shortened_list(found, DIFFERENCES_SHOWN))})" if found else ""
        notice = f"a job was not recorded and is refused{near}{detail}"
        error = {"code": "invalid_workflow", "message": "the recording has no job like this one"}
        return notice, json_answer({"error": error}, STATUS, "refused")
