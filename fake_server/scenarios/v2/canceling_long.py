"""Somebody cancels the job, and it is `canceling` for long: its node does not heed it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    SPEC,
    SUBMIT,
    Directions,
    Observer,
    Operator,
    Parameters,
    Scenario,
    planned,
    read_json,
)
from fake_server.scenarios.kit.observer import MILLISECOND
from fake_server.scenarios.kit.operator import DoLater, Step, Tally
from fake_server.source import Action, Happened, Request, RequestReceived, Respond


class CancelingParameters(Parameters, frozen=True, kw_only=True):
    """How long the node goes on."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=600)] = 1.0


def direct(settings: CancelingParameters) -> Directions:
    return Directions(operators=(_cancel(),), plan=planned(seconds=settings.seconds, deaf=True))


def _cancel() -> Operator:
    """Somebody else cancels the first job, as soon as it was made."""
    tally, submitted = Tally("somebody cancels the job"), set[int]()

    def hear(happened: Happened, observer: Observer) -> Iterator[Step]:
        if isinstance(happened, RequestReceived) and SUBMIT(happened.request):
            submitted.add(happened.exchange)
        yield happened

    def act(action: Action, observer: Observer) -> Iterator[Step]:
        yield action
        if not isinstance(action, Respond) or action.exchange not in submitted:
            return
        submitted.discard(action.exchange)
        job = read_json(action.answer.body)
        if action.answer.status == 201 and isinstance(job, dict) and not tally.matched:
            tally.hit()
            target = f"/api/v2/jobs/{job['id']}/cancel"
            cancel = RequestReceived(observer.other_user(), Request("POST", target))
            # By then it runs.
            yield DoLater(observer.now + 50 * MILLISECOND, cancel)

    return Operator(tally, hear, act)


SCENARIO = Scenario(
    name="v2-canceling-long",
    row="V21",
    category="v2",
    summary=__doc__,
    correct="waits for the end, and reports interrupted",
    keeps=("K1", "K2", "K3"),
    evidence=(SPEC,),
    truth=("interrupted",),
    settings=CancelingParameters,
    direct=direct,
    in_real_time=True,
    surface="v2",
)
