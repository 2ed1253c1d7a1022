"""Our own client in a scenario, in virtual time: what a correct client is judged there.

A client fails in many recordings because they ask for something impossible. So whoever makes one
smaller asks here whether a correct client still passes.
"""

from __future__ import annotations

import math
from typing import Final

from comfyrec.check.case import Limits, Report
from comfyrec.check.play import play
from comfyrec.check.result import ScenarioResult
from comfyrec.client.result import Result
from comfyrec.client.shells.aio import Client
from comfyrec.errors import ComfyrecError
from fake_server.scenarios import Choice
from fake_server.server.virtual_time_loop import virtual_time_thread

__all__ = ["reference_result"]

LIMIT_S: Final = 300.0
"""Of virtual time."""


def reference_result(choice: Choice, *, seed: int = 0) -> ScenarioResult:
    """How our client does.

    Raises:
        ScenarioError: the scenario cannot be played.
    """
    thread = virtual_time_thread()
    clock = thread.loop.time
    with play(choice, seed=seed, thread=thread, clock=clock) as playing:

        async def run() -> Result:
            limits = Client(
                playing.url, environment={}, timeout_s=LIMIT_S / 2, idle_limit_s=0.5, grace_s=2.0
            )
            async with limits as client:
                return await client.run(playing.workflow)

        try:
            ended = thread.run_client(run(), LIMIT_S)
            report = Report() if ended is None else _report(ended.result(), clock())
        except ComfyrecError as error:
            report = Report(outcomes=("failed",), at_s=clock(), text=str(error))
        # Waits leap in virtual time, so late says nothing.
        return playing.conclude(report, limits=Limits(late_s=math.inf))


def _report(result: Result, at_s: float) -> Report:
    return Report(
        outcomes=(result.outcome.value,),
        at_s=at_s,
        prompt_id=result.prompt_id,
        outputs=result.outputs,
    )
