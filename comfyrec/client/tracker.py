"""Is one prompt done, silent or lost? Messages, HTTP responses and times in, actions out.

No message is believed to be the end by itself: the history entry is (K3, K5). Messages say *when*
to ask for it, silence does too, and only if neither history nor queue knows the prompt for a while
is it gone. The order matters: a prompt goes from the queue into the history in one step, so only a
history asked *after* a queue without it proves that it is in neither::

    history -- there --> over
       | not there
     queue -- runs, waits --> ask again after the poll interval
       | not there
    history -- there --> over
       | not there, for the grace time
    gone: cancelled if it never ran and the server never went away, else lost

``polling.NEXT`` is that drawing as a table. The tracker never looks at a clock; ``now`` is Unix
time in integer microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from comfyrec import events
from comfyrec.client.ending import Announced, Ending, by_history, by_messages, failure_of
from comfyrec.client.http.requests import QueuePlace, node_reasons
from comfyrec.client.node_progress import NodeProgress
from comfyrec.client.polling import NEXT, Awaited, Limits, Reply, Requests, Then
from comfyrec.client.progress_event import ProgressEvent, ProgressInfo
from comfyrec.client.result import Outcome, Result
from comfyrec.client.settings import ClientSettings

__all__ = ["Action", "Done", "GetHistory", "GetQueue", "Notify", "Tracker"]


class GetHistory(msgspec.Struct, frozen=True):
    """Ask for the history entry; give the response to ``on_history`` or ``on_request_failed``."""

    prompt_id: str


class GetQueue(msgspec.Struct, frozen=True):
    """Ask for the queue; give the response to ``on_queue`` or ``on_request_failed``."""

    prompt_id: str


class Notify(msgspec.Struct, frozen=True):
    """Call the callback."""

    prompt_id: str
    event: ProgressEvent


class Done(msgspec.Struct, frozen=True):
    """The prompt is over. Comes exactly once, and nothing comes after it."""

    result: Result


Action = GetHistory | GetQueue | Notify | Done


_NULL_WAIT_US: Final = 100_000
"""After a terminal message the null ``executing`` follows within milliseconds, and the history
entry stands before it (protocol.md section 4); servers that never send it are asked after this."""
_STATUS_WAIT_US: Final = 100_000
"""A ``status`` says that the queue moved; often two come at once (W1)."""
_ABSENT_WAIT_US_MIN: Final = 50_000


class Tracker:
    """One accepted prompt.

    Feed the ``on_...`` methods and ``woke``; each appends to ``out``. Call ``woke`` once
    ``wake_at`` has come.
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
        hint: str = "",
    ) -> None:
        self.prompt_id = prompt_id
        self.client_id = client_id
        self.running = False
        self.over = False
        self.misfits = 0
        """Messages about this prompt that could not be understood."""
        self.due: int | None = None
        """When to ask, if something other than silence says so."""
        self._out = out
        self._listening = listening
        self._timeout_s = settings.timeout_s or 0.0
        self._node_errors, self._hint = dict(node_errors or {}), hint
        self._limits = Limits.of(settings, now)
        self._requests = Requests(asked_at=now - self._limits.poll_us)
        self._progress = NodeProgress(nodes)
        self._announced = Announced()
        self._submitted = now
        self._last_message = now
        """When the server last gave a sign of life."""
        self._ran = False
        self._server_was_gone = False
        self.notify("submitted", now, data={"prompt_id": prompt_id})

    @property
    def progress(self) -> ProgressInfo:
        """How far it is."""
        return self._progress.info

    # --- time --------------------------------------------------------------------------------

    @property
    def wake_at(self) -> int | None:
        """When ``woke`` has something to do, if nothing else comes before."""
        if self.over:
            return None
        deadline = self._limits.deadline
        if self._requests.awaited is not Awaited.NOTHING:
            return deadline
        due = self._last_message + self._limits.idle_us if self.due is None else self.due
        return due if deadline is None else min(due, deadline)

    def woke(self, now: int) -> None:
        """Time has passed."""
        if self.over:
            return
        if self._limits.deadline is not None and now >= self._limits.deadline:
            reason = f"not over after {self._timeout_s:g} s"
            self._end(Ending(Outcome.TIMED_OUT, reason), now)
            return
        if self._requests.awaited is not Awaited.NOTHING:
            return
        due = self._last_message + self._limits.idle_us if self.due is None else self.due
        if now >= due:
            self._ask(Awaited.HISTORY, now)

    def _ask(self, what: Awaited, now: int) -> None:
        requests = self._requests
        requests.awaited, requests.asked_at = what, now
        self.due = None
        if what is Awaited.QUEUE:
            self._out(GetQueue(self.prompt_id))
        else:
            requests.ask_again = False
            self._out(GetHistory(self.prompt_id))

    def _ask_by(self, at: int) -> None:
        """Ask at that time or earlier."""
        if self._requests.awaited is not Awaited.NOTHING:
            self._requests.ask_again = True
        elif self.due is None or at < self.due:
            self.due = at

    def _next_round(self, at: int, now: int) -> None:
        """Nothing is awaited any more; ask again at that time, or sooner if there was a reason."""
        self._requests.awaited = Awaited.NOTHING
        self.due = min(at, now + _STATUS_WAIT_US) if self._requests.ask_again else at

    def _pause(self, until: int) -> None:
        """Nothing is awaited any more; ask again at that time, and not before."""
        self._requests.awaited, self._requests.ask_again = Awaited.NOTHING, False
        self.due = until

    # --- messages ----------------------------------------------------------------------------

    def on_message(self, event: Any, message: str | bytes, now: int, name: str) -> None:
        """A message about this prompt came, decoded as ``event``; ``name`` is its type."""
        if self.over:
            return
        self._last_message = now
        self._requests.silent_rounds = 0
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event, now)
        elif name == "execution_complete":
            # An old document's name for success, which some gateways send (A107).
            self._ended(self._announced.end or "success", now)
        elif isinstance(event, events.Misfit):
            self.misfits += 1
            self._ask_by(now)
        if self._listening:
            self._out(
                Notify(
                    self.prompt_id,
                    ProgressEvent(
                        name,
                        now,
                        self.client_id,
                        self.prompt_id,
                        self._progress.info,
                        self._submitted,
                        event,
                        message,
                    ),
                )
            )

    def on_common_message(self, event: Any, message: str | bytes, now: int, name: str) -> None:
        """A message that names no prompt: passed on, but it proves nothing about this one."""
        if self._listening and not self.over:
            self.notify(name, now, event=event, message=message)

    def on_status(self, now: int) -> None:
        """The queue moved. Worth a look only while the prompt waits its turn."""
        if not (self.over or self._ran):
            earliest = self._requests.asked_at + self._limits.poll_us
            self._ask_by(max(now + _STATUS_WAIT_US, earliest))

    def _on_start(self, _event: Any, _now: int) -> None:
        self._runs()

    def _runs(self) -> None:
        self.running = self._ran = True
        self._requests.absent_since = None
        self._progress.queued(None)

    def _on_cached(self, event: Any, _now: int) -> None:
        self._runs()
        self._progress.cached(str(node) for node in event.data.nodes or ())

    def _on_executing(self, event: Any, now: int) -> None:
        node = event.data.node
        if node is None:
            self._announced.null = True
            self._progress.last_one_ran()
            self._ask_by(now)
            return
        self._runs()
        self._progress.runs(str(node))

    def _on_progress(self, event: Any, _now: int) -> None:
        data = event.data
        self._progress.step(_number(data.value), _number(data.max))

    def _on_executed(self, event: Any, _now: int) -> None:
        data = event.data
        if data.node is None:
            return
        node = str(data.node)
        if isinstance(data.output, dict) and data.output:
            self._announced.outputs[node] = data.output
        self._progress.ran(node)

    def _on_success(self, _event: Any, now: int) -> None:
        self._ended("success", now)

    def _on_error(self, event: Any, now: int) -> None:
        if self._announced.failed(failure_of(event.data)):
            self._ended("error", now)

    def _on_interrupted(self, _event: Any, now: int) -> None:
        self._ended("interrupted", now)

    def _ended(self, end: str, now: int) -> None:
        self._announced.ended(end, now)
        self._ran = True
        self._ask_by(now + _NULL_WAIT_US)

    def notify(self, name: str, now: int, **about: Any) -> None:
        """Pass on something that is not a message about this prompt."""
        if self._listening:
            event = ProgressEvent(
                name,
                now,
                self.client_id,
                self.prompt_id,
                self._progress.info,
                self._submitted,
                **about,
            )
            self._out(Notify(self.prompt_id, event))

    # --- the socket --------------------------------------------------------------------------

    def on_socket_lost(self, now: int, why: str) -> None:
        """The WebSocket is gone; messages may be lost from here on."""
        if not self.over:
            self.notify("connection", now, data={"state": "lost", "why": why})
            self._ask_by(now)

    def on_socket_opened(self, now: int) -> None:
        """A new WebSocket is open. The end may have come while there was none (A35)."""
        if not self.over:
            self.notify("connection", now, data={"state": "back"})
            self._last_message = now
            self._ask_by(now)

    def on_server_gone(self) -> None:
        """The server refused a connection: it may have been restarted, and have forgotten all."""
        self._server_was_gone = True

    # --- responses ---------------------------------------------------------------------------

    def on_history(self, entry: dict[str, Any] | None, now: int) -> None:
        """The response to ``GetHistory``; None if there is no entry."""
        if entry is not None:
            self._replied(Reply.ENTRY, now, entry)
        else:
            announced = self._announced.at is not None
            self._replied(Reply.NO_ENTRY_YET if announced else Reply.NO_ENTRY, now)

    def on_nothing_said(self, now: int) -> None:
        """The response to ``GetHistory``: the server keeps nothing that could tell."""
        announced = self._announced.at is not None
        self._replied(Reply.NO_ENTRY_YET if announced else Reply.CANNOT_SAY, now)

    def on_queue(self, place: QueuePlace, now: int) -> None:
        """The response to ``GetQueue``."""
        listed = place.running or place.position is not None
        if listed and not self.over and self._requests.awaited is Awaited.QUEUE:
            self._listed(place, now)
        self._replied(Reply.LISTED if listed else Reply.NOT_LISTED, now)

    def _listed(self, place: QueuePlace, now: int) -> None:
        self._requests.absent_since = None
        if place.running:
            self._runs()
        elif place.position != self.progress.queue_position:
            self._progress.queued(place.position)
            self.notify("queue", now, data={"position": place.position})

    def _replied(self, reply: Reply, now: int, entry: dict[str, Any] | None = None) -> None:
        following = NEXT[self._requests.awaited].get(reply)
        if self.over or following is None:
            return
        self._requests.failures = 0
        match following:
            case Awaited():
                self._ask(following, now)
            case Then.CONCLUDE:
                self._conclude(entry or {}, now)
            case Then.ASK_LATER:
                self._ask_later(now)
            case Then.ASK_SOON:
                self._ask_soon(now)
            case Then.GONE:
                self._absent(now, self._limits.grace_us)
            case Then.UNSAID:
                self._absent(now, self._limits.patience_us, _UNSAID)

    def on_request_failed(self, why: str, now: int, *, refused: bool = False) -> None:
        """A request got no response, or not what ComfyUI responds.

        Args:
            why: one line.
            now: the time.
            refused: no server listens there; it may be restarting.
        """
        if self.over:
            return
        self._server_was_gone = self._server_was_gone or refused
        pause_us = self._requests.failed(why, now, self._limits)
        if pause_us is None:
            self._give_up(now)
        else:
            self._pause(now + pause_us)

    def on_removed(self, now: int) -> None:
        """We took it out of the queue ourselves, and the queue confirmed it."""
        if not self.over:
            self._end(_REMOVED, now)

    def _give_up(self, now: int) -> None:
        """HTTP is dead. What the messages said counts, if they announced the end."""
        if self._announced.end:
            self._end_by_messages(now)
        else:
            reason = f"no answer any more: {self._requests.failed_because}"
            self._end(Ending(Outcome.LOST, reason), now)

    def _ask_later(self, now: int) -> None:
        self._next_round(now + self._requests.long_pause_us(self._limits), now)

    def _ask_soon(self, now: int) -> None:
        if self._requests.lags_us(now) >= self._limits.grace_us:
            self._end_by_messages(now)
        else:
            self._pause(now + self._requests.short_pause_us())

    def _absent(self, now: int, grace_us: int, ending: Ending | None = None) -> None:
        """Neither queue nor history knows it."""
        if self._requests.absent_us(now) < grace_us:
            self._next_round(now + max(grace_us // 4, _ABSENT_WAIT_US_MIN), now)
        elif ending is not None:
            self._end(ending, now)
        elif self._ran or self._announced.null or self._server_was_gone:
            self._end(_FORGOTTEN, now)
        else:
            self._end(_REMOVED, now)

    # --- the end -----------------------------------------------------------------------------

    def _conclude(self, entry: dict[str, Any], now: int) -> None:
        outputs = entry.get("outputs")
        outputs = outputs if isinstance(outputs, dict) else {}
        ending = by_history(entry, self._announced)
        missing = {n: o for n, o in self._announced.outputs.items() if n not in outputs}
        # Half the grace: nodes that send an ``executed`` of their own making never get there.
        wait_us = self._limits.grace_us // 2
        if missing and ending.outcome is Outcome.SUCCESS and self._requests.lags_us(now) < wait_us:
            # The entry is there but not its outputs (A01, kind=no-outputs).
            self._pause(now + self._requests.short_pause_us())
            return
        self._end(ending, now, outputs={**outputs, **missing}, entry=entry)

    def _end_by_messages(self, now: int) -> None:
        warning = "the history has no entry for this prompt: the outputs come from messages"
        self._end(by_messages(self._announced), now, warnings=(warning,))

    def _end(
        self,
        ending: Ending,
        now: int,
        *,
        outputs: dict[str, Any] | None = None,
        entry: dict[str, Any] | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.over, self.running = True, False
        entry = entry or {}
        by_frames = bool(self._announced.end) or self._announced.null
        result = Result(
            prompt_id=self.prompt_id,
            outcome=ending.outcome,
            outputs=self._announced.outputs if outputs is None else outputs,
            detected_by="frames" if by_frames else "history",
            reason=ending.reason,
            failure=ending.failure,
            status=_if(dict, entry.get("status")),
            meta=_if(dict, entry.get("meta")),
            prompt=_if(list, entry.get("prompt")),
            node_errors=self._node_errors,
            warnings=warnings + self._rejected_outputs() + self._blocked_outputs(ending),
            elapsed_s=(now - self._submitted) / 1e6,
        )
        if ending.outcome is Outcome.SUCCESS:
            self._progress.succeeded()
        self._notify_end(result, entry, now)
        self._out(Done(result))

    def _notify_end(self, result: Result, entry: dict[str, Any], now: int) -> None:
        payload = {"status": result.status, "outputs": result.outputs, "meta": result.meta}
        data = {**payload, "prompt": result.prompt, "reason": result.reason}
        in_history = bool(entry) and result.detected_by == "history"
        success = result.outcome is Outcome.SUCCESS
        self.notify(
            "completed" if success else result.outcome.value,
            now,
            data={key: value for key, value in data.items() if value not in (None, "")},
            raw={"type": "history_completed", "data": entry} if in_history else None,
            detected_by="history" if in_history else None,
        )

    def _rejected_outputs(self) -> tuple[str, ...]:
        if not self._node_errors:
            return ()
        rejected = f"some outputs were rejected: {'; '.join(node_reasons(self._node_errors))}"
        return (rejected, self._hint) if self._hint else (rejected,)

    def _blocked_outputs(self, ending: Ending) -> tuple[str, ...]:
        if ending.outcome is not Outcome.SUCCESS:
            return ()
        return tuple(map(str, self._announced.blocked))


_REMOVED: Final = Ending(Outcome.CANCELLED, "removed from the queue before it ran")
_UNSAID: Final = Ending(
    Outcome.LOST, "it has left the queue, and the server has no history that says how it ended"
)
_FORGOTTEN: Final = Ending(Outcome.LOST, "the server does not know this prompt any more")

_HANDLERS: dict[type, Callable[[Tracker, Any, int], None]] = {
    events.ExecutionStart: Tracker._on_start,
    events.ExecutionCached: Tracker._on_cached,
    events.Executing: Tracker._on_executing,
    events.Progress: Tracker._on_progress,
    events.Executed: Tracker._on_executed,
    events.ExecutionSuccess: Tracker._on_success,
    events.ExecutionError: Tracker._on_error,
    events.ExecutionInterrupted: Tracker._on_interrupted,
}


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) else None


def _if(kind: type, value: Any) -> Any:
    return value if isinstance(value, kind) else None
