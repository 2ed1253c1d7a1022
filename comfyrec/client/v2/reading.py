"""A job of Comfy API v2 -> what a run's result and progress say of it."""

from __future__ import annotations

from typing import Any, Final

from comfyrec.client.progress_event import ProgressInfo
from comfyrec.client.result import Failure, Outcome, Result
from comfyrec.events import v2

__all__ = ["OUTCOMES", "info_of", "outputs_of", "result_of"]

OUTCOMES: Final = {
    "succeeded": Outcome.SUCCESS,
    "failed": Outcome.ERROR,
    "canceled": Outcome.INTERRUPTED,
    "expired": Outcome.LOST,
}
"""Of the last states. A job that was canceled before it ran was taken out of the queue."""
_KEYS: Final = {"image": "images", "video": "gifs", "latent": "latents", "file": "files"}


def outputs_of(job: v2.Job) -> dict[str, Any]:
    """Its outputs in the shape of a history entry; ``id`` is that of the asset."""
    found: dict[str, Any] = {}
    for output in job.outputs:
        item = {
            "filename": output.name,
            "subfolder": "",
            "type": "output",
            "id": output.id,
        }
        kind = output.type or "file"
        shown = found.setdefault(output.node_id or "", {})
        shown.setdefault(_KEYS.get(kind, kind), []).append(item)
    return found


def info_of(job: v2.Job, progress: v2.Progress | None, position: int | None) -> ProgressInfo:
    """How far it is. Which nodes are done is not said, only how many."""
    if progress is None:
        return ProgressInfo(queue_position=position)
    return ProgressInfo(
        node_current=progress.current_node,
        node_progress_value=progress.step,
        node_progress_max=progress.steps,
        nodes_completed=tuple(f"#{number}" for number in range(1, (progress.nodes_done or 0) + 1)),
        nodes_total=progress.nodes_total or 0,
        nodes_progress=min(max(progress.value or 0.0, 0.0), 1.0),
        queue_position=position,
    )


def result_of(job: v2.Job, elapsed_s: float) -> Result:
    """What became of a job that is over."""
    outcome = OUTCOMES.get(job.status, Outcome.LOST)
    if outcome is Outcome.INTERRUPTED and job.started_at is None:
        outcome = Outcome.CANCELLED
    failure = None
    if job.error is not None:
        failure = Failure(
            job.error.message,
            node_id=job.error.node_id or "",
            node_type=job.error.class_type or "",
            traceback=tuple((job.error.traceback or "").splitlines()),
        )
    reason = str(failure) if failure is not None else ""
    if outcome is not Outcome.SUCCESS and not reason:
        reason = f"the job is {job.status}"
    return Result(
        prompt_id=job.id,
        outcome=outcome,
        outputs=outputs_of(job),
        reason=reason,
        failure=failure,
        elapsed_s=elapsed_s,
    )
