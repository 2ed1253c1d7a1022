"""Operators on HTTP: other answers by route, late, cut or missing ones, and history that lags.

They are about the client under test only; the scenario's own people always get the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from comfyrec.events.outputs import change_files
from fake_server.scenarios.kit.matchers import Match, dump, event
from fake_server.scenarios.kit.observer import MILLISECOND, ObservedPrompt, Observer
from fake_server.scenarios.kit.operators import mutate
from fake_server.scenarios.kit.routes import (
    json_answer,
    posts,
    query_of,
    read_json,
    route,
    with_query,
    write_json,
)
from fake_server.scenarios.kit.stage import Again, Later, Operator, Step, Tally
from fake_server.source import (
    Action,
    Happened,
    Request,
    RequestAborted,
    RequestReceived,
    Respond,
    Response,
    Send,
    UpgradeRequested,
    Woke,
)

__all__ = [
    "HISTORY",
    "VIEW",
    "answer",
    "buried",
    "change_request",
    "hang",
    "hide",
    "html_page",
    "late",
    "patch_history",
    "patch_json",
    "patch_outputs",
    "patch_queue",
    "rewrite",
    "show_as",
    "text_answer",
    "truncate",
    "vanishing",
]

Fits = Callable[[Request], bool]


def text_answer(text: str, status: int) -> Response:
    """A plain text answer, as aiohttp gives its errors."""
    return Response(status, (("Content-Type", "text/plain; charset=utf-8"),), text.encode())


def html_page(status: int, title: str) -> Response:
    """What a proxy shows in place of the server behind it."""
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Response(status, (("Content-Type", "text/html; charset=utf-8"),), page.encode())


def answer(
    fits: Fits,
    name: str,
    reply: Response | Callable[[Request, Observer], Response],
    *,
    times: int | None = None,
    skip: int = 0,
    when: Callable[[Request, Observer], bool] | None = None,
    needed: bool = False,
) -> Operator:
    """Requests that never reach the source and get this answer; after ``skip``, ``times`` times."""
    tally, passed = Tally(f"answer {name}", needed=needed), [0]

    def hear(happened: Happened, scene: Observer) -> Iterator[Step]:
        if not isinstance(happened, RequestReceived) or not fits(happened.request):
            yield happened
            return
        spent = times is not None and tally.matched >= times
        passed[0] += 1
        if spent or passed[0] <= skip or (when and not when(happened.request, scene)):
            yield happened
            return
        tally.hit()
        made = reply(happened.request, scene) if callable(reply) else reply
        yield Respond(happened.exchange, made)

    return Operator(tally, hear)


def hang(
    fits: Fits,
    name: str,
    *,
    times: int | None = None,
    sockets: bool = False,
    needed: bool = False,
) -> Operator:
    """Requests, and with ``sockets`` upgrades, that are never answered."""
    tally = Tally(f"hang {name}", needed=needed)

    def hear(happened: Happened, scene: Observer) -> Iterator[Step]:
        more = times is None or tally.matched < times
        kinds = (RequestReceived, UpgradeRequested) if sockets else RequestReceived
        if more and isinstance(happened, kinds) and fits(happened.request):
            tally.hit()
        else:
            yield happened

    return Operator(tally, hear)


def change_request(
    fits: Fits, name: str, change: Callable[[Request, Observer], Request], *, needed: bool = True
) -> Operator:
    """Requests that reach the source as others."""
    tally = Tally(f"change {name}", needed=needed)

    def hear(happened: Happened, scene: Observer) -> Iterator[Step]:
        if isinstance(happened, RequestReceived) and fits(happened.request):
            changed = change(happened.request, scene)
            if changed is not happened.request:
                tally.hit()
            happened = RequestReceived(happened.exchange, changed)
        yield happened

    return Operator(tally, hear)


def _per_reply(
    tally: Tally,
    fits: Fits,
    change: Callable[[Respond, Request, Observer], Iterator[Step] | None],
) -> Operator:
    """An operator on the answers of some routes; None lets one pass."""
    open_ones: dict[int, Request] = {}

    def hear(happened: Happened, scene: Observer) -> Iterator[Step]:
        if isinstance(happened, RequestReceived) and fits(happened.request):
            open_ones[happened.exchange] = happened.request
        elif isinstance(happened, RequestAborted):
            open_ones.pop(happened.exchange, None)
        if not isinstance(happened, Woke):  # an alarm of our own: only time had to get there
            yield happened

    def act(action: Action, scene: Observer) -> Iterator[Step]:
        request = open_ones.pop(action.exchange, None) if isinstance(action, Respond) else None
        steps = change(action, request, scene) if request and isinstance(action, Respond) else None
        if steps is None:
            yield action
            return
        tally.hit()
        yield from steps

    return Operator(tally, hear, act)


def rewrite(
    fits: Fits,
    name: str,
    change: Callable[[Response, Request, Observer], Response],
    *,
    needed: bool = False,
) -> Operator:
    """Answers that are changed on their way; one that stays the same object is not counted."""

    def patch(reply: Respond, request: Request, scene: Observer) -> Iterator[Step] | None:
        changed = change(reply.answer, request, scene)
        return None if changed is reply.answer else iter((Respond(reply.exchange, changed),))

    return _per_reply(Tally(f"rewrite {name}", needed=needed), fits, patch)


def patch_json(
    fits: Fits,
    name: str,
    change: Callable[[Any, Request, Observer], Any],
    *,
    needed: bool = False,
) -> Operator:
    """JSON answers of status 200 with another value in them."""

    def patch(answer: Response, request: Request, scene: Observer) -> Response:
        value = read_json(answer.body)
        if answer.status != 200 or value is None:
            return answer
        changed = _with_json(answer, change(value, request, scene))
        return answer if changed.body == answer.body else changed

    return rewrite(fits, name, patch, needed=needed)


def _with_json(answer: Response, value: Any) -> Response:
    return msgspec.structs.replace(answer, body=write_json(value))


def late(fits: Fits, name: str, *, ms: int, needed: bool = False) -> Operator:
    """Answers that take so much longer."""

    def wait(reply: Respond, request: Request, scene: Observer) -> Iterator[Step]:
        yield Later(scene.now + ms * MILLISECOND, reply)

    return _per_reply(Tally(f"delay {name}", needed=needed), fits, wait)


def truncate(fits: Fits, name: str, *, first: int, needed: bool = False) -> Operator:
    """Answers whose connection is cut behind the ``first`` bytes of the body."""

    def shorten(answer: Response, request: Request, scene: Observer) -> Response:
        if answer.status != 200 or len(answer.body) <= first:
            return answer
        length = ("Content-Length", str(len(answer.body)))
        headers = [pair for pair in answer.headers if pair[0].lower() != "content-length"]
        return msgspec.structs.replace(
            answer, headers=(*headers, length), body=answer.body[:first], close=True
        )

    return rewrite(fits, f"{name}: cut it off", shorten, needed=needed)


# --- history and queue -------------------------------------------------------------------------

HISTORY = route("GET /history", "GET /history/{}")

EntryChange = Callable[[dict[str, Any], ObservedPrompt], dict[str, Any] | None]
"""A history entry -> what is shown of it; None: it is not there."""


def patch_history(name: str, change: EntryChange, *, needed: bool = False) -> Operator:
    """Entries of the client's own prompts in both history routes; None takes one out."""

    def patch(value: Any, request: Request, scene: Observer) -> Any:
        if not isinstance(value, dict):
            return value
        shown = {
            prompt_id: change(entry, scene.prompts[prompt_id])
            if prompt_id in scene.prompts and scene.prompts[prompt_id].mine
            else entry
            for prompt_id, entry in value.items()
        }
        return {prompt_id: entry for prompt_id, entry in shown.items() if entry is not None}

    return patch_json(HISTORY, f"history: {name}", patch, needed=needed)


