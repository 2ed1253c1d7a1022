"""The task interface: its client, and the fake server's side of it, alone and together."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import aiohttp
import pytest

from comfyrec.client import sequencer
from comfyrec.client.requests import HttpRequest
from comfyrec.client.requests import HttpResponse as Answered
from comfyrec.client.shells.tasks import (
    FluxLoraTask,
    Key,
    Task,
    TaskClient,
    Text2VideoTask,
    UpscalerTask,
)
from comfyrec.errors import TaskError, TaskFailed, TaskTimedOut, UsageError
from fake_server.server.thread import serve
from fake_server.simulated_server import SimulatedServer
from fake_server.source import (
    HangUp,
    Request,
    RequestAborted,
    RequestReceived,
    Respond,
    Response,
    Send,
    Wake,
    Woke,
)
from fake_server.surfaces.sequencer import ROUTES, Sequencer
from tests.support.scripted_comfyui import PICTURE, Server, begin, finish

T = TypeVar("T")

KEY = Key("me", "k-1234")
FLUX = FluxLoraTask(prompt="a bridge", lora_name="ink")


# --- list 4: the client -----------------------------------------------------------------------


def first_body(talk: Any) -> tuple[HttpRequest, dict[str, Any]]:
    ask = next(talk)
    return ask, json.loads(ask.body)


def test_list_4_point_01_a_new_kind_of_task_is_one_subclass():
    class Remesh(Task, frozen=True, kw_only=True):
        task_type = "remesh"
        parameter_names: ClassVar[dict[str, str]] = {"mesh_url": "mesh"}

        mesh_url: str
        faces: int | None = None

    _, body = first_body(sequencer.create(Remesh(mesh_url="u"), KEY, job="0123456789"))

    assert body["task_type"] == "remesh"
    assert body["task_details"] == {"parameters": {"mesh": "u"}}


def test_list_4_point_01_a_task_has_the_five_common_options():
    task = UpscalerTask(
        image_url="u",
        consumer_id="c",
        job_id_prefix="pre",
        timeout_seconds=9,
        workflow_id="3",
        api_key="them#k2",
    )

    _, body = first_body(sequencer.create(task, KEY, job="0123456789"))

    assert body == {
        "consumer_id": "c",
        "api_key": "k2",
        "task_type": "upscaler",
        "task_details": {"parameters": {"image": "u"}},
        "job_id": "pre-0123456789",
        "workflow_id": "3",
        "timeout_seconds": 9,
    }


def test_list_4_point_02_unset_options_are_absent_from_the_body():
    ask, body = first_body(sequencer.create(FLUX, KEY, job="0123456789"))

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
        sequencer.create(Text2VideoTask(prompt="x", timeout_seconds=0), KEY, job="0")
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
        if isinstance(wish, sequencer.Pause):
            self.log.append(f"pause {wish.seconds:g}")
            return None
        self.log.append("query")
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return Answered(status=200, body=json.dumps(state).encode())


def waiting(sequence: Sequence, **options: Any) -> Any:
    options = {"timeout_s": 300.0, "interval_s": 10.0, "check": False} | options
    return sequence.run(sequencer.wait("t1", KEY, **options))


def test_list_4_point_03_a_query_gives_every_field_untouched():
    state = {"task_id": "t1", "status": "running", "queue_position": 3, "new_field": [1]}

    assert Sequence(state).run(sequencer.query("t1", KEY)) == state


def test_list_4_point_04_the_first_query_comes_at_once_then_one_per_interval():
    sequence = Sequence({"status": "waiting"}, {"status": "running"}, {"status": "finished"})

    waiting(sequence, interval_s=2.0)

    assert sequence.log == ["query", "pause 2", "query", "pause 2", "query"]


@pytest.mark.parametrize(
    "limits", [{"interval_s": 0.9}, {"interval_s": float("nan")}, {"timeout_s": 0}]
)
def test_list_4_point_04_limits_are_checked_before_anything_is_sent(limits: dict[str, float]):
    server = Sequencer({"w": Server()}, new_id=iter("abc").__next__)

    async def talk(client: TaskClient) -> None:
        await client.execute_and_wait(FLUX, **limits)

    with pytest.raises(ValueError, match="_s has to be"):
        visit(server, talk)
    assert not server.tasks


@pytest.mark.parametrize("status", ["finished", "failed", "canceled"])
def test_list_4_point_05_finished_failed_and_canceled_end_the_wait_at_once(status: str):
    sequence = Sequence({"status": status, "msg": "m"})

    assert waiting(sequence)["status"] == status
    assert sequence.log == ["query"]


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_list_4_point_05_failed_and_canceled_raise_by_choice(status: str):
    with pytest.raises(TaskFailed, match=f"task t1 {status}: no luck"):
        waiting(Sequence({"status": status, "msg": "no luck"}), check=True)


def test_list_4_point_06_a_timeout_is_an_error_with_the_id_and_within_the_limit():
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
def test_list_4_point_11_keys_are_parted_at_the_hash_or_the_first_dash(text: str, key: Key):
    assert Key.parse(text) == key


@pytest.mark.parametrize("text", ["", "secretkey", "#secret", "secret#", "-secret", "secret-"])
def test_list_4_point_11_an_empty_key_is_refused_without_repeating_it(text: str):
    with pytest.raises(UsageError, match="CONSUMER#KEY") as caught:
        Key.parse(text)

    assert "secret" not in str(caught.value)


def test_list_4_point_11_a_missing_key_names_its_variables():
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
    "a 200 that is no JSON": (200, b"<html>", "client_error", "a web page"),
    "a 200 without an id": (200, b"{}", "client_error", "no task_id"),
    "a 200 that is a list": (200, b"[]", "client_error", "not answered with an object"),
}


@pytest.mark.parametrize(("status", "body", "kind", "message"), ERRORS.values(), ids=ERRORS)
def test_list_4_point_12_http_errors_keep_status_kind_and_message(
    status: int, body: bytes, kind: str, message: str
):
    talk = sequencer.create(FLUX, KEY, job="0")
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
def test_list_4_point_14_required_options_are_checked_when_the_task_is_made(
    make: Callable[[], Task],
):
    with pytest.raises((TypeError, ValueError)):
        make()


# --- list 4: the server -----------------------------------------------------------------------


def visit(server: Sequencer, what: Callable[[TaskClient], Awaitable[T]]) -> T:
    async def main(url: str) -> T:
        async with (
            asyncio.timeout(20),
            TaskClient(url, api_key="me#k-1234", environment={}) as client,
        ):
            return await what(client)

    with serve(server, speed=1.0) as handle:
        return asyncio.run(main(handle.url))


class Desk:
    """A sequencer without a network; each question is answered before ``ask`` returns."""

    def __init__(self, *workers: Server, **options: Any) -> None:
        ids = (f"task-{n}" for n in range(1_000))
        self.workers = workers
        self.source = Sequencer(
            {f"miner-{n}": worker for n, worker in enumerate(workers)},
            new_id=lambda: next(ids),
            **options,
        )
        self.now = 0
        self.wakes: list[int] = []
        self._exchange = 0

    def feed(self, happened: Any) -> list[Any]:
        actions = list(self.source.handle(happened, self.now))
        self.wakes += [a.at for a in actions if isinstance(a, Wake)]
        return [a for a in actions if not isinstance(a, Wake | Send)]

    def wake(self, at: int) -> None:
        self.now = at
        self.feed(Woke())

    def post(self, path: str, body: object, method: str = "POST") -> tuple[int, Any]:
        self._exchange += 1
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = Request(method, path, (("Host", "fake:8188"),), raw)
        [reply] = self.feed(RequestReceived(self._exchange, request))
        assert isinstance(reply, Respond)
        assert reply.exchange == self._exchange
        return reply.answer.status, json.loads(reply.answer.body or b"null")

    def create(self, **more: Any) -> str:
        body = {
            "consumer_id": "me",
            "api_key": "k",
            "task_type": "txt2img",
            "task_details": {"parameters": {"prompt": "x"}},
        }
        status, said = self.post("/task_create", body | more)
        assert status == 200, said
        task_id: str = said["task_id"]
        return task_id

    def query(self, task_id: str) -> dict[str, Any]:
        status, said = self.post("/task_result_query", {"task_id": task_id, "api_key": "k"})
        assert status == 200, said
        state: dict[str, Any] = said
        return state

    def cancel(self, task_id: str) -> Any:
        return self.post("/task_cancel", {"task_id": task_id, "api_key": "k"})


def only(step: Callable[[str], Any]) -> Callable[[Server, str], Iterator[Any]]:
    def script(server: Server, prompt_id: str) -> Iterator[Any]:
        yield step(prompt_id)

    return script


def stays(server: Server, prompt_id: str) -> Iterator[Any]:
    """It waits in the queue."""
    yield from ()


MAPPED = {
    "pending": (stays, "waiting"),
    "running": (only(begin), "running"),
    "success": (only(finish), "finished"),
    "error": (
        only(lambda p: finish(p, kind="error", outputs={}, exception_message="no paint\n")),
        "failed",
    ),
    "interrupted": (only(lambda p: finish(p, kind="interrupted", outputs={})), "canceled"),
    "deleted": (only(lambda p: lambda server: server.pending.clear()), "canceled"),
}


@pytest.mark.parametrize(("script", "status"), MAPPED.values(), ids=MAPPED)
def test_list_4_point_08_the_status_follows_comfyui(script: Any, status: str):
    desk = Desk(Server(script))

    assert desk.query(desk.create())["status"] == status


def test_list_4_point_08_a_finished_task_has_a_url_and_a_failed_one_a_message():
    desk = Desk(Server(MAPPED["success"][0]))
    state = desk.query(desk.create(workflow_id="3"))
    failed = Desk(Server(MAPPED["error"][0]))

    assert state["result"].startswith("http://fake:8188/view?filename=x_00001_.png&")
    assert {"task_type", "workflow_id", "create_timestamp", "miner_id", "task_details"} <= set(
        state
    )
    assert failed.query(failed.create())["msg"] == "no paint"


def test_several_outputs_are_a_list_of_urls():
    two = {"2": {"images": [PICTURE, {**PICTURE, "filename": "b.png"}]}}
    desk = Desk(Server(only(lambda p: finish(p, outputs=two))))

    assert len(desk.query(desk.create())["result"]) == 2


def test_a_workflow_that_comfyui_refuses_makes_a_failed_task():
    worker = Server()
    worker.routes["POST", "/prompt"] = lambda _: Response(
        status=400, body=b'{"error": {"message": "no such node"}, "node_errors": {}}'
    )
    desk = Desk(worker)

    state = desk.query(desk.create())

    assert (state["status"], state["msg"]) == ("failed", "no such node")


def test_list_4_point_07_cancel_before_the_start_takes_it_out_of_the_queue():
    desk = Desk(Server(stays))
    task = desk.create()

    assert desk.cancel(task) == (200, {"task_id": task, "msg": "task canceled"})
    assert desk.query(task)["status"] == "canceled"
    assert not desk.workers[0].pending


def test_list_4_point_07_cancel_while_running_interrupts_it():
    desk = Desk(Server(only(begin)))
    task = desk.create()

    assert desk.cancel(task)[1]["msg"] == "task canceled"
    assert len(desk.workers[0].asked("POST", "/interrupt")) == 1


def test_list_4_point_07_cancel_after_the_end_and_of_an_unknown_id_say_so():
    desk = Desk(Server(only(finish)))
    task = desk.create()

    assert desk.cancel(task) == (200, {"task_id": task, "msg": "task is finished already"})
    assert desk.cancel("nobody") == (404, {"message": "task not found"})


def test_list_4_point_09_timeout_seconds_makes_the_server_cancel_and_report_it():
    desk = Desk(Server(only(begin)))
    task = desk.create(timeout_seconds=3)
    assert desk.wakes == [3_000_000]

    desk.wake(2_999_999)
    assert desk.query(task)["status"] == "running"
    desk.wake(3_000_000)
    state = desk.query(task)

    assert state["status"] == "canceled"
    assert state["msg"] == "timeout_seconds (3) reached"


def test_list_4_point_10_the_queue_position_falls_as_the_queue_moves():
    worker = Server(stays)
    desk = Desk(worker)
    tasks = [desk.create() for _ in range(3)]
    first, second = list(worker.pending)[:2]

    seen = [desk.query(tasks[2])["queue_position"]]
    begin(first)(worker)
    finish(first)(worker)
    seen.append(desk.query(tasks[2])["queue_position"])
    begin(second)(worker)
    finish(second)(worker)
    seen.append(desk.query(tasks[2])["queue_position"])
    begin(next(iter(worker.pending)))(worker)

    assert seen == [2, 1, 0]
    assert "queue_position" not in desk.query(tasks[2])


def test_tasks_go_to_the_worker_with_the_least_to_do():
    desk = Desk(Server(stays), Server(stays))

    miners = [desk.query(desk.create())["miner_id"] for _ in range(4)]

    assert miners == ["miner-0", "miner-1", "miner-0", "miner-1"]
    desk.create()
    assert (
        desk.post("/resource_request", {"consumer_id": "me", "api_key": "k"})[1]["miner_id"]
        == "miner-1"
    )


BAD = {
    "GET": ("/task_create", {"api_key": "k"}, "GET", 405),
    "no JSON": ("/task_create", b"{", "POST", 400),
    "a list": ("/task_create", [], "POST", 400),
    "brackets": ("/task_create", b"[" * 100_000, "POST", 400),
    "no key": ("/task_create", {}, "POST", 401),
    "an empty key": ("/task_result_query", {"api_key": ""}, "POST", 401),
    "no consumer": ("/task_create", {"api_key": "k"}, "POST", 400),
    "an unknown type": (
        "/task_create",
        {"api_key": "k", "consumer_id": "c", "task_type": "x"},
        "POST",
        400,
    ),
    "no parameters": (
        "/task_create",
        {"api_key": "k", "consumer_id": "c", "task_type": "txt2img"},
        "POST",
        400,
    ),
    "an odd timeout": (
        "/task_create",
        {
            "api_key": "k",
            "consumer_id": "c",
            "task_type": "txt2img",
            "task_details": {"parameters": {}},
            "timeout_seconds": -1,
        },
        "POST",
        400,
    ),
    "an unknown task": ("/task_result_query", {"api_key": "k", "task_id": "t"}, "POST", 404),
    "a task that is no text": ("/task_cancel", {"api_key": "k", "task_id": [1]}, "POST", 404),
}


@pytest.mark.parametrize(("path", "body", "method", "code"), BAD.values(), ids=BAD)
def test_bad_questions_are_refused_with_a_message(path: str, body: Any, method: str, code: int):
    status, said = Desk(Server()).post(path, body, method)

    assert status == code
    assert said["message"]


def test_known_keys_are_the_only_ones_when_they_are_given():
    desk = Desk(Server(), keys={"me": "k"})

    assert desk.post("/resource_request", {"consumer_id": "me", "api_key": "no"})[0] == 401
    assert desk.post("/resource_request", {"consumer_id": "you", "api_key": "k"})[0] == 401
    assert desk.query(desk.create())["status"] == "finished"


def test_list_4_point_13_keys_are_in_no_answer_and_no_fact():
    desk = Desk(Server(), keys={"me": "s3cret-key"})
    _, created = desk.post(
        "/task_create",
        {
            "consumer_id": "me",
            "api_key": "s3cret-key",
            "task_type": "txt2img",
            "task_details": {"parameters": {}},
        },
    )
    answers = [
        desk.post(path, {"consumer_id": "me", "api_key": "s3cret-key", **created})
        for path in ROUTES
    ]

    assert "s3cret" not in json.dumps([answers, dict(desk.source.facts())])
    assert not any(b"s3cret" in request.body for request in desk.workers[0].requests)


def test_list_4_point_13_keys_are_in_no_error_of_the_client():
    class Echo(Server):
        def _answer(self, request: Request, path: str, now: int) -> Response:
            return Response(status=400, body=request.body)

    async def talk(client: TaskClient) -> str:
        with pytest.raises(TaskError) as caught:
            await client.query("t")
        return str(caught.value)

    async def main(url: str) -> str:
        async with TaskClient(url, api_key="me#k-1234", environment={}) as client:
            return await talk(client)

    with serve(Echo(), speed=1.0) as handle:
        said = asyncio.run(main(handle.url))

    assert "k-1234" not in said


def test_what_is_no_task_goes_to_the_first_worker_untouched():
    desk = Desk(Server(), Server())

    status, said = desk.post("/queue", b"", "GET")

    assert (status, said) == (200, {"queue_running": [], "queue_pending": []})


def test_a_caller_that_goes_away_is_not_answered():
    class Later(Server):
        """Answers the submission only when it is woken."""

        held: Any = None

        def handle(self, happened: Any, now: int) -> list[Any]:
            if isinstance(happened, RequestReceived):
                self.held = happened
                return []
            return super().handle(self.held, now) if isinstance(happened, Woke) else []

    desk = Desk(Later())
    body = {
        "consumer_id": "me",
        "api_key": "k",
        "task_type": "txt2img",
        "task_details": {"parameters": {}},
    }
    request = Request("POST", "/task_create", (), json.dumps(body).encode())

    assert desk.feed(RequestReceived(7, request)) == []
    assert desk.feed(RequestAborted(7)) == []
    assert desk.feed(Woke()) == []


def test_a_worker_that_hangs_up_is_out_of_order():
    worker = Server(stays)
    worker.routes["GET", "/queue"] = lambda _: HangUp(0)
    desk = Desk(worker)

    status, said = desk.post("/task_result_query", {"task_id": desk.create(), "api_key": "k"})

    assert status == 502
    assert "out of order" in said["message"]


def test_submit_wait_and_finish_over_the_network():
    desk = Desk(Server())

    state = visit(desk.source, lambda client: client.execute_and_wait(FLUX, interval_s=1.0))

    assert state["status"] == "finished"
    assert state["result"].startswith("http://127.0.0.1:")


def test_list_4_point_06_a_task_can_be_queried_and_canceled_after_the_timeout():
    desk = Desk(Server(only(begin)))

    async def talk(client: TaskClient) -> tuple[str, str]:
        task_id = await client.execute(FLUX)
        with pytest.raises(TaskTimedOut):
            await client.wait(task_id, timeout_s=0.01, interval_s=1.0)
        before = (await client.query(task_id))["status"]
        await client.cancel(task_id)
        return before, (await client.query(task_id))["status"]

    assert visit(desk.source, talk) == ("running", "canceled")


# --- the real SDK -----------------------------------------------------------------------------

DRIVER = """
const { Heurist, UpscalerTask, FluxLoraTask, Text2VideoTask } = await import(process.argv[2]);
const client = new Heurist({ workflowURL: process.argv[3], apiKey: "me#k-1234" });
const flow = client.workflow;
const out = {};
const attempt = async (work) => {
  try { return await work(); } catch (e) { return { error: e.message, details: e.errorDetails }; }
};
const picture = new FluxLoraTask({ prompt: "a bridge", lora_name: "ink", steps: 3 });
out.finished = await flow.executeWorkflowAndWaitForResult(picture, 5000, 1000);
const broken = new UpscalerTask({ image_url: "http://x/y.png" });
out.failed = await flow.executeWorkflowAndWaitForResult(broken, 5000, 1000);
const film = new Text2VideoTask({ prompt: "fog" });
const id = await flow.executeWorkflow(film);
out.running = await flow.queryTaskResult(id);
out.cancel = await flow.cancelTask(id);
out.canceled = await flow.queryTaskResult(id);
out.timeout = await attempt(() => flow.executeWorkflowAndWaitForResult(film, 1, 1000));
out.unknown = await attempt(() => flow.queryTaskResult("nobody"));
out.resource = await flow.resourceRequest("me", "3", "txt2img");
console.log(JSON.stringify(out));
"""


def sdk() -> Path:
    """The module of the npm package; skips where it, or node, is missing."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    home = Path(os.environ.get("COMFYREC_HEURIST", "node_modules/heurist"))
    module = home / "dist" / "index.mjs"
    if not module.exists():
        pytest.skip("npm install heurist, or name its folder with COMFYREC_HEURIST, to run this")
    return module.resolve()


