"""A task's end, as the history entry of its prompt says, and what a query shows of it."""

from __future__ import annotations

from typing import Any

import pytest

from fake_server.surfaces.task import Task

SUCCESS: dict[str, Any] = {
    "outputs": {"2": {"images": [{"filename": "a b.png", "subfolder": "", "type": "output"}]}},
    "status": {
        "status_str": "success",
        "messages": [
            ["execution_start", {"timestamp": 1_000}],
            ["execution_success", {"timestamp": 3_500}],
        ],
    },
}


def new_task(**more: Any) -> Task:
    return Task(task_id="t", worker=0, asked={"task_type": "txt2img"}, created=5_000_000, **more)


def failed_with(*messages: Any) -> dict[str, Any]:
    return {"status": {"status_str": "error", "messages": list(messages)}}


ENDS = {
    "success": (SUCCESS, "finished", ""),
    "no entry": (None, "canceled", ""),
    "interrupted": (failed_with(["execution_interrupted", {}]), "canceled", ""),
    "an error": (
        failed_with(["execution_error", {"exception_message": "no paint\n"}]),
        "failed",
        "no paint",
    ),
    "an error without words": (failed_with(), "failed", "the workflow failed"),
    "an entry without a status": ({"outputs": {}}, "failed", "the workflow failed"),
}


@pytest.mark.parametrize(("entry", "status", "msg"), ENDS.values(), ids=ENDS)
def test_a_task_ends_as_the_history_says(entry: Any, status: str, msg: str) -> None:
    task = new_task(position=3)

    task.conclude(entry)

    assert (task.status, task.msg, task.position, task.over) == (status, msg, None, True)


def test_a_task_that_was_stopped_does_not_finish() -> None:
    task = new_task(stopped=True)

    task.conclude(SUCCESS)

    assert (task.status, task.files) == ("canceled", ())


def test_a_finished_task_shows_its_file_and_how_long_it_took() -> None:
    task = new_task()
    task.conclude(SUCCESS)

    state = task.state(miner="worker-1", origin="http://fake:8188")

    assert state["result"].startswith("http://fake:8188/view?filename=a%20b.png&")
    assert (state["inference_latency"], state["upload_latency"]) == (2.5, 0.0)
    assert (state["miner_id"], state["create_timestamp"]) == ("worker-1", 5)


def test_what_is_not_known_yet_is_absent() -> None:
    state = new_task().state(miner="worker-1", origin="http://fake:8188")

    assert state == {
        "task_id": "t",
        "status": "waiting",
        "task_type": "txt2img",
        "create_timestamp": 5,
        "miner_id": "worker-1",
    }
