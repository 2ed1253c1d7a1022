"""The task interface in front of ComfyUI servers, without a network."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from typing import Any

import pytest

from fake_server.scenario_source import scenario_source
from fake_server.scenarios import choose, names
from fake_server.source import (
    Action,
    HangUp,
    Happened,
    RealTimePassed,
    Request,
    RequestAborted,
    RequestReceived,
    Respond,
    Response,
    Source,
    WaitRealTime,
    Wake,
    Woke,
)
from fake_server.surfaces.task_server import ROUTES, Sequencer
from tests.support.scripted_comfyui import PICTURE, Server, begin, finish
from tests.support.task_desk import Desk, only, stays

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
def test_the_status_follows_comfyui(script: Any, status: str):
    desk = Desk(Server(script))

    assert desk.query(desk.create())["status"] == status


def test_a_finished_task_has_a_url_and_a_failed_one_a_message():
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


def test_cancel_before_the_start_takes_it_out_of_the_queue():
    desk = Desk(Server(stays))
    task = desk.create()

    assert desk.cancel(task) == (200, {"task_id": task, "msg": "task canceled"})
    assert desk.query(task)["status"] == "canceled"
    assert not desk.workers[0].pending


def test_cancel_while_running_interrupts_it():
    desk = Desk(Server(only(begin)))
    task = desk.create()

    assert desk.cancel(task)[1]["msg"] == "task canceled"
    assert len(desk.workers[0].asked("POST", "/interrupt")) == 1


def test_cancel_after_the_end_and_of_an_unknown_id_say_so():
    desk = Desk(Server(only(finish)))
    task = desk.create()

    assert desk.cancel(task) == (200, {"task_id": task, "msg": "task is finished already"})
    assert desk.cancel("nobody") == (404, {"message": "task not found"})


def test_timeout_seconds_makes_the_server_cancel_and_report_it():
    desk = Desk(Server(only(begin)))
    task = desk.create(timeout_seconds=3)
    assert desk.wakes == [3_000_000]

    desk.wake(2_999_999)
    assert desk.query(task)["status"] == "running"
    desk.wake(3_000_000)
    state = desk.query(task)

    assert state["status"] == "canceled"
    assert state["msg"] == "timeout_seconds (3) reached"


def test_the_queue_position_falls_as_the_queue_moves():
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
    "a task that is not text": ("/task_cancel", {"api_key": "k", "task_id": [1]}, "POST", 404),
}


@pytest.mark.parametrize(("path", "body", "method", "code"), BAD.values(), ids=BAD)
def test_bad_requests_are_refused_with_a_message(path: str, body: Any, method: str, code: int):
    status, said = Desk(Server()).post(path, body, method)

    assert status == code
    assert said["message"]


def test_a_wrong_method_is_told_the_right_one():
    asked = Request("GET", "/task_create", (("Host", "fake:8188"),))

    [reply] = Desk(Server()).feed(RequestReceived(1, asked))

    assert reply.answer.status == 405
    assert dict(reply.answer.headers)["Allow"] == "POST"


def test_known_keys_are_the_only_ones_when_they_are_given():
    desk = Desk(Server(), keys={"me": "k"})

    assert desk.post("/resource_request", {"consumer_id": "me", "api_key": "no"})[0] == 401
    assert desk.post("/resource_request", {"consumer_id": "you", "api_key": "k"})[0] == 401
    assert desk.query(desk.create())["status"] == "finished"


def test_keys_are_in_no_answer_and_no_fact():
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


def test_what_is_not_a_task_goes_to_the_first_worker_untouched():
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


def test_the_same_seed_gives_the_same_task_ids():
    def ids(seed: int) -> list[str]:
        sequencer = Sequencer.before(Server, seed=seed)
        return [sequencer._new_id() for _ in range(3)]

    assert ids(1) == ids(1)
    assert not set(ids(1)) & set(ids(2))


class SourceInVirtualTime:
    """Requests to a source, which waits for nothing: time goes to the next moment at once."""

    def __init__(self, source: Source) -> None:
        self.source, self.now = source, 0
        self._moments: list[tuple[int, int]] = []
        self._answers: dict[int, Any] = {}
        self._asked = 0

    def _feed(self, happened: Happened) -> None:
        for action in self.source.handle(happened, self.now):
            if isinstance(action, Wake):
                heapq.heappush(self._moments, (action.at, -1))
            elif isinstance(action, WaitRealTime):
                heapq.heappush(self._moments, (self.now + action.real_us, action.token))
            elif isinstance(action, Respond):
                self._answers[action.exchange] = json.loads(action.answer.body)

    def wait(self, until: int, *, answer: int = -1) -> None:
        while self._moments and self._moments[0][0] <= until and answer not in self._answers:
            at, token = heapq.heappop(self._moments)
            self.now = max(self.now, at)
            self._feed(Woke() if token < 0 else RealTimePassed(token))
        if answer not in self._answers:
            self.now = until

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        self._asked += 1
        data = json.dumps({"api_key": "k", **body}).encode()
        request = Request("POST", path, (("Host", "fake:8188"),), data)
        self._feed(RequestReceived(self._asked, request))
        self.wait(self.now + 60_000_000, answer=self._asked)
        answer: dict[str, Any] = self._answers[self._asked]
        return answer

    def create(self) -> str:
        said = self.post(
            "/task_create",
            consumer_id="me",
            task_type="txt2img",
            task_details={"parameters": {}},
        )
        task_id: str = said["task_id"]
        return task_id

    def end_of(self, task_id: str) -> str:
        """The last status of a task, or the last message about it."""
        for _ in range(30):
            state = self.post("/task_result_query", task_id=task_id)
            if state.get("status") in ("finished", "failed", "canceled"):
                break
            self.wait(self.now + 1_000_000)
        return str(state.get("status") or state["message"])


# A task that has no end of its own: its worker has died, or takes nothing out of its queue.
WITHOUT_AN_END = {
    "hard-crash": "out of order",
    "unserializable-kills-server": "out of order",
    "worker-dead": "waiting",
}


def tasks_under(name: str) -> SourceInVirtualTime:
    choices = [choose(name)]
    return SourceInVirtualTime(Sequencer.before(lambda: scenario_source(choices)))


@pytest.mark.parametrize("name", names())
def test_a_task_comes_to_an_end_under_every_scenario(name: str) -> None:
    server = tasks_under(name)

    end = server.end_of(server.create())

    assert end in ("finished", "failed", "canceled") or WITHOUT_AN_END[name] in end


ENDS = {
    "success": "finished",
    "all-cached": "finished",
    "ws-silent": "finished",
    "queued-behind": "finished",
    "empty-then-cached-poll": "finished",
    "execution-error": "failed",
    "reject-400": "failed",
    "http-hang": "failed",
    "pending-deleted": "canceled",
    "server-restart": "canceled",
}


@pytest.mark.parametrize(("name", "end"), ENDS.items(), ids=ENDS)
def test_the_end_of_a_task_is_that_of_its_prompt(name: str, end: str) -> None:
    server = tasks_under(name)

    assert server.end_of(server.create()) == end


@pytest.mark.parametrize("after_us", range(0, 600_001, 100_000))
def test_a_task_that_is_canceled_before_its_end_ends_as_canceled(after_us: int) -> None:
    server = tasks_under("lifelike")
    task_id = server.create()
    server.wait(after_us)

    said = server.post("/task_cancel", task_id=task_id)["msg"]

    early = said in ("task canceled", "cancellation requested")
    assert server.end_of(task_id) == ("canceled" if early else "finished")


def test_a_task_that_is_canceled_in_its_last_node_ends_as_canceled() -> None:
    server = tasks_under("lifelike")
    task_id = server.create()
    server.wait(1_000)

    said = server.post("/task_cancel", task_id=task_id)["msg"]

    assert said == "cancellation requested"
    assert server.end_of(task_id) == "canceled"


def test_a_worker_that_does_not_answer_is_given_up_after_thirty_seconds() -> None:
    server = tasks_under("http-hang")

    task_id = server.create()

    assert server.now == 30_000_000
    state = server.post("/task_result_query", task_id=task_id)
    assert state["msg"] == "the worker did not answer in time"


def test_each_worker_waits_for_its_own_real_time() -> None:
    class Slow(Source):
        """Answers after a while of real time; every worker has the same token."""

        def __init__(self) -> None:
            self.asked: list[int] = []

        def handle(self, happened: Happened, now: int) -> Iterator[Action]:
            if isinstance(happened, RequestReceived):
                self.asked.append(happened.exchange)
                yield WaitRealTime(0, 1_000)
            elif isinstance(happened, RealTimePassed):
                yield Respond(self.asked.pop(), Response(body=b'{"prompt_id": "p"}'))

    server = SourceInVirtualTime(
        Sequencer({"a": Slow(), "b": Slow()}, new_id=iter(["one", "two"]).__next__)
    )

    assert [server.create(), server.create()] == ["one", "two"]


def test_a_reset_reaches_every_worker_and_forgets_the_tasks_that_are_over() -> None:
    desk = Desk(Server(only(finish)), Server(stays))
    over, waiting = desk.create(), desk.create()
    desk.query(over)
    forgotten: list[tuple[str, ...]] = []
    for worker in desk.workers:
        worker.reset = lambda parts: forgotten.append(tuple(parts))

    desk.source.reset(("history",))

    assert forgotten == [("history",), ("history",)]
    assert list(desk.source.tasks) == [waiting]
