"""exchanges and sockets -> prompts: who submitted what, which frames are about it, how it ended.

Sources of the rules: protocol.md, section 2 (what each frame says), 4 (the order), 6 and 7 (what
POST /prompt and the queue answer).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from comfyrec.events.cloud import ENDS
from comfyrec.events.endings import history_ending, prompt_ending
from comfyrec.http.request import loads_or_none
from comfyrec.timeline.message_summary import data_of
from comfyrec.timeline.model import (
    DELETED,
    ERROR,
    SUCCESS,
    Exchange,
    Message,
    RecordedPrompt,
    Socket,
)

__all__ = [
    "OpenPrompt",
    "complete",
    "ends_of",
    "fill",
    "is_terminal",
    "meant",
    "prompts_of",
    "removed_ids",
    "submission",
]


def submission(exchange: Exchange) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Body and answer of a POST /prompt that was accepted, else None."""
    if exchange.method != "POST" or exchange.path != "/prompt" or exchange.status != 200:
        return None
    body, answer = exchange.request_json, exchange.response_json
    if not isinstance(answer, dict) or not isinstance(answer.get("prompt_id"), str):
        return None
    return (body if isinstance(body, dict) else {}), answer


def is_terminal(message: Message) -> str:
    """The outcome that a frame announces, ``""`` for none."""
    return prompt_ending(message.peek.type, lambda: _data(message)) or ""


def _data(message: Message) -> dict[str, Any]:
    data = data_of(message.data)
    return data if isinstance(data, dict) else {}


def removed_ids(exchange: Exchange) -> Sequence[str] | None:
    """Which pending prompts a request takes off the queue; None: all of them (``clear``)."""
    if exchange.method != "POST" or exchange.status != 200:
        return ()
    path, body = exchange.path, exchange.request_json
    body = body if isinstance(body, dict) else {}
    if path == "/queue":
        if body.get("clear"):
            return None
        return _strings(body.get("delete"))
    if path == "/jobs/cancel":
        return _strings(body.get("job_ids"))
    if path.startswith("/jobs/") and path.endswith("/cancel"):
        return (path[len("/jobs/") : -len("/cancel")],)
    return ()


def _strings(value: Any) -> Sequence[str]:
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else ()


class OpenPrompt(msgspec.Struct):
    """A prompt on its way."""

    prompt_id: str
    client_id: str | None = None
    submitted: int | None = None
    submitted_at: int = -1
    graph: dict[str, Any] = {}
    extra_data: dict[str, Any] = {}
    queue_number: int | float | None = None
    frames: list[tuple[int, int]] = []
    started_at: int | None = None
    terminal_at: int | None = None
    left_at: int | None = None
    outcome: str = ""
    cached: tuple[str, ...] = ()
    outputs: dict[str, Any] = {}

    @property
    def over(self) -> bool:
        """It has left the executor."""
        return self.left_at is not None

    @property
    def pending(self) -> bool:
        """Nothing was said about it yet."""
        return self.started_at is None and not self.frames and not self.outcome

    def saw(self, message: Message) -> None:
        """Take in a message about it."""
        kind = message.peek.type
        if kind == "execution_start":
            self.started_at = message.at
        elif kind == "execution_cached":
            nodes = _data(message).get("nodes")
            self.cached = tuple(map(str, nodes)) if isinstance(nodes, list) else ()
        elif kind == "executed":
            self._executed(message)
        elif kind == "executing" and message.peek.null_node:
            self.left_at = message.at
            # Before execution_success existed, this was the only word of a good end.
            self.outcome = self.outcome or SUCCESS
        elif outcome := is_terminal(message):
            self.terminal_at, self.outcome = message.at, outcome

    def _executed(self, message: Message) -> None:
        data = _data(message)
        if isinstance(data.get("output"), dict):
            self.outputs[str(data.get("node"))] = data["output"]

    def done(self, number: int) -> RecordedPrompt:
        """The prompt as it stands now."""
        return RecordedPrompt(
            number=number,
            prompt_id=self.prompt_id,
            client_id=self.client_id,
            submitted=self.submitted,
            graph=self.graph,
            extra_data=self.extra_data,
            queue_number=self.queue_number,
            frames=tuple(self.frames),
            started_at=self.started_at,
            terminal_at=self.terminal_at,
            left_at=self.left_at,
            outcome=self.outcome,
            cached=self.cached,
            outputs=self.outputs,
        )