def patch_queue(
    name: str, change: Callable[[dict[str, Any], Observer], dict[str, Any]], *, needed: bool = False
) -> Operator:
    """The answer to ``GET /queue``."""

    def patch(value: Any, request: Request, scene: Observer) -> Any:
        return change(value, scene)

    return patch_json(_QUEUE, f"queue: {name}", patch, needed=needed)


def queue_row(prompt: ObservedPrompt) -> list[Any]:
    """A prompt as ``GET /queue`` lists it (PROTOCOL.md 7)."""
    extra = dict(prompt.body.get("extra_data") or {})
    if "client_id" in prompt.body:
        extra["client_id"] = prompt.body["client_id"]
    return [prompt.number, prompt.id, prompt.graph, extra, []]


def hide(
    name: str,
    *,
    lag_ms: int = 0,
    reads: int = 1,
    for_good: bool = False,
    outputs_only: bool = False,
    until: Match | None = None,
) -> list[Operator]:
    """A prompt that has ended is not in the history yet, though it is out of the executor.

    It is hidden for ``lag_ms`` and from at least ``reads`` questions, so that the lag is seen at
    any speed; until then ``/queue`` has it running, as on a server between its last frame and the
    writing of the history. ``for_good``: it is in neither, ever. ``outputs_only``: the entry is
    there, and its outputs are not. ``until``: once this frame has been sent, if only to
    nobody, the entry is found; an operator behind this one has to hold the frame back.
    """
    asked: dict[str, int] = {}
    told: list[str] = []

    def hidden(prompt: ObservedPrompt, scene: Observer) -> bool:
        if prompt.ending is None:
            return False
        waits = scene.now < prompt.ended_at + lag_ms * MILLISECOND
        unseen = waits or asked.get(prompt.id, 0) < reads
        return for_good or (unseen and prompt.id not in told)

    def notice(action: Action, scene: Observer) -> Iterator[Step]:
        yield action
        if until is not None and isinstance(action, Send):
            frame = scene.frame(action.message)
            if until(frame) and frame.prompt_id:
                told.append(frame.prompt_id)

    def history(reply: Respond, request: Request, scene: Observer) -> Iterator[Step] | None:
        value = read_json(reply.answer.body)
        gone = [one for one in scene.mine() if one.id in (value or ()) and hidden(one, scene)]
        if not gone:
            return None
        for prompt in gone:
            asked[prompt.id] = asked.get(prompt.id, 0) + 1
            if outputs_only:
                value[prompt.id]["outputs"] = {}
            else:
                del value[prompt.id]
        alarm = Again(max(one.ended_at for one in gone) + lag_ms * MILLISECOND, Woke())
        return iter((Respond(reply.exchange, _with_json(reply.answer, value)), alarm))

    def queue(value: Any, request: Request, scene: Observer) -> Any:
        waiting = [prompt for prompt in scene.mine() if hidden(prompt, scene)]
        unwritten = waiting and not for_good and not outputs_only
        if unwritten and not value["queue_running"]:
            value["queue_running"] = [queue_row(waiting[0])]
        return value

    return [
        Operator(Tally(f"notice the end of the lag: {name}", needed=None), act=notice),
        _per_reply(Tally(f"hide in history: {name}", needed=False), HISTORY, history),
        patch_json(_QUEUE, f"queue: {name}", queue),
        answer(_JOB, f"job: {name}", _no_job, when=lambda request, scene: for_good),
    ]


