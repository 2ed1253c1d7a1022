"""Operators on what the server remembers: history, queue, and the outputs in both of them.

They are about the client under test only; the scenario's other users always get the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from comfyrec.events.outputs import change_files
from fake_server.scenarios.kit.frames_ops import mutate
from fake_server.scenarios.kit.http_ops import (
    VIEW,
    change_request,
    patch_json,
    per_response,
    respond,
)
from fake_server.scenarios.kit.matchers import Match, dump, event
from fake_server.scenarios.kit.observer import MILLISECOND, ObservedPrompt, Observer
from fake_server.scenarios.kit.operator import HearAgain, Operator, Step, Tally
from fake_server.scenarios.kit.requests import (
    json_response,
    posts,
    read_json,
    route,
    write_json,
)
from fake_server.source import Action, Happened, Request, RequestReceived, Respond, Send, Woke

__all__ = [
    "HISTORY",
    "delay_history",
    "evict_history",
    "never_start",
    "patch_history",
    "patch_outputs",
    "patch_queue",
    "rename_files",
]

HISTORY = route("GET /history", "GET /history/{}")
_QUEUE = route("GET /queue")
_JOB = route("GET /api/jobs/{}")
_NO_JOB = json_response({"error": "Job not found"}, 404)

EntryChange = Callable[[dict[str, Any], ObservedPrompt], dict[str, Any] | None]
"""A history entry -> what is shown of it; None: it is not there."""


def patch_history(name: str, change: EntryChange, *, needed: bool = False) -> Operator:
    """Entries of the client's own prompts in both history routes; None takes one out."""

    def patch(value: Any, request: Request, observer: Observer) -> Any:
        if not isinstance(value, dict):
            return value
        shown = {
            prompt_id: change(entry, observer.prompts[prompt_id])
            if prompt_id in observer.prompts and observer.prompts[prompt_id].mine
            else entry
            for prompt_id, entry in value.items()
        }
        return {prompt_id: entry for prompt_id, entry in shown.items() if entry is not None}

    return patch_json(HISTORY, f"history: {name}", patch, needed=needed)


def patch_queue(
    name: str, change: Callable[[dict[str, Any], Observer], dict[str, Any]], *, needed: bool = False
) -> Operator:
    """The response to ``GET /queue``."""

    def patch(value: Any, request: Request, observer: Observer) -> Any:
        return change(value, observer)

    return patch_json(_QUEUE, f"queue: {name}", patch, needed=needed)


def queue_row(prompt: ObservedPrompt) -> list[Any]:
    """A prompt as ``GET /queue`` lists it (protocol.md 7)."""
    extra = dict(prompt.body.get("extra_data") or {})
    if "client_id" in prompt.body:
        extra["client_id"] = prompt.body["client_id"]
    return [prompt.number, prompt.id, prompt.graph, extra, []]


# --- a history that lags, or forgets -------------------------------------------------------------


def delay_history(
    name: str,
    *,
    lag_ms: int = 0,
    reads: int = 1,
    for_good: bool = False,
    outputs_only: bool = False,
    until: Match | None = None,
) -> list[Operator]:
    """A prompt that has ended is not in the history yet, though it is out of the executor.

    It is hidden for ``lag_ms`` and from at least ``reads`` requests, so that the lag is seen at
    any speed; until then ``/queue`` has it running, as on a server between its last frame and the
    writing of the history. ``for_good``: it is in neither, ever. ``outputs_only``: the entry is
    there, and its outputs are not. ``until``: once this frame has been sent, if only to
    nobody, the entry is found; an operator behind this one has to hold the frame back.
    """
    lag = _Lag(lag_ms * MILLISECOND, reads, for_good, outputs_only, until)
    return [
        Operator(Tally(f"notice the end of the lag: {name}", needed=None), act=lag.notice),
        per_response(Tally(f"hide in history: {name}", needed=False), HISTORY, lag.history),
        patch_json(_QUEUE, f"queue: {name}", lag.queue),
        respond(_JOB, f"job: {name}", _NO_JOB, when=lambda request, observer: for_good),
    ]


class _Lag:
    def __init__(
        self, lag_us: int, reads: int, for_good: bool, outputs_only: bool, until: Match | None
    ) -> None:
        self.lag_us, self.reads, self.until = lag_us, reads, until
        self.for_good, self.outputs_only = for_good, outputs_only
        self.asked: dict[str, int] = {}
        """By prompt: how many requests have not found it."""
        self.written: set[str] = set()
        """Prompts whose entry is there whatever the lag, because ``until`` was sent."""

    def hides(self, prompt: ObservedPrompt, observer: Observer) -> bool:
        if prompt.ending is None:
            return False
        waits = observer.now < prompt.ended_at + self.lag_us
        unseen = waits or self.asked.get(prompt.id, 0) < self.reads
        return self.for_good or (unseen and prompt.id not in self.written)

    def notice(self, action: Action, observer: Observer) -> Iterator[Step]:
        yield action
        if self.until is not None and isinstance(action, Send):
            frame = observer.frame(action.message)
            if self.until(frame) and frame.prompt_id:
                self.written.add(frame.prompt_id)

    def history(
        self, reply: Respond, request: Request, observer: Observer
    ) -> Iterator[Step] | None:
        value = read_json(reply.answer.body)
        mine = [prompt for prompt in observer.mine() if prompt.id in (value or ())]
        hidden = [prompt for prompt in mine if self.hides(prompt, observer)]
        if not hidden:
            return None
        for prompt in hidden:
            self.asked[prompt.id] = self.asked.get(prompt.id, 0) + 1
            if self.outputs_only:
                value[prompt.id]["outputs"] = {}
            else:
                del value[prompt.id]
        shown = msgspec.structs.replace(reply.answer, body=write_json(value))
        alarm = HearAgain(max(prompt.ended_at for prompt in hidden) + self.lag_us, Woke())
        return iter((msgspec.structs.replace(reply, answer=shown), alarm))

    def queue(self, value: Any, request: Request, observer: Observer) -> Any:
        waiting = [prompt for prompt in observer.mine() if self.hides(prompt, observer)]
        unwritten = waiting and not self.for_good and not self.outputs_only
        if unwritten and not value["queue_running"]:
            value["queue_running"] = [queue_row(waiting[0])]
        return value


