"""A job as a result: outcome, outputs, reason, progress."""

from __future__ import annotations

from typing import Any

import pytest

from comfyrec.client.result import Outcome
from comfyrec.client.v2.reading import OUTCOMES, info_of, outputs_of, result_of
from comfyrec.events import v2

OUTPUT = v2.Output(
    node_id="9", name="a.png", type="image", content_type="image/png", size_bytes=1, id="5",
    hash=None, url="", url_expires_at="",
)  # fmt: skip


def job(status: str, **more: Any) -> v2.Job:
    plain: dict[str, Any] = {
        "created_at": "", "started_at": "x", "completed_at": None, "expires_at": "",
        "queue_position": None, "progress": None, "outputs": [], "error": None,
    }  # fmt: skip
    urls = v2.JobUrls(self="", events="", cancel="")
    return v2.Job(id="7", status=status, urls=urls, **(plain | more))


def test_every_last_state_has_its_outcome() -> None:
    assert OUTCOMES.keys() == v2.TERMINAL


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (job("succeeded"), Outcome.SUCCESS),
        (job("canceled"), Outcome.INTERRUPTED),
        (job("canceled", started_at=None), Outcome.CANCELLED),
        (job("expired"), Outcome.LOST),
        (job("a-new-state"), Outcome.LOST),
    ],
)
def test_a_state_is_an_outcome_with_a_reason(found: v2.Job, outcome: Outcome) -> None:
    result = result_of(found, 1.0)

    assert result.outcome is outcome
    assert bool(result.reason) is (outcome is not Outcome.SUCCESS)


def test_a_failure_says_where_and_why() -> None:
    error = v2.JobError(code="c", message="no paint", node_id="3", class_type="KSampler")

    result = result_of(job("failed", error=error), 1.0)

    assert (result.outcome, result.reason) == (Outcome.ERROR, "node 3 (KSampler): no paint")


def test_outputs_stand_as_in_a_history_with_their_asset() -> None:
    assert outputs_of(job("succeeded", outputs=[OUTPUT])) == {
        "9": {"images": [{"filename": "a.png", "subfolder": "", "type": "output", "id": "5"}]}
    }


def test_progress_is_counted_and_kept_within_bounds() -> None:
    progress = v2.Progress(
        value=1.5, nodes_done=2, nodes_total=3, current_node="4", step=1, steps=2
    )

    info = info_of(job("running"), progress, None)

    assert (info.nodes_progress, len(info.nodes_done), info.nodes_total) == (1.0, 2, 3)
    assert info.node_progress == 50.0
    assert info_of(job("queued"), None, 2).queue_position == 2
