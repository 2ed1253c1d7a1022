"""A task interface in front of ComfyUI servers: POST a task, query it, cancel it.

``Sequencer`` is a source with other sources as workers. Requests for other routes than those of
tasks go to the first worker unchanged, so one address serves both. For tasks it is an ordinary
client of its workers: it submits prompts, reads queue and history, and interrupts, through their
``handle``. Which ComfyUI state gives which task status:

========================================  ===========
in the queue, waiting                     ``waiting``
in the queue, running                     ``running``
history: success                          ``finished``
history: error; or refused at once        ``failed``
history: interrupted; or in neither       ``canceled``
history: success, but canceled before     ``canceled``
========================================  ===========

The routes and bodies are those of Heurist's sequencer. No answer repeats a key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID, uuid5

import msgspec

from comfyrec.client.http import interrupt, requests
from comfyrec.client.http.exchange import Conversation, HttpRequest, HttpResponse, with_query
from comfyrec.client.workflow import Workflow
from comfyrec.errors import BadAnswer, Rejected
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
from fake_server.surfaces.task import Task
from fake_server.surfaces.task_graphs import GRAPHS, Graph, Parameters

if TYPE_CHECKING:
    from comfyrec.timeline import Timeline

__all__ = ["ROUTES", "Sequencer"]

ROUTES: Final = ("/resource_request", "/task_create", "/task_result_query", "/task_cancel")

_TASKS_MAX: Final = 10_000
"""As many as the real server's history holds; the oldest that are over are forgotten first."""

_NAMESPACE: Final = UUID("3c6ef372-bb67-5e85-a54f-f53a510e527f")

_ANSWER_US: Final = 30_000_000
"""Virtual microseconds that a worker has for an answer, as many gateways have it."""

_TOO_SLOW: Final = b"the worker did not answer in time"

_FIRST_OWN_EXCHANGE: Final = 1 << 49
"""Of the questions to workers: beyond all numbers that come from outside."""

_JSON: Final = (("Content-Type", "application/json; charset=utf-8"),)
_TAKES_POST: Final = ("Allow", "POST")


T = TypeVar("T")


class _Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


_Asking = Generator[tuple[int, HttpRequest], HttpResponse, T]
"""Yields which worker is asked what, and is sent its answer."""
_Work = _Asking[Response | None]
"""A piece of work, which returns what the caller is answered."""


class _Question(msgspec.Struct, eq=False):
    """A request to a worker that it has not answered yet."""

    work: _Work
    caller: int | None
    """The exchange that is answered in the end; None: nobody waits for that any more."""
    worker: int
    until: int
    """Virtual microseconds."""


