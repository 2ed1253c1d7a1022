"""A session under virtual time, with a world that answers its questions at once."""

from __future__ import annotations

import json
from typing import Any

from comfyrec.client import session_inputs as s
from comfyrec.client.http.requests import Accepted, Queued
from comfyrec.client.progress_event import ProgressEvent
from comfyrec.client.result import Result
from comfyrec.client.session import ClientSession
from comfyrec.client.settings import ClientSettings
from comfyrec.client.tracker import Done, GetHistory, GetQueue, Notify
from tests.support.scripted_comfyui import OUTPUTS, entry

SECOND = 1_000_000
PROMPT = "00000000-0000-0000-0000-00000000000a"
OTHER = "00000000-0000-0000-0000-00000000000b"
ERROR: dict[str, Any] = {
    "node_id": "1",
    "node_type": "EmptyImage",
    "exception_message": "out of paint\n",
    "exception_type": "ValueError",
    "traceback": ["line 1\n"],
    "executed": [],
    "current_inputs": {},
    "current_outputs": [],
}
"""The data of an ``execution_error``, but for its prompt id."""


class Sim:
    """Feeds a session; answers ``AskHistory`` and ``AskQueue`` from what the world holds."""

    def __init__(self, *, connected: bool = True, **settings: Any) -> None:
        self.now = 1_000 * SECOND
        ids = (f"client-{n}" for n in range(1_000_000))
        self.session = ClientSession(ClientSettings(**settings), new_id=lambda: next(ids))
        self.history: dict[str, dict[str, Any]] = {}
        self.running: list[str] = []
        self.pending: list[str] = []
        self.can_say = True
        self.failing: str | None = None
        self.refused = False
        self.answering = True
        self.actions: list[Any] = []
        self.events: list[ProgressEvent] = []
        self.results: list[Result] = []
        self._take(self.session.start(self.now))
        if connected:
            self.feed(s.SocketOpened())

    # --- what happens ------------------------------------------------------------------------

    def feed(self, happened: s.Input) -> None:
        self._take(self.session.handle(happened, self.now))

    def hear(self, type: str, **data: Any) -> None:
        self.feed(s.MessageReceived(json.dumps({"type": type, "data": data})))

    def accept(
        self, prompt_id: str = PROMPT, *, nodes: tuple[str, ...] = ("1", "2"), **more: Any
    ) -> None:
        self.feed(s.SubmitStarted())
        self.pending.append(prompt_id)
        self.feed(
            s.PromptAccepted(Accepted(prompt_id, 0.0, more.pop("node_errors", {})), nodes, **more)
        )

    def ours(self, type: str, prompt_id: str = PROMPT, **data: Any) -> None:
        self.hear(type, prompt_id=prompt_id, **data)

    def start(self, prompt_id: str = PROMPT) -> None:
        self.runs(prompt_id)
        self.ours("execution_start", prompt_id, timestamp=1)
        self.ours("execution_cached", prompt_id, nodes=[], timestamp=1)

    def runs(self, prompt_id: str = PROMPT) -> None:
        """It runs, whether a frame says so or not."""
        if prompt_id in self.pending:
            self.pending.remove(prompt_id)
        self.running.append(prompt_id)

    def ends(self, entry: dict[str, Any] | None, prompt_id: str = PROMPT) -> None:
        """It leaves the queue, whether a frame says so or not."""
        for queue in (self.running, self.pending):
            if prompt_id in queue:
                queue.remove(prompt_id)
        if entry is not None:
            self.history[prompt_id] = entry

    def wait(self, seconds: float) -> None:
        """Let time pass; wakes come when they are due."""
        until = self.now + round(seconds * SECOND)
        while self.session.wake_at is not None and self.session.wake_at <= until:
            self.now = max(self.now, self.session.wake_at)
            self.feed(s.Woke())
        self.now = until

    def wait_for_end(self, at_most_s: float) -> float:
        """Seconds until the next result; fails when there is none in time."""
        begun, before = self.now, len(self.results)
        until = begun + round(at_most_s * SECOND)
        while len(self.results) == before:
            at = self.session.wake_at
            assert at is not None and at <= until, "no end in time"
            self.now = max(self.now, at)
            self.feed(s.Woke())
        return (self.now - begun) / SECOND

    # --- what shall happen -------------------------------------------------------------------

    def _take(self, actions: list[Any]) -> None:
        for action in actions:
            self.actions.append(action)
            if isinstance(action, Notify):
                self.events.append(action.event)
            elif isinstance(action, Done):
                self.results.append(action.result)
            elif isinstance(action, GetHistory | GetQueue) and self.answering:
                self._answer(action)

    def _answer(self, action: Any) -> None:
        about = action.prompt_id if isinstance(action, GetHistory) else None
        if self.failing is not None:
            self.feed(s.RequestFailed(self.failing, about, self.refused))
        elif about is not None:
            self.feed(s.HistoryReceived(about, self.history.get(about), self.can_say))
        else:
            self.feed(s.QueueReceived(Queued(tuple(self.running), tuple(self.pending))))

    @property
    def result(self) -> Result:
        assert len(self.results) == 1, self.results
        return self.results[0]

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]

    def count(self, kind: type) -> int:
        return sum(isinstance(action, kind) for action in self.actions)


def a_run() -> list[ProgressEvent]:
    """The events of a run with all sorts of messages."""
    sim = Sim()
    sim.accept()
    sim.runs()
    sim.wait(5.1)
    sim.ours("execution_start", timestamp=1)
    sim.ours("execution_cached", nodes=["1"], timestamp=1)
    sim.ours("executing", node="2", display_node="2")
    sim.hear("status", status={"exec_info": {"queue_remaining": 1}})
    sim.hear("status", status={"exec_info": {"queue_remaining": 1}})
    sim.feed(
        s.MessageReceived(
            f'{{"type": "progress", "data": {{"value": NaN, "max": 20, '
            f'"prompt_id": "{PROMPT}", "node": "2"}}}}'
        )
    )
    sim.feed(s.MessageReceived(b"\x00\x00\x00\x01\x00\x00\x00\x01\xff\xd8\xff"))
    sim.ours("executed", node="2", display_node="2", output=OUTPUTS["2"])
    sim.ours("execution_success", timestamp=2)
    sim.ends(entry(PROMPT))
    sim.ours("executing", node=None)
    return sim.events


def run_by_frames(sim: Sim) -> None:
    """A whole run of the accepted prompt, with all its messages."""
    sim.start()
    sim.ours("executing", node="1", display_node="1")
    sim.ours("executing", node="2", display_node="2")
    sim.ours("executed", node="2", display_node="2", output=OUTPUTS["2"])
    sim.ours("execution_success", timestamp=2)
    sim.ends(entry(PROMPT))
    sim.hear("status", status={"exec_info": {"queue_remaining": 0}})
    sim.ours("executing", node=None)