def evict_history(name: str, *, reads: int) -> list[Operator]:
    """A prompt that has ended can be read so often in the history, and is then in no list."""
    if reads == 0:
        return delay_history(name, for_good=True)
    return [patch_json(HISTORY, f"history: {name}", _Eviction(reads).history)]


class _Eviction:
    def __init__(self, reads: int) -> None:
        self.reads = reads
        """How many more responses may have it."""

    def history(self, value: Any, request: Request, observer: Observer) -> Any:
        ended = [prompt.id for prompt in observer.mine() if prompt.ending and prompt.id in value]
        if not ended:
            return value
        if self.reads:
            self.reads -= 1
            return value
        return {prompt_id: entry for prompt_id, entry in value.items() if prompt_id not in ended}


def never_start(name: str) -> Operator:
    """Prompts that are accepted, stand in the queue, and never start."""
    tally = Tally(f"never start {name}")
    return Operator(tally, _NeverStarting(tally).hear)


class _NeverStarting:
    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.waiting: list[ObservedPrompt] = []

    def hear(self, happened: Happened, observer: Observer) -> Iterator[Step]:
        if not isinstance(happened, RequestReceived):
            yield happened
        elif posts(happened.request):
            self.tally.hit()
            yield from self.accept(happened, observer)
        elif _QUEUE(happened.request):
            rows = [queue_row(prompt) for prompt in self.waiting]
            shown = {"queue_running": [], "queue_pending": rows}
            yield Respond(happened.exchange, json_response(shown))
        else:
            yield happened

    def accept(self, posted: RequestReceived, observer: Observer) -> Iterator[Step]:
        body = posted.request.json
        wanted = body.get("prompt_id") if isinstance(body, dict) else None
        prompt = ObservedPrompt(
            wanted or observer.uuid(), mine=True, number=len(self.waiting), body=body or {}
        )
        observer.prompts[prompt.id] = prompt
        self.waiting.append(prompt)
        shown = {"prompt_id": prompt.id, "number": prompt.number, "node_errors": {}}
        yield Respond(posted.exchange, json_response(shown))
        count = {"status": {"exec_info": {"queue_remaining": len(self.waiting)}}}
        yield Send(tuple(observer.sockets), dump("status", count))


# --- outputs -------------------------------------------------------------------------------------


def patch_outputs(
    name: str, change: Callable[[str, dict[str, Any]], dict[str, Any]]
) -> list[Operator]:
    """The outputs of nodes, alike in ``executed`` frames and in the history."""

    def frame(data: dict[str, Any]) -> dict[str, Any]:
        node, output = str(data.get("node")), data.get("output")
        return {**data, "output": change(node, output)} if isinstance(output, dict) else data

    def entry(entry: dict[str, Any], prompt: ObservedPrompt) -> dict[str, Any]:
        outputs = entry.get("outputs") or {}
        return {**entry, "outputs": {node: change(node, out) for node, out in outputs.items()}}

    return [
        mutate(event("executed"), f"executed: {name}", frame, needed=False),
        patch_history(name, entry, needed=False),
    ]


def rename_files(name: str, shown: Callable[[dict[str, Any]], dict[str, Any]]) -> list[Operator]:
    """Files under other names: in ``executed``, in the history, and in ``/view``.

    ``/view`` knows a file by exactly the shown ``filename`` and ``subfolder`` only.
    """
    renamed = _RenamedFiles(shown)
    view = change_request(VIEW, f"view: {name}", renamed.find, needed=False)
    return [*patch_outputs(name, renamed.change), view]


class _RenamedFiles:
    def __init__(self, shown: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.shown = shown
        self.real: dict[tuple[str, str], tuple[str, str]] = {}
        """Shown ``filename`` and ``subfolder`` -> the real ones."""

    def change(self, node: str, output: dict[str, Any]) -> dict[str, Any]:
        return change_files(output, self.rename)

    def rename(self, item: Mapping[str, Any]) -> dict[str, Any]:
        other = self.shown(dict(item))
        self.real[_named(other)] = _named(item)
        return other

    def find(self, request: Request, observer: Observer) -> Request:
        shown = request.first("filename") or "", request.first("subfolder") or ""
        # A real name is not known any more.
        nowhere = ("no-such-file", "")
        filename, subfolder = self.real.get(shown, nowhere)
        return request.with_query(filename=filename, subfolder=subfolder)


def _named(item: Mapping[str, Any]) -> tuple[str, str]:
    return str(item.get("filename", "")), str(item.get("subfolder", ""))
