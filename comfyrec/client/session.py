"""One WebSocket after the other, any number of prompts: routes messages and reconnects.

Inputs go into ``handle``; actions come out of it, in order. The shell carries them out, and feeds
what came of them back. ``handle(Woke(), now)`` is due at ``wake_at``.

A message belongs to the prompt whose id it names (K4). While a POST is on its way, messages about
unknown prompts are kept, because they may be about the prompt that is being accepted (K7).

Reconnecting: with the same client id while prompts are watched, because their messages go to that
id; with a new one otherwise, because a server may drop the id of a newer socket when the older one
closes (W6). A socket that was reconnected and stays silent although the queue says that our prompt
runs may have met that fate: it is closed and opened once more, ever less often.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from comfyrec import events
from comfyrec.client.backoff import pause_us
from comfyrec.client.http.requests import place_in
from comfyrec.client.session_inputs import (
    Action,
    Connect,
    ConnectFailed,
    Disconnect,
    HistoryReceived,
    Input,
    MessageReceived,
    PromptAccepted,
    PromptForgotten,
    PromptRemoved,
    QueueReceived,
    RequestFailed,
    SocketLost,
    SocketOpened,
    SubmitFailed,
    SubmitStarted,
    Woke,
)
from comfyrec.client.settings import ClientSettings
from comfyrec.client.tracker import Done, GetHistory, GetQueue, Notify, Tracker
from comfyrec.errors import DecodeError

__all__ = ["ClientSession", "Done", "GetHistory", "GetQueue", "Notify"]

# --- inputs ----------------------------------------------------------------------------------


# --- actions (with those of the tracker) -----------------------------------------------------


# --- the session -----------------------------------------------------------------------------

_SECOND: Final = 1_000_000
_STEADY_US: Final = 5 * _SECOND
"""A socket that stood this long starts the back-off anew; one that is accepted and closed at once
(A36) does not."""
_EARLY_MESSAGES_MAX: Final = 4096
_EARLY_BYTES_MAX: Final = 64 << 20
"""For messages about unknown prompts while a POST is on its way: a few previews and thousands of
events. The oldest are dropped first; the history makes up for them."""
_OBJECTS_PER_FRAME_MAX: Final = 1000

_BINARY_NAMES: Mapping[type, str] = {
    events.Preview: "preview",
    events.PreviewWithMetadata: "preview",
    events.ProgressText: "text",
    events.UnknownBinary: "binary",
}


class ClientSession:
    """The client's whole state."""

    def __init__(
        self,
        settings: ClientSettings,
        *,
        new_id: Callable[[], str],
        reconnect: bool = True,
    ) -> None:
        self.settings = settings
        self.connected = False
        self.skipped = 0
        """Messages that are not ComfyUI's (K6)."""
        self.foreign = 0
        """Messages about prompts that are not watched (K4)."""
        self.trackers: dict[str, Tracker] = {}
        self.wake_at: int | None = None
        """When ``Woke`` is due at the latest, ``None`` for never."""
        self._new_id = new_id
        self.client_id = settings.client_id or new_id()
        self._fixed_id = bool(settings.client_id)
        self._reconnect = reconnect
        self._out: list[Action] = []
        self._posts = 0
        self._early: deque[tuple[str, Any, str | bytes, str]] = deque()
        self._early_bytes = 0
        self._queue_awaited = False
        self._waiting_for_queue: set[str] = set()
        self._connecting = False
        self._connect_at: int | None = None
        self._attempts = 0
        self._opened_at = 0
        self._opened_times = 0
        self._heard_of_ours = False
        self._revivals = 0
        self._revived = False
        self._revive_at: int | None = None
        self._now = 0

    def handle(self, given: Input, now: int) -> list[Action]:
        """Take an input at ``now`` (Unix microseconds); gives the actions that follow."""
        self._now = now
        if type(given) is MessageReceived:
            # The hot path. It makes due only what it touched; all else waits for ``Woke``.
            self._receive(given.message)
        else:
            _HANDLERS[type(given)](self, given)
            self._wake()
        actions, self._out = self._out, []
        return actions

    def start(self, now: int) -> list[Action]:
        """The first connection."""
        self._now = now
        self._connect()
        actions, self._out = self._out, []
        return actions

    def _wake(self) -> None:
        """Do what is due, then say when something will be."""
        for tracker in list(self.trackers.values()):
            at = tracker.wake_at
            if at is not None and at <= self._now:
                tracker.woke(self._now)
        if self._connect_at is not None and self._connect_at <= self._now:
            self._connect()
        if self._revive_at is not None and self._revive_at <= self._now:
            self._revive()
        times = [tracker.wake_at for tracker in self.trackers.values()]
        times += [self._connect_at, self._revive_at]
        self.wake_at = min((at for at in times if at is not None), default=None)

    def _touched(self, tracker: Tracker) -> None:
        """A message can only make a request due sooner; silence begun anew costs one idle wake."""
        due = tracker.due
        if due is None:
            return
        if due <= self._now:
            tracker.woke(self._now)
        elif self.wake_at is None or due < self.wake_at:
            self.wake_at = due

    def _collect(self, action: Any) -> None:
        """What a tracker wants; the queue is asked for once for all who wait."""
        if isinstance(action, GetQueue):
            self._waiting_for_queue.add(action.prompt_id)
            if self._queue_awaited:
                return
            self._queue_awaited = True
        elif isinstance(action, Done):
            self._drop(action.result.prompt_id)
        self._out.append(action)

    def _drop(self, prompt_id: str) -> None:
        self.trackers.pop(prompt_id, None)
        self._waiting_for_queue.discard(prompt_id)

    # --- messages ----------------------------------------------------------------------------

    def _receive(self, message: str | bytes) -> None:
        try:
            event = events.decode(message)
        except DecodeError:
            self._receive_several(message)
            return
        self._route(event, message)

    def _receive_several(self, message: str | bytes) -> None:
        """Some gateways put several JSON objects into one text frame (A52)."""
        parts = _objects_in(message) if isinstance(message, str) else []
        decoded = []
        for part in parts:
            try:
                decoded.append((events.decode(part), part))
            except DecodeError:
                self.skipped += 1
        self.skipped += not parts
        for event, part in decoded:
            self._route(event, part)

    def _route(self, event: Any, message: str | bytes) -> None:
        kind = type(event)
        name = _NAMES.get(kind) or event.type
        prompt_id = event.prompt_id
        if prompt_id is None:
            self._share(event, message, name)
            return
        tracker = self.trackers.get(prompt_id)
        if tracker is not None:
            self._heard_of_ours = True
            tracker.on_message(event, message, self._now, name)
            self._touched(tracker)
        elif self._posts:
            self._keep(prompt_id, event, message, name)
        else:
            self.foreign += 1

    def _share(self, event: Any, message: str | bytes, name: str) -> None:
        """A message that names no prompt. Pictures belong to the one that runs."""
        only_running = isinstance(message, bytes)
        for tracker in list(self.trackers.values()):
            if name == "status":
                tracker.on_status(self._now)
                self._touched(tracker)
            if tracker.running or not only_running:
                tracker.on_common_message(event, message, self._now, name)

    def _keep(self, prompt_id: str, event: Any, message: str | bytes, name: str) -> None:
        self._early.append((prompt_id, event, message, name))
        self._early_bytes += len(message)
        while len(self._early) > _EARLY_MESSAGES_MAX or self._early_bytes > _EARLY_BYTES_MAX:
            self._early_bytes -= len(self._early.popleft()[2])
            self.skipped += 1

    def _posting(self, _given: SubmitStarted) -> None:
        self._posts += 1

    def _refused(self, _given: SubmitFailed) -> None:
        self._posts -= 1
        self._forget_early()

    def _accept(self, given: PromptAccepted) -> None:
        accepted = given.accepted
        settings = self.settings
        if given.timeout_s is not None:
            settings = msgspec.structs.replace(settings, timeout_s=given.timeout_s)
        tracker = Tracker(
            accepted.prompt_id,
            nodes=given.nodes,
            settings=settings,
            client_id=self.client_id,
            now=self._now,
            out=self._collect,
            listening=given.listening,
            node_errors=accepted.node_errors,
            hint=accepted.hint,
        )
        self.trackers[accepted.prompt_id] = tracker
        if not self.connected or not given.posted:
            tracker.on_status(self._now)
        if given.posted:
            self._posts -= 1
            self._replay_early(tracker)

    def _replay_early(self, tracker: Tracker) -> None:
        ours = [kept for kept in self._early if kept[0] == tracker.prompt_id]
        for _, event, message, name in ours:
            self._heard_of_ours = True
            tracker.on_message(event, message, self._now, name)
        self._forget_early()

    def _forget_early(self) -> None:
        if not self._posts:
            self._early.clear()
            self._early_bytes = 0

    # --- responses ---------------------------------------------------------------------------

    def _got_history(self, given: HistoryReceived) -> None:
        tracker = self.trackers.get(given.prompt_id)
        if tracker is None:
            return
        if given.can_say:
            tracker.on_history(given.entry, self._now)
        else:
            tracker.on_nothing_said(self._now)

    def _got_queue(self, given: QueueReceived) -> None:
        for tracker in self._waiting_trackers():
            place = place_in(given.queued, tracker.prompt_id)
            tracker.on_queue(place, self._now)
            if place.running:
                self._plan_revival()

    def _waiting_trackers(self) -> list[Tracker]:
        waiting, self._waiting_for_queue = self._waiting_for_queue, set()
        self._queue_awaited = False
        return [self.trackers[prompt_id] for prompt_id in waiting if prompt_id in self.trackers]

    def _failed(self, given: RequestFailed) -> None:
        if given.prompt_id is None:
            waiting = self._waiting_trackers()
        else:
            waiting = [t for t in [self.trackers.get(given.prompt_id)] if t is not None]
        for tracker in waiting:
            tracker.on_request_failed(given.why, self._now, refused=given.refused)

    def _removed(self, given: PromptRemoved) -> None:
        tracker = self.trackers.get(given.prompt_id)
        if tracker is not None:
            tracker.on_removed(self._now)

    def _forget(self, given: PromptForgotten) -> None:
        self._drop(given.prompt_id)

    def _woke(self, _given: Woke) -> None:
        """Everything that is due is done in ``_wake``, after each input."""

    # --- the socket --------------------------------------------------------------------------

    def _connect(self) -> None:
        self._connect_at = None
        if self.connected or self._connecting:
            return
        if self._opened_times and not (self.trackers or self._posts or self._fixed_id):
            self.client_id = self._new_id()
        self._connecting = True
        self._out.append(Connect(self.client_id))

    def _opened(self, _given: SocketOpened) -> None:
        self._connecting, self.connected = False, True
        self._opened_at = self._now
        self._opened_times += 1
        self._heard_of_ours = self._revived = False
        if self._opened_times > 1:
            for tracker in list(self.trackers.values()):
                tracker.on_socket_opened(self._now)

    def _connect_failed(self, given: ConnectFailed) -> None:
        self._connecting = False
        if given.refused:
            for tracker in self.trackers.values():
                tracker.on_server_gone()
        self._connect_later()

    def _socket_lost(self, given: SocketLost) -> None:
        self.connected = False
        if self._now - self._opened_at >= _STEADY_US:
            self._attempts = 0
        for tracker in list(self.trackers.values()):
            tracker.on_socket_lost(self._now, given.why)
        self._connect_later()

    def _connect_later(self) -> None:
        if not self._reconnect:
            return
        self._connect_at = self._now + pause_us(self._attempts)
        self._attempts += 1

    def _plan_revival(self) -> None:
        """Our prompt runs, the socket says nothing: was its id taken from it (W6)?"""
        silent = self.connected and not (self._heard_of_ours or self._revived)
        if silent and self._opened_times > 1 and self._revive_at is None and self._reconnect:
            wait = round(self.settings.idle_limit_s * _SECOND) << min(self._revivals, 8)
            self._revive_at = self._opened_at + wait

    def _revive(self) -> None:
        self._revive_at = None
        if self.connected and not self._heard_of_ours and self.trackers:
            self._revivals += 1
            self._revived = True
            self._out.append(Disconnect())