class Sequencer(Source):
    """Sources with a task interface in front.

    Args:
        workers: simulated workers, ``miner_id`` -> source. The first one is also the ComfyUI that
            the address shows.
        new_id: gives a new task id at each call.
        graphs: task type -> the workflow that is run for it.
        keys: ``consumer_id`` -> key; ``None`` accepts any key that is not empty.
    """

    def __init__(
        self,
        workers: Mapping[str, Source],
        *,
        new_id: Callable[[], str],
        graphs: Mapping[str, Callable[[Parameters], Graph]] = GRAPHS,
        keys: Mapping[str, str] | None = None,
    ) -> None:
        if not workers:
            raise ValueError("a sequencer needs a worker")
        self.tasks: dict[str, Task] = {}
        self._miners = tuple(workers)
        self._workers = tuple(workers.values())
        self._new_id = new_id
        self._graphs = graphs
        self._keys = keys
        self._own_exchanges = count(_FIRST_OWN_EXCHANGE)
        self._waiting: dict[int, _Question] = {}
        self._real_waits: dict[int, tuple[int, int]] = {}  # our token -> worker, and its token
        self._tokens = count()
        self._now = 0

    @classmethod
    def before(
        cls,
        make: Callable[[], Source],
        *,
        workers: int = 1,
        seed: int = 0,
        keys: Mapping[str, str] | None = None,
    ) -> Sequencer:
        """A sequencer before that many workers, with the same task ids for the same seed."""
        numbers = count()
        return cls(
            {f"worker-{n}": make() for n in range(1, workers + 1)},
            new_id=lambda: str(uuid5(_NAMESPACE, f"{seed} {next(numbers)}")),
            keys=keys,
        )

    def facts(self) -> Mapping[str, Any]:
        """The first worker's, and how many tasks stand how."""
        counts: dict[str, int] = {}
        for task in self.tasks.values():
            counts[task.status] = counts.get(task.status, 0) + 1
        return {**self._workers[0].facts(), "tasks": counts, "workers": list(self._miners)}

    def ended(self, prompt_id: str) -> Mapping[str, Any] | None:
        """As the worker that ran it."""
        told = (worker.ended(prompt_id) for worker in self._workers)
        return next((entry for entry in told if entry is not None), None)

    def reset(self, parts: Collection[str]) -> None:
        """Let the workers forget; with ``history`` the tasks that are over are forgotten, too.

        Raises:
            UsageError: a worker cannot forget one of the parts by itself.
        """
        for worker in self._workers:
            worker.reset(parts)
        if "history" in parts:
            self.tasks = {name: task for name, task in self.tasks.items() if not task.over}

    def step_by_frame(self, on: bool) -> None:
        """Let the workers stop after each frame."""
        for worker in self._workers:
            worker.step_by_frame(on)

    def learn(self, workflows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Let every worker learn.

        Raises:
            UsageError: a worker runs nothing.
            WorkflowError: one of them is not a workflow; nothing is learned then.
        """
        facts = [worker.learn(workflows) for worker in self._workers]
        return facts[0]

    @property
    def complaints(self) -> Sequence[str]:
        """The workers', each sentence once."""
        return list(dict.fromkeys(one for worker in self._workers for one in worker.complaints))

    @property
    def timeline(self) -> Timeline | None:
        """The recording that the first worker replays."""
        return self._workers[0].timeline

    @property
    def takes_stored(self) -> bool:
        """No: it reads the bodies of tasks itself."""
        return False

    def handle(self, happened: Happened, now: int) -> Iterable[Action]:
        """Take what happened and say what shall happen."""
        self._now = now
        if isinstance(happened, RequestReceived):
            route = happened.request.parts.raw_path
            if route in ROUTES:
                yield from self._asked(happened.exchange, route, happened.request)
                return
        if isinstance(happened, Woke):
            yield from self._woke()
        elif isinstance(happened, RealTimePassed):
            worker, token = self._real_waits.pop(happened.token)
            yield from self._pass(worker, RealTimePassed(token))
        elif isinstance(happened, RequestAborted) and self._leave(happened.exchange):
            pass
        else:
            yield from self._pass(0, happened)

    # --- workers -----------------------------------------------------------------------------

    def _pass(self, worker: int, happened: Happened) -> Iterator[Action]:
        """Let a worker handle an input; answers to the sequencer's own requests are taken out."""
        for action in self._workers[worker].handle(happened, self._now):
            if isinstance(action, Respond | HangUp) and action.exchange >= _FIRST_OWN_EXCHANGE:
                yield from self._answered(action)
            elif isinstance(action, WaitRealTime):
                token = next(self._tokens)
                self._real_waits[token] = worker, action.token
                yield WaitRealTime(token, action.real_us)
            else:
                yield action

    def _woke(self) -> Iterator[Action]:
        for number in range(len(self._workers)):
            yield from self._pass(number, Woke())
        for own in [n for n, one in self._waiting.items() if self._now >= one.until]:
            yield from self._pass(self._waiting[own].worker, RequestAborted(own))
            yield from self._answered(Respond(own, Response(status=504, body=_TOO_SLOW)))
        for task in [t for t in self.tasks.values() if self._is_late(t)]:
            task.timed_out = True
            yield from self._work(self._expire(task), None)

    def _is_late(self, task: Task) -> bool:
        late = task.deadline is not None and self._now >= task.deadline
        return late and not task.over and not task.timed_out

    def _work(self, work: _Work, exchange: int | None) -> Iterator[Action]:
        yield from self._go_on(work, exchange, None)

    def _go_on(
        self, work: _Work, exchange: int | None, answer: HttpResponse | None
    ) -> Iterator[Action]:
        try:
            worker, ask = next(work) if answer is None else work.send(answer)
        except StopIteration as end:
            result = end.value
        except _Refusal as refusal:
            result = _json({"message": refusal.message}, refusal.status)
        except BadAnswer as bad:
            result = _json({"message": f"the worker is out of order: {bad}"}, 502)
        else:
            own = next(self._own_exchanges)
            self._waiting[own] = _Question(work, exchange, worker, self._now + _ANSWER_US)
            yield from self._pass(worker, RequestReceived(own, _request(ask)))
            if own in self._waiting:
                yield Wake(self._now + _ANSWER_US)
            return
        if exchange is not None and result is not None:
            yield Respond(exchange, result)

    def _answered(self, action: Respond | HangUp) -> Iterator[Action]:
        question = self._waiting.pop(action.exchange, None)
        if question is None:  # it took too long
            return
        # What a gateway answers for a server that hangs up.
        got = action.answer if isinstance(action, Respond) else Response(status=502)
        answer = HttpResponse(status=got.status, body=got.body, url="")
        yield from self._go_on(question.work, question.caller, answer)

    def _leave(self, exchange: int) -> bool:
        """The caller went away: the work goes on, and nobody is answered."""
        for question in self._waiting.values():
            if question.caller == exchange:
                question.caller = None
                return True
        return False

    # --- routes ------------------------------------------------------------------------------

    def _asked(self, exchange: int, route: str, request: Request) -> Iterator[Action]:
        try:
            body = self._checked(request)
            work = {
                "/resource_request": self._resource,
                "/task_create": self._create,
                "/task_result_query": self._query,
                "/task_cancel": self._cancel,
            }[route](body, request)
        except _Refusal as refusal:
            answer = _json({"message": refusal.message}, refusal.status)
            if refusal.status == 405:
                answer = msgspec.structs.replace(answer, headers=(*answer.headers, _TAKES_POST))
            yield Respond(exchange, answer)
            return
        yield from self._work(work, exchange)
        yield from self._deadlines()

    def _checked(self, request: Request) -> dict[str, Any]:
        """The body, once method, shape and key are right."""
        if request.method != "POST":
            raise _Refusal(405, "this route takes POST")
        try:
            body = request.read_json()
        except (ValueError, RecursionError):
            raise _Refusal(400, "the body is not valid JSON") from None
        if not isinstance(body, dict):
            raise _Refusal(400, "the body must be an object")
        key = body.get("api_key")
        if not isinstance(key, str) or not key:
            raise _Refusal(401, "api_key is missing")
        if self._keys is not None and not self._is_known(body.get("consumer_id"), key):
            raise _Refusal(401, "api_key is not valid")
        return body

    def _is_known(self, consumer: object, key: str) -> bool:
        keys = self._keys or {}
        return keys.get(str(consumer)) == key if consumer is not None else key in keys.values()

    def _resource(self, body: dict[str, Any], _request: Request) -> _Work:
        """The worker with the least to do."""
        return _at_once(_json({"miner_id": self._miners[self._least_busy()], "msg": "ok"}))

    def _least_busy(self) -> int:
        load = [0] * len(self._workers)
        for task in self.tasks.values():
            load[task.worker] += not task.over
        return load.index(min(load))

    def _create(self, body: dict[str, Any], _request: Request) -> _Work:
        kind = body.get("task_type")
        details = body.get("task_details")
        parameters = details.get("parameters") if isinstance(details, dict) else None
        if not isinstance(body.get("consumer_id"), str) or not body["consumer_id"]:
            raise _Refusal(400, "consumer_id is missing")
        if kind not in self._graphs:
            raise _Refusal(400, f"task_type must be one of {', '.join(sorted(self._graphs))}")
        if not isinstance(parameters, dict):
            raise _Refusal(400, "task_details.parameters must be an object")
        limit = body.get("timeout_seconds")
        if limit is not None and not (isinstance(limit, int | float) and 0 < limit < 1e9):
            raise _Refusal(400, "timeout_seconds must be a number greater than 0")
        task = Task(
            task_id=self._new_id(),
            worker=self._least_busy(),
            asked={key: value for key, value in body.items() if key != "api_key"},
            created=self._now,
            deadline=None if limit is None else self._now + round(limit * 1_000_000),
        )
        self._remember(task)
        return self._submit(task, self._graphs[str(kind)](parameters))

    def _remember(self, task: Task) -> None:
        self.tasks[task.task_id] = task
        if len(self.tasks) > _TASKS_MAX:
            oldest = next((t.task_id for t in self.tasks.values() if t.over), None)
            if oldest is None:
                del self.tasks[task.task_id]
                raise _Refusal(429, "too many tasks are waiting")
            del self.tasks[oldest]

    def _submit(self, task: Task, graph: Graph) -> _Work:
        conversation = requests.submit(Workflow(graph), client_id=f"task-{task.task_id}")
        try:
            accepted = yield from self._via(task.worker, conversation)
        except Rejected as refusal:
            # The task exists all the same; a query says why it failed.
            task.status, task.msg = "failed", refusal.why
        else:
            task.prompt_id = accepted.prompt_id
        return _json({"task_id": task.task_id})

    def _query(self, body: dict[str, Any], request: Request) -> _Work:
        task = self._known(body)
        yield from self._look(task)
        return _json(task.state(miner=self._miners[task.worker], origin=request.origin))

    def _cancel(self, body: dict[str, Any], _request: Request) -> _Work:
        task = self._known(body)
        yield from self._look(task)
        if task.over:
            return _json({"task_id": task.task_id, "msg": f"task is {task.status} already"})
        yield from self._stop(task)
        yield from self._look(task)
        msg = "task canceled" if task.status == "canceled" else "cancellation requested"
        return _json({"task_id": task.task_id, "msg": msg})

    def _expire(self, task: Task) -> _Work:
        """The time that the task was given is over."""
        yield from self._look(task)
        if not task.over:
            task.msg = f"timeout_seconds ({task.asked['timeout_seconds']}) reached"
            yield from self._stop(task)
        return None

    def _known(self, body: dict[str, Any]) -> Task:
        task = self.tasks.get(str(body.get("task_id")))
        if task is None:
            raise _Refusal(404, "task not found")
        return task

    # --- as a client of ComfyUI ----------------------------------------------------------------

    def _stop(self, task: Task) -> _Asking[None]:
        if not task.prompt_id:
            return
        effect = yield from self._via(task.worker, interrupt.stop(task.prompt_id))
        task.stopped = effect not in (interrupt.Effect.TOO_LATE, interrupt.Effect.UNKNOWN)
        if effect is interrupt.Effect.DELETED:
            task.status = "canceled"

    def _look(self, task: Task) -> _Asking[None]:
        """Bring a task up to date.

        The history is asked first, as a queue may go on showing what has ended, and once more if
        the prompt is not in the queue either: it may have ended in between.
        """
        if task.over or not task.prompt_id:
            return
        entry = yield from self._entry(task)
        if entry is None:
            ask = requests.queue()
            queued = requests.read_queue(ask, (yield task.worker, ask))
            place = requests.place_in(queued, task.prompt_id)
            task.position = place.position
            if place.running or place.position is not None:
                task.status = "running" if place.running else "waiting"
                return
            entry = yield from self._entry(task)
        task.conclude(entry)

    def _entry(self, task: Task) -> _Asking[dict[str, Any] | None]:
        ask = requests.history(task.prompt_id)
        return requests.read_history(ask, (yield task.worker, ask), task.prompt_id)

    def _via(self, worker: int, conversation: Conversation[T]) -> _Asking[T]:
        """A client's conversation with one of the workers."""
        try:
            ask = next(conversation)
            while True:
                ask = conversation.send((yield worker, ask))
        except StopIteration as end:
            result: T = end.value
            return result

    def _deadlines(self) -> Iterator[Action]:
        """Be woken at the next deadline."""
        times: Sequence[int] = [
            task.deadline
            for task in self.tasks.values()
            if task.deadline is not None and not task.over and not task.timed_out
        ]
        if times:
            yield Wake(min(times))


def _at_once(answer: Response) -> _Work:
    """Work without a request to a worker."""
    yield from ()
    return answer


def _request(ask: HttpRequest) -> Request:
    headers = (("Content-Type", ask.content_type),) if ask.content_type else ()
    return Request(
        method=ask.method,
        target=with_query(ask.path, ask.query),
        headers=(("Host", "127.0.0.1"), *headers),
        body=ask.body or b"",
    )


def _json(value: Mapping[str, Any], status: int = 200) -> Response:
    return Response(status=status, headers=_JSON, body=json.dumps(value).encode())