def vanishing(name: str, *, reads: int) -> list[Operator]:
    """A prompt that has ended can be read so often in the history, and is then in no list."""
    if reads == 0:
        return hide(name, for_good=True)
    read = [0]

    def history(value: Any, request: Request, scene: Observer) -> Any:
        ended = [prompt.id for prompt in scene.mine() if prompt.ending and prompt.id in value]
        read[0] += bool(ended)
        return value if read[0] <= reads else {k: v for k, v in value.items() if k not in ended}

    return [patch_json(HISTORY, f"history: {name}", history)]


def buried(name: str) -> Operator:
    """Prompts that are accepted, stand in the queue, and never start."""
    tally = Tally(f"bury {name}")
    waiting: list[ObservedPrompt] = []

    def accept(asked: RequestReceived, scene: Observer) -> Iterator[Step]:
        body = read_json(asked.request.body)
        wanted = body.get("prompt_id") if isinstance(body, dict) else None
        prompt = ObservedPrompt(
            wanted or scene.uuid(), mine=True, number=len(waiting), body=body or {}
        )
        scene.prompts[prompt.id] = prompt
        waiting.append(prompt)
        shown = {"prompt_id": prompt.id, "number": prompt.number, "node_errors": {}}
        yield Respond(asked.exchange, json_answer(shown))
        count = {"status": {"exec_info": {"queue_remaining": len(waiting)}}}
        yield Send(tuple(scene.sockets), dump("status", count))

    def hear(happened: Happened, scene: Observer) -> Iterator[Step]:
        if not isinstance(happened, RequestReceived):
            yield happened
        elif posts(happened.request):
            tally.hit()
            yield from accept(happened, scene)
        elif _QUEUE(happened.request):
            rows = [queue_row(prompt) for prompt in waiting]
            shown = {"queue_running": [], "queue_pending": rows}
            yield Respond(happened.exchange, json_answer(shown))
        else:
            yield happened

    return Operator(tally, hear)


_QUEUE = route("GET /queue")
_JOB = route("GET /api/jobs/{}")
_no_job = json_answer({"error": "Job not found"}, 404)


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


def show_as(name: str, shown: Callable[[dict[str, Any]], dict[str, Any]]) -> list[Operator]:
    """Files under other names: in ``executed``, in the history, and in ``/view``.

    ``/view`` knows a file by exactly the shown ``filename`` and ``subfolder`` only.
    """
    real: dict[tuple[str, str], tuple[str, str]] = {}

    def change(node: str, output: dict[str, Any]) -> dict[str, Any]:
        return change_files(output, rename)

    def rename(item: Mapping[str, Any]) -> dict[str, Any]:
        other = shown(dict(item))
        real[_named(other)] = _named(item)
        return other

    def find(request: Request, scene: Observer) -> Request:
        wanted = _named(query_of(request))
        if wanted not in real:
            # The real names are nobody's business any more.
            return with_query(request, filename="no-such-file", subfolder="")
        filename, subfolder = real[wanted]
        return with_query(request, filename=filename, subfolder=subfolder)

    view = change_request(VIEW, f"view: {name}", find, needed=False)
    return [*patch_outputs(name, change), view]


VIEW = route("GET /view")


def _named(item: Mapping[str, Any]) -> tuple[str, str]:
    return str(item.get("filename", "")), str(item.get("subfolder", ""))
