"""The client of the task interface: what it sends, what it reads, and how it waits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from comfyrec.client.http import task_requests
from comfyrec.client.http.exchange import HttpRequest
from comfyrec.client.http.exchange import HttpResponse as Answered
from comfyrec.client.shells.task_client import (
    FluxLoraTask,
    Key,
    Task,
    TaskClient,
    Text2VideoTask,
    UpscalerTask,
)
from comfyrec.errors import TaskError, TaskFailed, TaskTimedOut, UsageError
from fake_server.surfaces.task_server import Sequencer
from tests.support.scripted_comfyui import Server
from tests.support.task_desk import FLUX, visit

KEY = Key("me", "k-1234")


def first_body(talk: Any) -> tuple[HttpRequest, dict[str, Any]]:
    ask = next(talk)
    return ask, json.loads(ask.body)


def test_a_new_kind_of_task_is_one_subclass():
    class Remesh(Task, frozen=True, kw_only=True):
        task_type = "remesh"
        parameter_names: ClassVar[dict[str, str]] = {"mesh_url": "mesh"}

        mesh_url: str
        faces: int | None = None

    _, body = first_body(task_requests.create(Remesh(mesh_url="u"), KEY, job="0123456789"))

    assert body["task_type"] == "remesh"
    assert body["task_details"] == {"parameters": {"mesh": "u"}}


def test_a_task_has_the_five_common_options():
    task = UpscalerTask(
        image_url="u",
        consumer_id="c",
        job_id_prefix="pre",
        timeout_seconds=9,
        workflow_id="3",
        api_key="them#k2",
    )

    _, body = first_body(task_requests.create(task, KEY, job="0123456789"))

    assert body == {
        "consumer_id": "c",
        "api_key": "k2",
        "task_type": "upscaler",
        "task_details": {"parameters": {"image": "u"}},
        "job_id": "pre-0123456789",
        "workflow_id": "3",
        "timeout_seconds": 9,
    }


def test_unset_options_are_absent_from_the_body():
    ask, body = first_body(task_requests.create(FLUX, KEY, job="0123456789"))

    assert (ask.method, ask.path, ask.content_type) == ("POST", "/task_create", "application/json")
    assert body == {
        "consumer_id": "me",
        "api_key": "k-1234",
        "task_type": "txt2img",
        "task_details": {"parameters": {"prompt": "a bridge", "lora_name": "ink"}},
        "job_id": "sdk-workflow-0123456789",
    }


def test_a_timeout_of_zero_is_not_sent():
    _, body = first_body(
        task_requests.create(Text2VideoTask(prompt="x", timeout_seconds=0), KEY, job="0")
    )

    assert "timeout_seconds" not in body


class Sequence:
    """Answers a waiting talk from a list of states; counts the time it waits."""

    def __init__(self, *states: dict[str, Any]) -> None:
        self.states = list(states)
        self.log: list[str] = []

    def run(self, talk: Any) -> Any:
        answer = None
        try:
            while True:
                wish = talk.send(answer)
                answer = self._answer(wish)
        except StopIteration as end:
            return end.value

    def _answer(self, wish: Any) -> Answered | None:
        if isinstance(wish, task_requests.Pause):
            self.log.append(f"pause {wish.seconds:g}")
            return None
        self.log.append("query")
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return Answered(status=200, body=json.dumps(state).encode())


def waiting(sequence: Sequence, **options: Any) -> Any:
    options = {"timeout_s": 300.0, "interval_s": 10.0, "check": False} | options
    return sequence.run(task_requests.wait("t1", KEY, **options))


def test_a_query_gives_every_field_untouched():
    state = {"task_id": "t1", "status": "running", "queue_position": 3, "new_field": [1]}

    assert Sequence(state).run(task_requests.query("t1", KEY)) == state


def test_the_first_query_comes_at_once_then_one_per_interval():
    sequence = Sequence({"status": "waiting"}, {"status": "running"}, {"status": "finished"})

    waiting(sequence, interval_s=2.0)

    assert sequence.log == ["query", "pause 2", "query", "pause 2", "query"]


@pytest.mark.parametrize(
    "limits", [{"interval_s": 0.9}, {"interval_s": float("nan")}, {"timeout_s": 0}]
)
def test_limits_are_checked_before_anything_is_sent(limits: dict[str, float]):
    server = Sequencer({"w": Server()}, new_id=iter("abc").__next__)

    async def talk(client: TaskClient) -> None:
        await client.execute_and_wait(FLUX, **limits)

    with pytest.raises(ValueError, match="_s must be"):
        visit(server, talk)
    assert not server.tasks


@pytest.mark.parametrize("status", ["finished", "failed", "canceled"])
def test_finished_failed_and_canceled_end_the_wait_at_once(status: str):
    sequence = Sequence({"status": status, "msg": "m"})

    assert waiting(sequence)["status"] == status
    assert sequence.log == ["query"]


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_failed_and_canceled_raise_by_choice(status: str):
    with pytest.raises(TaskFailed, match=f"task t1 {status}: no luck"):
        waiting(Sequence({"status": status, "msg": "no luck"}), check=True)


def test_a_timeout_is_an_error_with_the_id_and_within_the_limit():
    sequence = Sequence({"status": "running"})

    with pytest.raises(TaskTimedOut) as caught:
        waiting(sequence, timeout_s=2.5, interval_s=1.0)

    assert caught.value.task_id == "t1"
    assert sequence.log == ["query", "pause 1", "query", "pause 1", "query", "pause 0.5", "query"]


@pytest.mark.parametrize(
    ("text", "key"),
    {
        "a hash": ("me#k", Key("me", "k")),
        "a dash": ("me-k", Key("me", "k")),
        "dashes in the key": ("me-a-b-c", Key("me", "a-b-c")),
        "a hash and dashes": ("my-self#a-b", Key("my-self", "a-b")),
    }.values(),
    ids=str,
)
def test_keys_are_parted_at_the_hash_or_the_first_dash(text: str, key: Key):
    assert Key.parse(text) == key


@pytest.mark.parametrize("text", ["", "secretkey", "#secret", "secret#", "-secret", "secret-"])
def test_an_empty_key_is_refused_without_repeating_it(text: str):
    with pytest.raises(UsageError, match="CONSUMER#KEY") as caught:
        Key.parse(text)

    assert "secret" not in str(caught.value)


def test_a_missing_key_names_its_variables():
    with pytest.raises(UsageError, match="HEURIST_API_KEY"):
        TaskClient("http://x", environment={})
    with pytest.raises(UsageError, match="HEURIST_WORKFLOW_URL"):
        TaskClient(api_key="a#b", environment={})


ERRORS = {
    "message": (400, b'{"message": "bad type"}', "client_error", "bad type"),
    "error": (503, b'{"error": "asleep"}', "server_error", "asleep"),
    "text": (500, b"went wrong", "server_error", "went wrong"),
    "empty": (404, b"", "client_error", "Unknown error"),
    "broken JSON": (500, b'{"message":', "server_error", '{"message":'),
    "JSON without words": (400, b"[1]", "client_error", "Unknown error"),
    "message that is none": (400, b'{"message": {"a": 1}}', "client_error", "Unknown error"),
    "a 200 that is not JSON": (200, b"<html>", "client_error", "a web page"),
    "a 200 without an id": (200, b"{}", "client_error", "no task_id"),
    "a 200 that is a list": (200, b"[]", "client_error", "not answered with an object"),
}


@pytest.mark.parametrize(("status", "body", "kind", "message"), ERRORS.values(), ids=ERRORS)
def test_http_errors_keep_status_kind_and_message(
    status: int, body: bytes, kind: str, message: str
):
    talk = task_requests.create(FLUX, KEY, job="0")
    next(talk)

    with pytest.raises(TaskError) as caught:
        talk.send(Answered(status=status, body=body))

    assert (caught.value.http_status, caught.value.error_type) == (status, kind)
    assert message in caught.value.message


@pytest.mark.parametrize(
    "make",
    [
        lambda: FluxLoraTask(prompt="x"),  # type: ignore[call-arg]  # what is tested
        lambda: FluxLoraTask(prompt="x", lora_name=""),
        lambda: UpscalerTask(),  # type: ignore[call-arg]  # what is tested
        lambda: Text2VideoTask(prompt=""),
        lambda: Task(),
    ],
)
def test_required_options_are_checked_when_the_task_is_made(
    make: Callable[[], Task],
):
    with pytest.raises((TypeError, ValueError)):
        make()