def by_kind(server: Server, prompt_id: str) -> Iterator[Any]:
    """Pictures come out, upscaling fails, films never end."""
    graph = json.loads(server.asked("POST", "/prompt")[-1].body)["prompt"]
    kind = next(n["inputs"]["filename_prefix"] for n in graph.values() if "Save" in n["class_type"])
    yield {
        "txt2img": finish(prompt_id),
        "upscaler": finish(prompt_id, kind="error", outputs={}, exception_message="no paint"),
        "txt2vid": begin(prompt_id),
    }[kind]


def test_the_real_sdk_submits_waits_finishes_fails_cancels_and_times_out(tmp_path: Path):
    module = sdk()
    driver = tmp_path / "driver.mjs"
    driver.write_text(DRIVER)

    with serve(Desk(Server(by_kind)).source, speed=1.0) as handle:
        done = subprocess.run(
            ["node", str(driver), module.as_uri(), handle.url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout)
    assert out["finished"]["status"] == "finished"
    assert out["finished"]["result"].endswith("type=output")
    assert (out["failed"]["status"], out["failed"]["msg"]) == ("failed", "no paint")
    assert out["running"]["status"] == "running"
    assert out["cancel"]["msg"] == "task canceled"
    assert out["canceled"]["status"] == "canceled"
    assert out["timeout"]["error"] == "Timeout waiting for task result"
    assert out["unknown"]["details"] == {
        "status_code": 404,
        "error_type": "client_error",
        "message": "task not found",
    }
    assert out["resource"]


# --- before the simulated ComfyUI -------------------------------------------------------------


def test_tasks_of_every_kind_run_on_the_simulated_server():
    async def talk(client: TaskClient) -> list[str]:
        tasks = (FLUX, UpscalerTask(image_url="u"), Text2VideoTask(prompt="fog", length=2))
        states = [await client.execute_and_wait(task, interval_s=1.0) for task in tasks]
        return [f"{state['task_type']} {state['status']}" for state in states]

    ran = visit(Sequencer.before(SimulatedServer, workers=2), talk)

    assert ran == ["txt2img finished", "upscaler finished", "txt2vid finished"]


def test_the_same_seed_gives_the_same_task_ids():
    def ids(seed: int) -> list[str]:
        sequencer = Sequencer.before(Server, seed=seed)
        return [sequencer._new_id() for _ in range(3)]

    assert ids(1) == ids(1)
    assert not set(ids(1)) & set(ids(2))


def test_the_result_of_a_task_can_be_fetched_from_its_url():
    async def talk(client: TaskClient) -> bytes:
        state = await client.execute_and_wait(FLUX, interval_s=1.0)
        async with aiohttp.ClientSession() as http, http.get(state["result"]) as answered:
            return await answered.read()

    assert visit(Sequencer.before(SimulatedServer), talk).startswith(b"\x89PNG")