def prompts_of(exchanges: Sequence[Exchange], sockets: Sequence[Socket]) -> list[RecordedPrompt]:
    """All prompts of a recording: the submitted ones in order, then those only frames tell of."""
    runs = _submitted(exchanges)
    by_id: dict[str, list[OpenPrompt]] = {}
    for submitted in runs:
        by_id.setdefault(submitted.prompt_id, []).append(submitted)
    unanswered = _unanswered(exchanges)
    for at, socket, place, message in _about_prompts(sockets):
        same = by_id.setdefault(message.peek.prompt_id or "", [])
        run = meant(same, at) or _found(message.peek.prompt_id or "", at, unanswered)
        if not same:
            same.append(run)
            runs.append(run)
        run.frames.append((socket, place))
        run.saw(message)
    _delete(runs, exchanges)
    _from_history(by_id, exchanges)
    return [run.done(number) for number, run in enumerate(runs)]


def _submitted(exchanges: Sequence[Exchange]) -> list[OpenPrompt]:
    runs = []
    for exchange in exchanges:
        both = submission(exchange)
        if both is None:
            continue
        run = OpenPrompt(
            prompt_id=both[1]["prompt_id"], queue_number=_number(both[1].get("number"))
        )
        fill(run, exchange)
        runs.append(run)
    return runs


def _number(value: Any) -> int | float | None:
    known = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return value if known else None


