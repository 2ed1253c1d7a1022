"""How one prompt is stopped, step by step, and what came of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comfyrec.client.http.exchange import HttpResponse
from comfyrec.client.http.interrupt import REPEAT_S, AwaitEnd, Effect, effect_of, interrupt
from comfyrec.client.result import Outcome

P = "p"
OK = HttpResponse(status=200)


def queue(running: tuple[str, ...] = (), pending: tuple[str, ...] = ()) -> HttpResponse:
    rows = {
        "queue_running": [[0, one, {}, {}, []] for one in running],
        "queue_pending": [[1, one, {}, {}, []] for one in pending],
    }
    return HttpResponse(status=200, body=json.dumps(rows).encode())


NO_ENTRY = HttpResponse(status=200, body=b"{}")
ENTRY = HttpResponse(status=200, body=b'{"p": {"outputs": {}}}')
NO_HISTORY = HttpResponse(status=404)
CANCELLED = HttpResponse(status=200, body=b'{"id": "p", "status": "cancelled"}')
RUNS, WAITS, NOWHERE = queue(running=(P,)), queue(pending=(P,)), queue(running=("other",))

PLAYS: dict[str, tuple[list[Any], list[str], Effect]] = {
    "it runs, and stops": (
        [RUNS, OK, Outcome.INTERRUPTED],
        ["GET /queue", "POST /interrupt", "end"],
        Effect.INTERRUPTED,
    ),
    "it waits": (
        [WAITS, OK, NOWHERE, NO_ENTRY],
        ["GET /queue", "POST /queue", "GET /queue", "GET /history/p"],
        Effect.DELETED,
    ),
    "it began to run meanwhile": (
        [WAITS, OK, RUNS, OK, Outcome.INTERRUPTED],
        ["GET /queue", "POST /queue", "GET /queue", "POST /interrupt", "end"],
        Effect.INTERRUPTED,
    ),
    "it ended while it was removed": (
        [WAITS, OK, NOWHERE, ENTRY],
        ["GET /queue", "POST /queue", "GET /queue", "GET /history/p"],
        Effect.TOO_LATE,
    ),
    "a job that we cancelled": (
        [WAITS, OK, NOWHERE, NO_HISTORY, CANCELLED],
        ["GET /queue", "POST /queue", "GET /queue", "GET /history/p", "GET /api/jobs/p"],
        Effect.DELETED,
    ),
    "a job that was cancelled before": (
        [NOWHERE, NO_HISTORY, CANCELLED],
        ["GET /queue", "GET /history/p", "GET /api/jobs/p"],
        Effect.TOO_LATE,
    ),
    "it is over": ([NOWHERE, ENTRY], ["GET /queue", "GET /history/p"], Effect.TOO_LATE),
    "nobody knows it": ([NOWHERE, NO_ENTRY], ["GET /queue", "GET /history/p"], Effect.UNKNOWN),
    "the first interrupt is lost": (
        [RUNS, OK, None, RUNS, OK, Outcome.INTERRUPTED],
        ["GET /queue", "POST /interrupt", "end", "GET /queue", "POST /interrupt", "end"],
        Effect.INTERRUPTED,
    ),
    "it runs on": (
        [RUNS, OK, None, RUNS, OK, None],
        ["GET /queue", "POST /interrupt", "end", "GET /queue", "POST /interrupt", "end"],
        Effect.STILL_RUNNING,
    ),
}


def named(step: Any) -> str:
    return "end" if isinstance(step, AwaitEnd) else str(step)


@pytest.mark.parametrize("answers, steps, effect", PLAYS.values(), ids=PLAYS)
def test_one_prompt_is_stopped(answers: list[Any], steps: list[str], effect: Effect) -> None:
    conversation = interrupt(P, wait_s=2 * REPEAT_S)
    taken = [named(next(conversation))]

    with pytest.raises(StopIteration) as end:
        taken += [named(conversation.send(answer)) for answer in answers[:-1]]
        conversation.send(answers[-1])

    assert taken == steps
    assert end.value.value is effect


@pytest.mark.parametrize("outcome", [None, *Outcome])
def test_every_outcome_has_an_effect(outcome: Outcome | None) -> None:
    assert effect_of(outcome) in Effect
