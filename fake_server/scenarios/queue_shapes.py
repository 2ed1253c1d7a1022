"""Rows of the queue have 5 or 6 items, and numbers are floats or negative."""

from __future__ import annotations

from typing import Any, Literal

from fake_server.scenarios.kit import (
    Directions,
    Observer,
    Parameters,
    Scenario,
    hold,
    patch_json,
    patch_queue,
    posts,
    slow,
    threads,
)
from fake_server.source import Request


class QueueShapesParameters(Parameters, frozen=True, kw_only=True):
    """The kind of number, and how long the rows are."""

    number: Literal["float", "neg"] = "float"
    items: Literal[5, 6] = 6


def direct(settings: QueueShapesParameters) -> Directions:
    odd = 12.5 if settings.number == "float" else -83

    def reply(value: Any, request: Request, observer: Observer) -> Any:
        return {**value, "number": odd}

    def queue(value: dict[str, Any], observer: Observer) -> dict[str, Any]:
        more: list[Any] = [{}] * (settings.items - 5)
        return {name: [[odd, *row[1:5], *more] for row in rows] for name, rows in value.items()}

    return Directions(
        operators=(
            patch_json(posts, "the answer to POST /prompt", reply, needed=True),
            patch_queue("odd rows", queue),
            hold("until it asks", patience_ms=400),
        ),
        plan=slow(0.1),
    )


SCENARIO = Scenario(
    name="queue-shapes",
    row="A72",
    category="interrupt",
    summary=__doc__,
    correct="reads the second item of a row, and accepts any number",
    keeps=("K1", "K6"),
    evidence=threads("measured"),
    settings=QueueShapesParameters,
    direct=direct,
)
