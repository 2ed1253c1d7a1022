"""How one prompt is stopped, and nothing else with it (A66).

Servers before 0.3.57 ignore the id in ``POST /interrupt`` and stop whatever runs, so the queue is
asked first. A 200 says nothing about an effect (W11); the end of the prompt does.
"""

from __future__ import annotations

import enum
import json

from comfyrec.client.requests import (
    Conversation,
    HttpRequest,
    HttpResponse,
    QueuePlace,
    history,
    place_in,
    queue,
    read_history,
    read_queue,
)
from comfyrec.client.result import Outcome
from comfyrec.errors import BadAnswer

__all__ = ["Effect", "effect_of", "stop"]


class Effect(enum.StrEnum):
    """What came of stopping a prompt."""

    INTERRUPTED = "interrupted"
    """It ran, and stopped."""
    DELETED = "deleted"
    """It waited, and is out of the queue."""
    TOO_LATE = "too late"
    """It was over before the interrupt took effect."""
    UNKNOWN = "unknown"
    """The server does not know it."""
    STILL_RUNNING = "still running"
    """The server took the interrupt, and the prompt runs on."""


def stop(prompt_id: str) -> Conversation[Effect | None]:
    """Stop one prompt. ``None``: the interrupt was sent, and its effect has to be waited for.

    Raises:
        BadAnswer: the server refused.
    """
    place = yield from _place(prompt_id)
    if place.position is not None:
        yield from _order("/queue", {"delete": [prompt_id]})
        place = yield from _place(prompt_id)
        if place.position is None and not place.running:
            return (yield from _gone(prompt_id, otherwise=Effect.DELETED))
    if place.running:
        yield from _order("/interrupt", {"prompt_id": prompt_id})
        return None
    if place.position is not None:
        return Effect.STILL_RUNNING
    return (yield from _gone(prompt_id, otherwise=Effect.UNKNOWN))


def effect_of(outcome: Outcome | None) -> Effect:
    """The effect of an interrupt by how the prompt ended; ``None``: not within the wait."""
    if outcome is None:
        return Effect.STILL_RUNNING
    return {
        Outcome.INTERRUPTED: Effect.INTERRUPTED,
        Outcome.CANCELLED: Effect.DELETED,
        Outcome.LOST: Effect.UNKNOWN,
        Outcome.TIMED_OUT: Effect.STILL_RUNNING,
    }.get(outcome, Effect.TOO_LATE)


def _place(prompt_id: str) -> Conversation[QueuePlace]:
    ask = queue()
    answer = yield ask
    return place_in(read_queue(ask, answer), prompt_id)


def _gone(prompt_id: str, *, otherwise: Effect) -> Conversation[Effect]:
    ask = history(prompt_id)
    answer = yield ask
    return otherwise if read_history(ask, answer, prompt_id) is None else Effect.TOO_LATE


def _order(path: str, body: dict[str, object]) -> Conversation[HttpResponse]:
    ask = HttpRequest(
        method="POST",
        path=path,
        body=json.dumps(body).encode(),
        content_type="application/json",
    )
    answer = yield ask
    if not 200 <= answer.status < 300:
        raise BadAnswer(str(ask), answer.status, "the server does not stop prompts for us")
    return answer