_HANDLERS: Mapping[type, Callable[[ClientSession, Any], None]] = {
    SocketOpened: ClientSession._opened,
    ConnectFailed: ClientSession._connect_failed,
    SocketLost: ClientSession._socket_lost,
    SubmitStarted: ClientSession._posting,
    PromptAccepted: ClientSession._accept,
    SubmitFailed: ClientSession._refused,
    HistoryReceived: ClientSession._got_history,
    QueueReceived: ClientSession._got_queue,
    RequestFailed: ClientSession._failed,
    PromptRemoved: ClientSession._removed,
    PromptForgotten: ClientSession._forget,
    Woke: ClientSession._woke,
}


_NAMES: dict[type, str] = {
    **_BINARY_NAMES,
    **{kind: name for name, kind in events.KNOWN.items()},
}
"""``ProgressEvent.type`` by the type of the event; others are named by the message itself."""


def _objects_in(text: str) -> list[str]:
    """The JSON objects of a text, if it is nothing but objects one after the other."""
    scan, at = json.JSONDecoder().raw_decode, 0
    found: list[str] = []
    while at < len(text) and len(found) < _OBJECTS_PER_FRAME_MAX:
        if text[at].isspace():
            at += 1
            continue
        try:
            value, end = scan(text, at)
        except (ValueError, RecursionError):
            return []
        if not isinstance(value, dict):
            return []
        found.append(text[at:end])
        at = end
    return found