def _unanswered(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """Submissions whose answer is not there: the recording ended before it came."""
    return [
        exchange
        for exchange in exchanges
        if exchange.method == "POST" and exchange.path == "/prompt" and exchange.response is None
    ]


def _found(prompt_id: str, at: int, unanswered: list[Exchange]) -> OpenPrompt:
    """A prompt that frames tell of; if a submission lacks its answer, it was that one."""
    run = OpenPrompt(prompt_id=prompt_id)
    if unanswered and unanswered[0].request.at < at:
        fill(run, unanswered.pop(0))
    return run


def fill(run: OpenPrompt, exchange: Exchange) -> None:
    """Put in what its POST says."""
    body = exchange.request_json
    body = body if isinstance(body, dict) else {}
    extra, graph = body.get("extra_data"), body.get("prompt", body.get("workflow"))
    run.extra_data = extra if isinstance(extra, dict) else {}
    run.graph = graph if isinstance(graph, dict) else {}
    client_id = body.get("client_id", run.extra_data.get("client_id"))
    run.client_id = client_id if isinstance(client_id, str) else None
    run.submitted, run.submitted_at = exchange.number, exchange.request.at


def _about_prompts(sockets: Sequence[Socket]) -> list[tuple[int, int, int, Message]]:
    found = [
        (message.at, socket.number, place, message)
        for socket in sockets
        for place, message in enumerate(socket.messages)
        if message.peek.prompt_id is not None
    ]
    found.sort(key=lambda entry: entry[0])
    return found


def meant(same: Sequence[OpenPrompt], at: int) -> OpenPrompt | None:
    """An id can be used again: a frame is about the first use that is not over yet."""
    live = [run for run in same if not run.over and run.submitted_at < at]
    return live[0] if live else (same[-1] if same else None)


def _delete(runs: Sequence[OpenPrompt], exchanges: Sequence[Exchange]) -> None:
    for exchange in exchanges:
        ids = removed_ids(exchange)
        if ids == ():
            continue
        for run in runs:
            named = ids is None or run.prompt_id in ids
            if run.pending and named and run.submitted_at < exchange.request.at:
                run.outcome = DELETED


def _from_history(by_id: Mapping[str, Sequence[OpenPrompt]], exchanges: Sequence[Exchange]) -> None:
    for prompt_id, entry in (told for exchange in exchanges for told in ends_of(exchange)):
        for run in by_id.get(prompt_id, ()):
            complete(run, entry)


def history_entries(exchanges: Sequence[Exchange]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every (prompt_id, history entry) that an answer of GET /history held, in order."""
    for exchange in exchanges:
        yield from history_of(exchange)


def history_of(exchange: Exchange) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same of one answer; nothing if it is none of GET /history."""
    if exchange.method != "GET" or not exchange.path.startswith("/history"):
        return
    answer = exchange.response_json
    if isinstance(answer, dict):
        yield from ((key, entry) for key, entry in answer.items() if isinstance(entry, dict))


def ends_of(exchange: Exchange) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every (prompt_id, entry) that an answer tells of a prompt that is over: the history, a job
    (protocol.md section 9), and Comfy Cloud's history and job status (section 14)."""
    yield from history_of(exchange)
    if exchange.method != "GET" or not exchange.path.startswith(_JOBS_AND_LISTS):
        return
    answer = exchange.response_json
    if not isinstance(answer, dict):
        return
    listed = answer.get("history")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("prompt_id"), str):
            yield entry["prompt_id"], entry
    parts = exchange.path.split("/")
    if not isinstance(listed, list) and len(parts) > 2 and (entry := _ended_job(answer)):
        yield parts[2], entry


def listed_ends_of(exchange: Exchange) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same of GET /api/jobs, which tells outcomes and nothing of outputs."""
    answer = exchange.response_json if (exchange.method, exchange.path) == _JOBS else None
    jobs = answer.get("jobs") if isinstance(answer, dict) else None
    for job in jobs if isinstance(jobs, list) else ():
        if isinstance(job, dict) and isinstance(job.get("id"), str) and (end := _ended_job(job)):
            yield job["id"], end


def queued_ids(exchange: Exchange) -> Collection[str] | None:
    """The prompts that wait or run, as GET /queue and /prompt tell.

    None: the answer is about something else, or does not name those that there are.
    """
    answer = exchange.response_json if exchange.method == "GET" else None
    if not isinstance(answer, dict):
        return None
    if exchange.path == "/prompt":
        state = answer.get("exec_info")
        idle = isinstance(state, dict) and state.get("queue_remaining") == 0
        return () if idle else None
    lists = [answer.get(name) for name in ("queue_running", "queue_pending")]
    if exchange.path != "/queue" or not all(isinstance(one, list) for one in lists):
        return None
    items = [item for one in lists if isinstance(one, list) for item in one]
    ids = [item[1] for item in items if isinstance(item, list) and len(item) > 1]
    return {one for one in ids if isinstance(one, str)}


_JOBS: Final = ("GET", "/jobs")
_JOBS_AND_LISTS: Final = ("/job/", "/jobs/", "/history_v2")


_CANCELLED: Final = "cancelled"
_TOLD_ENDS: Final = {ERROR: "execution_error", _CANCELLED: "execution_interrupted"}


def _ended_job(job: Mapping[str, Any]) -> dict[str, Any] | None:
    """A job that is over, as an entry of the history."""
    end = ENDS.get(str(job.get("status")), "")
    if end not in (SUCCESS, *_TOLD_ENDS):
        return None
    error = job.get("execution_error")
    if not isinstance(error, dict) and isinstance(job.get("error_message"), str):
        told = loads_or_none(job["error_message"])
        error = told if isinstance(told, dict) else {"exception_message": job["error_message"]}
    said = error if isinstance(error, dict) else {}
    messages = [[_TOLD_ENDS[end], said]] if end in _TOLD_ENDS else []
    return {
        "status": {"status_str": end, "messages": messages},
        "outputs": job.get("outputs"),
    }


def complete(run: OpenPrompt, entry: Mapping[str, Any]) -> None:
    """What the history knows and no frame said, for prompts whose client was not listening."""
    item, status = entry.get("prompt"), entry.get("status")
    if not run.graph and isinstance(item, list) and len(item) > 3 and isinstance(item[2], dict):
        run.graph = item[2]
    if isinstance(entry.get("outputs"), dict):
        run.outputs = {**entry["outputs"], **run.outputs}
    if run.outcome in ("", DELETED) and isinstance(status, dict):
        if run.outcome == DELETED and status.get("status_str") == _CANCELLED:
            return  # jobs have one word for both
        run.outcome = history_ending(entry) or run.outcome
