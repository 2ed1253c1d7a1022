"""How one prompt is stopped, and nothing else with it (A66).

Servers before 0.3.57 ignore the id in ``POST /interrupt`` and stop whatever runs, so the queue is
asked first. A 200 says nothing about an effect (W11); the end of the prompt does.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Generator
from typing import Any, Final

import msgspec

from comfyrec.client.http.exchange import Conversation, HttpRequest, HttpResponse
from comfyrec.client.http.requests import QueuePlace, look_up, place_in, queue, read_queue
from comfyrec.client.result import Outcome
from comfyrec.errors import BadAnswer

__all__ = ["AwaitEnd", "Effect", "effect_of", "interrupt", "stop"]

REPEAT_S: Final = 2.0
"""An interrupt between the queue's pop and the prompt's start is lost, so it is repeated."""


class Effect(enum.StrEnum):
    """What came of stopping a prompt."""

    INTERRUPTED = "interrupted"
    """It ran, and stopped."""
    DELETED = "deleted"
    """It waited, and was removed from the queue."""
    TOO_LATE = "too late"
    """It was over before the interrupt took effect."""
    UNKNOWN = "unknown"
    """The server does not know it."""
    STILL_RUNNING = "still running"
    """The server accepted the interrupt, but the prompt still runs."""


class AwaitEnd(msgspec.Struct, frozen=True):
    """Wait until the prompt is over, but not longer than this; send its outcome or None."""

    prompt_id: str
    limit_s: float


def interrupt(prompt_id: str, *, wait_s: float) -> Generator[HttpRequest | AwaitEnd, Any, Effect]:
    """Stop one prompt and see what comes of it, within ``wait_s``.

    A conversation as in ``requests``, with one more kind of step.

    Raises:
        BadAnswer: the server refused.
    """
    left_s = wait_s
    while True:
        effect = yield from stop(prompt_id)
        if effect is not None:
            return effect
        outcome: Outcome | None = yield AwaitEnd(prompt_id, min(left_s, REPEAT_S))
        left_s -= REPEAT_S
        if outcome is not None or left_s <= 0:
            return effect_of(outcome)


def stop(prompt_id: str) -> Conversation[Effect | None]:
    """Send what stops one prompt. None: the interrupt was sent, and its effect is not known yet.

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
    """The effect of an interrupt by how the prompt ended; None: it did not end in time."""
    if outcome is None:
        return Effect.STILL_RUNNING
    return {
        Outcome.INTERRUPTED: Effect.INTERRUPTED,
        Outcome.CANCELLED: Effect.DELETED,
        Outcome.LOST: Effect.UNKNOWN,
        Outcome.TIMED_OUT: Effect.STILL_RUNNING,
    }.get(outcome, Effect.TOO_LATE)


def _place(prompt_id: str) -> Conversation[QueuePlace]:
    request = queue()
    response = yield request
    return place_in(read_queue(request, response), prompt_id)


def _gone(prompt_id: str, *, otherwise: Effect) -> Conversation[Effect]:
    found = yield from look_up(prompt_id)
    if found.cancelled and otherwise is Effect.DELETED:
        return otherwise  # it is among the jobs all the same, as one that we cancelled
    return otherwise if found.entry is None else Effect.TOO_LATE


def _order(path: str, body: dict[str, object]) -> Conversation[HttpResponse]:
    request = HttpRequest(
        method="POST",
        path=path,
        body=json.dumps(body).encode(),
        content_type="application/json",
    )
    response = yield request
    if not 200 <= response.status < 300:
        raise BadAnswer(str(request), response.status, "the server does not let us stop prompts")
    return response
