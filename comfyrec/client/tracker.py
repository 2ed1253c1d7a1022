"""Is one prompt done, silent or lost? Frames, HTTP answers and times in, actions out.

No frame is believed to be the end by itself: the history entry is (K3, K5). Frames say *when* to
ask for it, silence does too, and only if neither history nor queue knows the prompt for a while is
it gone. The order of questions matters: a prompt goes from the queue into the history in one step,
so only ``history`` asked *after* a queue without it proves that it is in neither::

    history -- there --> over
       | not there
     queue -- runs, waits --> ask again after the poll interval
       | not there
    history -- there --> over
       | not there, for the grace time
    gone: cancelled if it never ran and the server never went away, else lost

The tracker never looks at a clock; ``now`` is Unix time in integer microseconds.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from comfyrec import events
from comfyrec.client.progress_event import ProgressEvent, ProgressInfo, share
from comfyrec.client.requests import QueuePlace, node_reasons
from comfyrec.client.result import Failure, Outcome, Result
from comfyrec.client.settings import ClientSettings

__all__ = ["Action", "AskHistory", "AskQueue", "Done", "Tell", "Tracker"]


class AskHistory(msgspec.Struct, frozen=True):
    """Ask for the history entry; give the answer to ``history`` or ``failed``."""

    prompt_id: str


class AskQueue(msgspec.Struct, frozen=True):
    """Ask for the queue; give the answer to ``queue`` or ``failed``."""

    prompt_id: str


class Tell(msgspec.Struct, frozen=True):
    """Call the callback."""

    prompt_id: str
    told: ProgressEvent


class Done(msgspec.Struct, frozen=True):
    """The prompt is over. Comes exactly once, and nothing comes after it."""

    result: Result


Action = AskHistory | AskQueue | Tell | Done


class _Asking(enum.Enum):
    """Which answer is awaited."""

    NOTHING = enum.auto()
    HISTORY = enum.auto()
    QUEUE = enum.auto()
    HISTORY_AGAIN = enum.auto()


_SECOND: Final = 1_000_000
_NULL_WAIT_US: Final = 100_000
"""After a terminal frame the null ``executing`` follows within milliseconds, and the history entry
stands before it (PROTOCOL.md section 4); servers that never send it are asked after this."""
_HINT_US: Final = 100_000
"""A ``status`` says that the queue moved; often two come at once (W1)."""
_BACKOFF_US: Final = (50_000, 100_000, 200_000, 400_000, 800_000)
_FAILURES_MIN: Final = 2
_BLOCKED: Final = "ExecutionBlocked"

_ENDS = {
    "success": Outcome.SUCCESS,
    "error": Outcome.ERROR,
    "interrupted": Outcome.INTERRUPTED,
}


class Tracker:
    """One accepted prompt.

    Feed ``saw``, ``history``, ``queue``, ``failed``, ``socket_down``, ``socket_up``, ``hint`` and
    ``woke``; each appends to ``out``. Call ``woke`` once ``wake_at`` has come.
    """

    def __init__(
        self,
        prompt_id: str,
        *,
        nodes: Iterable[str],
        settings: ClientSettings,
        client_id: str,
        now: int,
        out: Callable[[Action], None],
        listening: bool = True,
        node_errors: Mapping[str, Any] | None = None,
    ) -> None:
        self.prompt_id = prompt_id
        self.client_id = client_id
        self.progress = ProgressInfo()
        self.running = False
        self.over = False
        self.misfits = 0
        """Messages about this prompt that could not be understood."""
        self._out = out
        self._listening = listening
        self._settings = settings
        self._nodes = frozenset(nodes)
        self._node_errors = dict(node_errors or {})
        self._idle_us = round(settings.idle_limit_s * _SECOND)
        self._poll_us = min(round(settings.poll_interval_s * _SECOND), self._idle_us)
        self._grace_us = round(settings.grace_s * _SECOND)
        self._patience_us = round(settings.patience_s * _SECOND)
        self._deadline = _total(settings, now)
        self._submitted = now
        self._sign = now  # the last sign of life
        self.due: int | None = None
        """When to ask, if something other than silence says so."""
        self._asked = now - self._poll_us
        self._asking = _Asking.NOTHING
        self._again = False  # a reason to ask came while an answer was awaited
        self._silent_rounds = 0
        self._said = ""  # success, error or interrupted: what a terminal frame said
        self._ended: int | None = None  # when one said so
        self._null = False
        self._lag_since: int | None = None
        self._absent_since: int | None = None
        self._empty_rounds = 0
        self._failures = 0
        self._failing_since = now
        self._failed_because = ""
        self._ran = False
        self._unsteady = False  # the server went away at some time
        self._cached: tuple[str, ...] = ()
        self._completed: dict[str, None] = {}
        self._current: str | None = None
        self._seen_outputs: dict[str, Any] = {}
        self._failure: Failure | None = None
        self._blocked: list[Failure] = []
        self._progress_of_nodes(total=len(self._nodes))
        self.tell("submitted", now, data={"prompt_id": prompt_id})

    # --- time --------------------------------------------------------------------------------

    @property
    def wake_at(self) -> int | None:
        """When ``woke`` has something to do, if nothing else comes before."""
        if self.over:
            return None
        if self._asking is not _Asking.NOTHING:
            return self._deadline
        due = self._sign + self._idle_us if self.due is None else self.due
        return due if self._deadline is None else min(due, self._deadline)

    def woke(self, now: int) -> None:
        """Time has passed."""
        if self.over:
            return
        if self._deadline is not None and now >= self._deadline:
            limit_s = self._settings.timeout_s or 0.0
            self._end(Outcome.TIMED_OUT, now, reason=f"not over after {limit_s:g} s")
            return
        if self._asking is not _Asking.NOTHING:
            return
        if self.due is None and now < self._sign + self._idle_us:
            return
        if self.due is None or now >= self.due:
            self._ask(_Asking.HISTORY, now)

    def _ask(self, what: _Asking, now: int) -> None:
        self._asking = what
        self._asked = now
        self.due = None
        if what is _Asking.QUEUE:
            self._out(AskQueue(self.prompt_id))
        else:
            self._again = False
            self._out(AskHistory(self.prompt_id))

    def _ask_by(self, at: int) -> None:
        """Ask at that time or earlier."""
        if self._asking is not _Asking.NOTHING:
            self._again = True
        elif self.due is None or at < self.due:
            self.due = at

    def _next_round(self, at: int, now: int) -> None:
        """Nothing is awaited any more; ask again at that time, or sooner if there was a reason."""
        self._asking = _Asking.NOTHING
        self.due = min(at, now + _HINT_US) if self._again else at

    # --- frames ------------------------------------------------------------------------------

    def saw(self, event: Any, message: str | bytes, now: int, name: str) -> None:
        """A message about this prompt, decoded; ``name`` is its type."""
        if self.over:
            return
        self._sign = now
        self._silent_rounds = 0
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event, now)
        elif name == "execution_complete":
            # An old document's name for success, which some gateways send (A107).
            self._said = self._said or "success"
            self._terminal(now)
        elif isinstance(event, events.Misfit):
            self.misfits += 1
            self._ask_by(now)
        if self._listening:
            self._out(
                Tell(
                    self.prompt_id,
                    ProgressEvent(
                        name,
                        now,
                        self.client_id,
                        self.prompt_id,
                        self.progress,
                        self._submitted,
                        event,
                        message,
                    ),
                )
            )

    def overheard(self, event: Any, message: str | bytes, now: int, name: str) -> None:
        """A message that names no prompt: told, but it proves nothing and is no sign of life."""
        if self._listening and not self.over:
            self.tell(name, now, event=event, message=message)

    def hint(self, now: int) -> None:
        """The queue moved (``status``). Worth a look only while the prompt waits its turn."""
        if not (self.over or self._ran):
            self._ask_by(max(now + _HINT_US, self._asked + self._poll_us))

    def _started(self, _event: Any, _now: int) -> None:
        self._runs()

    def _runs(self) -> None:
        self.running = self._ran = True
        self._absent_since = None
        if self.progress.queue_position is not None:
            self.progress = msgspec.structs.replace(self.progress, queue_position=None)

    def _saw_cached(self, event: Any, _now: int) -> None:
        self._runs()
        self._cached = tuple(str(n) for n in event.data.nodes if str(n) in self._nodes)
        for node in self._cached:
            self._completed.pop(node, None)
        self._progress_of_nodes()

    def _saw_executing(self, event: Any, now: int) -> None:
        node = event.data.node
        if node is None:
            self._null = True
            self._complete(self._current)
            self._ask_by(now)
            return
        self._runs()
        node = str(node)
        if node != self._current:
            self._complete(self._current)
            self._current = node
        self._progress_of_nodes()

    def _saw_progress(self, event: Any, _now: int) -> None:
        data = event.data
        self.progress = self._moved(_number(data.value), _number(data.max))

    def _saw_executed(self, event: Any, _now: int) -> None:
        data = event.data
        node = str(data.node)
        if isinstance(data.output, dict) and data.output:
            self._seen_outputs[node] = data.output
        self._complete(node)
        self._progress_of_nodes()

    def _saw_success(self, _event: Any, now: int) -> None:
        self._said = "success"
        self._terminal(now)

    def _saw_error(self, event: Any, now: int) -> None:
        failure = _failure_of(event.data)
        if failure.exception_type == _BLOCKED:
            # Not terminal: the prompt goes on and usually succeeds (W10).
            self._blocked.append(failure)
            return
        self._failure = failure
        self._said = "error"
        self._terminal(now)

    def _saw_interrupted(self, _event: Any, now: int) -> None:
        self._said = "interrupted"
        self._terminal(now)

    def _terminal(self, now: int) -> None:
        self._ran = True
        self._ended = now
        self._ask_by(now + _NULL_WAIT_US)

    # --- progress ----------------------------------------------------------------------------

    def _complete(self, node: str | None) -> None:
        if node in self._nodes and node not in self._cached:
            self._completed[node] = None

    def _progress_of_nodes(self, *, total: int | None = None) -> None:
        """A node began or ended. The bar of the running node starts anew."""
        old = self.progress
        total = old.nodes_total if total is None else total
        done = len(self._cached) + len(self._completed)
        self.progress = ProgressInfo(
            node_current=self._current,
            nodes_completed=tuple(self._completed),
            nodes_skipped=self._cached,
            nodes_total=total,
            nodes_progress=max(old.nodes_progress, share(done, total)),
            queue_position=old.queue_position,
        )

    def _moved(self, value: float | None, most: float | None) -> ProgressInfo:
        """The running node moved on."""
        old = self.progress
        done = len(self._cached) + len(self._completed) + share(value, most)
        return ProgressInfo(
            node_current=old.node_current,
            node_progress_value=value,
            node_progress_max=most,
            nodes_completed=old.nodes_completed,
            nodes_skipped=old.nodes_skipped,
            nodes_total=old.nodes_total,
            nodes_progress=max(old.nodes_progress, share(done, old.nodes_total)),
        )

    def tell(self, name: str, now: int, **about: Any) -> None:
        """Tell something that is no message about this prompt."""
        if self._listening:
            told = ProgressEvent(
                name,
                now,
                self.client_id,
                self.prompt_id,
                self.progress,
                self._submitted,
                **about,
            )
            self._out(Tell(self.prompt_id, told))

    # --- the socket --------------------------------------------------------------------------

    def socket_down(self, now: int, why: str) -> None:
        """The socket is gone; frames may be lost from here on."""
        if not self.over:
            self.tell("connection", now, data={"state": "lost", "why": why})
            self._ask_by(now)

    def socket_up(self, now: int) -> None:
        """A new socket stands. The end may have fallen into the gap (A35)."""
        if not self.over:
            self.tell("connection", now, data={"state": "back"})
            self._sign = now
            self._ask_by(now)

    def server_gone(self) -> None:
        """The server refused a connection: it may have been restarted, and have forgotten all."""
        self._unsteady = True

    # --- answers -----------------------------------------------------------------------------

    def history(self, entry: dict[str, Any] | None, now: int) -> None:
        """The answer to ``AskHistory``; ``None`` when there is no entry."""
        if self.over:
            return
        self._answered()
        if entry is not None:
            self._conclude(entry, now)
        elif self._ended is not None:
            self._lagging(now, {})
        elif self._asking is _Asking.HISTORY:
            self._ask(_Asking.QUEUE, now)
        else:
            self._absent(now)

    def queue(self, place: QueuePlace, now: int) -> None:
        """The answer to ``AskQueue``."""
        if self.over:
            return
        self._answered()
        if not place.running and place.position is None:
            self._ask(_Asking.HISTORY_AGAIN, now)
            return
        self._absent_since = None
        if place.running:
            self._runs()
        elif place.position != self.progress.queue_position:
            self.progress = msgspec.structs.replace(self.progress, queue_position=place.position)
            self.tell("queue", now, data={"position": place.position})
        self._silent_rounds += 1
        pause = min(self._poll_us * self._silent_rounds, max(self._idle_us, self._poll_us))
        self._next_round(now + pause, now)

    def failed(self, why: str, now: int, *, refused: bool = False) -> None:
        """A question was not answered, or not with what ComfyUI answers.

        Args:
            why: one line.
            now: the time.
            refused: nobody listens there; the server may be restarting.
        """
        if self.over:
            return
        self._unsteady = self._unsteady or refused
        self._failing_since = self._failing_since if self._failures else self._asked
        self._failures += 1
        self._failed_because = why
        if self._failures >= _FAILURES_MIN and now - self._failing_since >= self._patience_us:
            self._give_up(now)
            return
        pause = min(250_000 << min(self._failures - 1, 6), 5 * _SECOND, self._patience_us // 4)
        self._asking, self._again = _Asking.NOTHING, False
        self.due = now + max(pause, 50_000)

    def removed(self, now: int) -> None:
        """We took it out of the queue ourselves, and the queue confirmed it."""
        if not self.over:
            self._end(Outcome.CANCELLED, now, reason="taken out of the queue before it ran")

    def _answered(self) -> None:
        self._failures = 0

    def _give_up(self, now: int) -> None:
        """HTTP is dead. What the frames said counts, if they said how it ended."""
        if self._said:
            self._end_by_frames(now)
        else:
            self._end(Outcome.LOST, now, reason=f"no answer any more: {self._failed_because}")

    def _lagging(self, now: int, outputs: dict[str, Any]) -> None:
        """Frames told of the end, the history is behind (W3): soon again, for a bounded time."""
        self._lag_since = now if self._lag_since is None else self._lag_since
        if now - self._lag_since >= self._grace_us:
            self._end_by_frames(now, outputs)
            return
        pause = _BACKOFF_US[min(self._empty_rounds, len(_BACKOFF_US) - 1)]
        self._empty_rounds += 1
        self._asking, self._again = _Asking.NOTHING, False
        self.due = now + pause

    def _absent(self, now: int) -> None:
        """Neither queue nor history knows it."""
        self._absent_since = now if self._absent_since is None else self._absent_since
        if now - self._absent_since >= self._grace_us:
            self._gone(now)
            return
        self._next_round(now + max(self._grace_us // 4, 50_000), now)

    def _gone(self, now: int) -> None:
        if self._ran or self._null or self._unsteady:
            self._end(Outcome.LOST, now, reason="the server does not know this prompt any more")
        else:
            self._end(Outcome.CANCELLED, now, reason="taken out of the queue before it ran")

    # --- the end -----------------------------------------------------------------------------

    def _conclude(self, entry: dict[str, Any], now: int) -> None:
        outputs = entry.get("outputs")
        outputs = outputs if isinstance(outputs, dict) else {}
        outcome, failure = self._judge(entry)
        missing = {n: o for n, o in self._seen_outputs.items() if n not in outputs}
        if missing and outcome is Outcome.SUCCESS and not self._waited_for_outputs(now):
            # The entry is there but not its outputs (A01, kind=no-outputs).
            pause = _BACKOFF_US[min(self._empty_rounds, len(_BACKOFF_US) - 1)]
            self._empty_rounds += 1
            self._asking, self._again = _Asking.NOTHING, False
            self.due = now + pause
            return
        reason = str(failure) if failure else ""
        if outcome is Outcome.INTERRUPTED:
            reason = _interrupted_where(entry)
        self._end(
            outcome,
            now,
            reason=reason,
            failure=failure,
            outputs={**outputs, **missing},
            entry=entry,
        )

    def _waited_for_outputs(self, now: int) -> bool:
        self._lag_since = now if self._lag_since is None else self._lag_since
        # Half the grace: nodes that send an ``executed`` of their own making never get there.
        return now - self._lag_since >= self._grace_us // 2

    def _judge(self, entry: dict[str, Any]) -> tuple[Outcome, Failure | None]:
        """History and frames together: an error in either of them is an error (K3)."""
        by_history, failure = _said_by_history(entry)
        if by_history is Outcome.INTERRUPTED:
            return by_history, None
        if by_history is Outcome.ERROR:
            last_blocked = self._blocked[-1] if self._blocked else None
            return by_history, failure or self._failure or last_blocked or Failure("")
        if self._said == "error":
            # A dependency cycle at run time: terminal, yet history says success.
            return Outcome.ERROR, self._failure
        return _ENDS.get(self._said, Outcome.SUCCESS), None

    def _end_by_frames(self, now: int, outputs: dict[str, Any] | None = None) -> None:
        outcome = _ENDS.get(self._said, Outcome.LOST)
        self._end(
            outcome,
            now,
            reason="" if outcome is Outcome.SUCCESS else str(self._failure or outcome.value),
            failure=self._failure if outcome is Outcome.ERROR else None,
            outputs={**self._seen_outputs, **(outputs or {})},
            warnings=("the history has no entry of this prompt: outputs are those of the frames",),
        )

    def _end(
        self,
        outcome: Outcome,
        now: int,
        *,
        reason: str = "",
        failure: Failure | None = None,
        outputs: dict[str, Any] | None = None,
        entry: dict[str, Any] | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.over, self.running = True, False
        entry = entry or {}
        by_frames = bool(self._said) or self._null
        result = Result(
            prompt_id=self.prompt_id,
            outcome=outcome,
            outputs=self._seen_outputs if outputs is None else outputs,
            detected_by="frames" if by_frames else "history",
            reason=reason,
            failure=failure,
            status=_if(dict, entry.get("status")),
            meta=_if(dict, entry.get("meta")),
            prompt=_if(list, entry.get("prompt")),
            node_errors=self._node_errors,
            warnings=warnings + self._refused_outputs() + self._blocked_outputs(outcome),
            elapsed_s=(now - self._submitted) / 1e6,
        )
        if outcome is Outcome.SUCCESS:
            self.progress = msgspec.structs.replace(self.progress, nodes_progress=1.0)
        self._tell_end(result, entry, now)
        self._out(Done(result))

    def _tell_end(self, result: Result, entry: dict[str, Any], now: int) -> None:
        payload = {"status": result.status, "outputs": result.outputs, "meta": result.meta}
        data = {**payload, "prompt": result.prompt, "reason": result.reason}
        by_history = bool(entry) and result.detected_by == "history"
        success = result.outcome is Outcome.SUCCESS
        self.tell(
            "completed" if success else result.outcome.value,
            now,
            data={key: value for key, value in data.items() if value not in (None, "")},
            raw={"type": "history_completed", "data": entry} if by_history else None,
            detected_by="history" if by_history else None,
        )

    def _refused_outputs(self) -> tuple[str, ...]:
        reasons = node_reasons(self._node_errors)
        return (f"some outputs were refused: {'; '.join(reasons)}",) if self._node_errors else ()

    def _blocked_outputs(self, outcome: Outcome) -> tuple[str, ...]:
        if outcome is not Outcome.SUCCESS:
            return ()
        return tuple(str(failure) for failure in self._blocked)


_HANDLERS: dict[type, Callable[[Tracker, Any, int], None]] = {
    events.ExecutionStart: Tracker._started,
    events.ExecutionCached: Tracker._saw_cached,
    events.Executing: Tracker._saw_executing,
    events.Progress: Tracker._saw_progress,
    events.Executed: Tracker._saw_executed,
    events.ExecutionSuccess: Tracker._saw_success,
    events.ExecutionError: Tracker._saw_error,
    events.ExecutionInterrupted: Tracker._saw_interrupted,
}


def _total(settings: ClientSettings, now: int) -> int | None:
    return None if settings.timeout_s is None else now + round(settings.timeout_s * _SECOND)


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) else None


def _if(kind: type, value: Any) -> Any:
    return value if isinstance(value, kind) else None


def _said_by_history(entry: dict[str, Any]) -> tuple[Outcome | None, Failure | None]:
    """What an entry says of the end; ``None`` when it only proves that there was one (A75)."""
    status = entry.get("status")
    if not isinstance(status, dict):
        return None, None
    if status.get("status_str") == "success" or status.get("completed") is True:
        return Outcome.SUCCESS, None
    messages = _messages(status)
    if any(name == "execution_interrupted" for name, _ in messages):
        return Outcome.INTERRUPTED, None
    errors = [data for name, data in messages if name == "execution_error"]
    if errors or status.get("status_str") or status.get("completed") is False:
        return Outcome.ERROR, _failure_in(errors[-1]) if errors else None
    return None, None


def _messages(status: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    rows = status.get("messages")
    return [
        (str(row[0]), row[1] if isinstance(row[1], dict) else {})
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, list) and len(row) > 1
    ]


def _interrupted_where(entry: dict[str, Any]) -> str:
    status = entry.get("status")
    for name, data in reversed(_messages(status) if isinstance(status, dict) else []):
        if name == "execution_interrupted" and data.get("node_id"):
            return f"interrupted at node {data['node_id']} ({data.get('node_type', '?')})"
    return "interrupted"


def _failure_in(data: Mapping[str, Any]) -> Failure:
    trace = data.get("traceback")
    return Failure(
        message=str(data.get("exception_message") or ""),
        exception_type=str(data.get("exception_type") or ""),
        node_id=str(data.get("node_id") or ""),
        node_type=str(data.get("node_type") or ""),
        traceback=tuple(map(str, trace)) if isinstance(trace, list | tuple) else (),
    )


def _failure_of(data: Any) -> Failure:
    """The same of a decoded frame."""
    names = ("exception_message", "exception_type", "node_id", "node_type", "traceback")
    return _failure_in({name: getattr(data, name, None) for name in names})
