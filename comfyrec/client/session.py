"""One client id, one socket after the other, any number of prompts: routes and reconnects.

What happens goes into ``handle``; what shall happen comes out of it, in order. The shell carries
it out, and feeds what came of it back. ``handle(Woke(), now)`` is due at ``wake_at``.

A frame belongs to the prompt whose id it names (K4). While a POST is on its way, frames of unknown
prompts are kept, because they may be those of the prompt that is just being accepted (K7).

Reconnecting: with the same id while prompts are watched, because their frames go to that id; with
a new one otherwise, because a server may drop the id of a newer socket when the older one closes
(W6). A socket that was reconnected and stays silent although the queue says that our prompt runs
may have met that fate: it is closed and opened once more, ever less often.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from comfyrec import events
from comfyrec.client.backoff import pause_us
from comfyrec.client.requests import Accepted, Queued, place_in
from comfyrec.client.settings import ClientSettings
from comfyrec.client.tracker import AskHistory, AskQueue, Done, Tell, Tracker
from comfyrec.errors import DecodeError

__all__ = [
    "Accept",
    "Action",
    "AskHistory",
    "AskQueue",
    "ClientSession",
    "Connect",
    "ConnectFailed",
    "Disconnect",
    "Done",
    "Failed",
    "Forget",
    "GotHistory",
    "GotQueue",
    "Happened",
    "Heard",
    "Opened",
    "Posting",
    "Refused",
    "Removed",
    "SocketLost",
    "Tell",
    "Woke",
]

# --- what happened ---------------------------------------------------------------------------


class Opened(msgspec.Struct, frozen=True):
    """The socket that ``Connect`` asked for stands."""


class ConnectFailed(msgspec.Struct, frozen=True):
    """It could not be opened. ``refused``: nobody listens there at all."""

    why: str
    refused: bool = False


class SocketLost(msgspec.Struct, frozen=True):
    """The socket is gone, with or without a close frame."""

    why: str


class Heard(msgspec.Struct, frozen=True):
    """A message came: ``str`` for text, ``bytes`` for binary."""

    message: str | bytes


class Posting(msgspec.Struct, frozen=True):
    """A ``POST /prompt`` is about to leave. Exactly one ``Accept`` or ``Refused`` follows."""


class Accept(msgspec.Struct, frozen=True):
    """A prompt is to be watched from here on."""

    accepted: Accepted
    nodes: tuple[str, ...] = ()
    """Ids in its graph; they count the progress."""
    listening: bool = True
    """False: nobody wants ``Tell``."""
    timeout_s: float | None = None
    """Total limit instead of the settings' one."""
    posted: bool = True
    """False: accepted at another time, only watched from now on."""


class Refused(msgspec.Struct, frozen=True):
    """The POST was not accepted, or not answered."""


class GotHistory(msgspec.Struct, frozen=True):
    """The answer to ``AskHistory``."""

    prompt_id: str
    entry: dict[str, Any] | None


class GotQueue(msgspec.Struct, frozen=True):
    """The answer to ``AskQueue``."""

    queued: Queued


class Failed(msgspec.Struct, frozen=True):
    """No usable answer to ``AskHistory`` (with its prompt) or ``AskQueue`` (without)."""

    why: str
    prompt_id: str | None = None
    refused: bool = False


class Removed(msgspec.Struct, frozen=True):
    """We took a prompt out of the queue, and it is gone from there."""

    prompt_id: str


class Forget(msgspec.Struct, frozen=True):
    """Nobody waits for the prompt any more."""

    prompt_id: str


class Woke(msgspec.Struct, frozen=True):
    """``wake_at`` has come."""


Happened = (
    Opened
    | ConnectFailed
    | SocketLost
    | Heard
    | Posting
    | Accept
    | Refused
    | GotHistory
    | GotQueue
    | Failed
    | Removed
    | Forget
    | Woke
)

# --- what shall happen (with those of the tracker) -------------------------------------------


class Connect(msgspec.Struct, frozen=True):
    """Open a socket under that client id. ``Opened`` or ``ConnectFailed`` follows."""

    client_id: str


class Disconnect(msgspec.Struct, frozen=True):
    """Close the socket, closing handshake included. ``SocketLost`` follows."""


Action = AskHistory | AskQueue | Tell | Done | Connect | Disconnect

# --- the session -----------------------------------------------------------------------------

_SECOND: Final = 1_000_000
_STEADY_US: Final = 5 * _SECOND
"""A socket that stood this long starts the back-off anew; one that is accepted and closed at once
(A36) does not."""
_EARLY_MESSAGES_MAX: Final = 4096
_EARLY_BYTES_MAX: Final = 64 << 20
"""For frames of unknown prompts while a POST is on its way: a few previews and thousands of events.
The oldest go first; the history makes good for them."""
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
        """Messages that are none of ComfyUI's (K6)."""
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
        self._queue_asked = False
        self._waiting_for_queue: set[str] = set()
        self._connecting = False
        self._connect_at: int | None = None
        self._attempts = 0
        self._opened_at = 0
        self._opened_times = 0
        self._ours_since_open = False
        self._revivals = 0
        self._revived = False
        self._revive_at: int | None = None
        self._now = 0

    def handle(self, happened: Happened, now: int) -> list[Action]:
        """Take what happened at ``now`` (Unix microseconds) and say what shall happen."""
        self._now = now
        if type(happened) is Heard:
            # The hot path. It makes due only what it touched; all else waits for ``Woke``.
            self._heard(happened.message)
        else:
            _HANDLERS[type(happened)](self, happened)
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
        """A frame can only make a question due sooner; silence begun anew costs one idle wake."""
        due = tracker.due
        if due is None:
            return
        if due <= self._now:
            tracker.woke(self._now)
        elif self.wake_at is None or due < self.wake_at:
            self.wake_at = due

    def _say(self, action: Any) -> None:
        """What a tracker wants; questions for the queue are put once for all who wait."""
        if isinstance(action, AskQueue):
            self._waiting_for_queue.add(action.prompt_id)
            if self._queue_asked:
                return
            self._queue_asked = True
        elif isinstance(action, Done):
            self._drop(action.result.prompt_id)
        self._out.append(action)

    def _drop(self, prompt_id: str) -> None:
        self.trackers.pop(prompt_id, None)
        self._waiting_for_queue.discard(prompt_id)

    # --- messages ----------------------------------------------------------------------------

    def _heard(self, message: str | bytes) -> None:
        try:
            event = events.decode(message)
        except DecodeError:
            self._heard_several(message)
            return
        self._route(event, message)

    def _heard_several(self, message: str | bytes) -> None:
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
            self._overheard(event, message, name)
            return
        tracker = self.trackers.get(prompt_id)
        if tracker is not None:
            self._ours_since_open = True
            tracker.saw(event, message, self._now, name)
            self._touched(tracker)
        elif self._posts:
            self._keep(prompt_id, event, message, name)
        else:
            self.foreign += 1

    def _overheard(self, event: Any, message: str | bytes, name: str) -> None:
        """A message that names no prompt. Pictures belong to the one that runs."""
        only_running = isinstance(message, bytes)
        for tracker in list(self.trackers.values()):
            if name == "status":
                tracker.hint(self._now)
                self._touched(tracker)
            if tracker.running or not only_running:
                tracker.overheard(event, message, self._now, name)

    def _keep(self, prompt_id: str, event: Any, message: str | bytes, name: str) -> None:
        self._early.append((prompt_id, event, message, name))
        self._early_bytes += len(message)
        while len(self._early) > _EARLY_MESSAGES_MAX or self._early_bytes > _EARLY_BYTES_MAX:
            self._early_bytes -= len(self._early.popleft()[2])
            self.skipped += 1

    def _posting(self, _happened: Posting) -> None:
        self._posts += 1

    def _refused(self, _happened: Refused) -> None:
        self._posts -= 1
        self._forget_early()

    def _accept(self, happened: Accept) -> None:
        accepted = happened.accepted
        settings = self.settings
        if happened.timeout_s is not None:
            settings = msgspec.structs.replace(settings, timeout_s=happened.timeout_s)
        tracker = Tracker(
            accepted.prompt_id,
            nodes=happened.nodes,
            settings=settings,
            client_id=self.client_id,
            now=self._now,
            out=self._say,
            listening=happened.listening,
            node_errors=accepted.node_errors,
        )
        self.trackers[accepted.prompt_id] = tracker
        if not self.connected or not happened.posted:
            tracker.hint(self._now)
        if happened.posted:
            self._posts -= 1
            self._replay_early(tracker)

    def _replay_early(self, tracker: Tracker) -> None:
        ours = [kept for kept in self._early if kept[0] == tracker.prompt_id]
        for _, event, message, name in ours:
            self._ours_since_open = True
            tracker.saw(event, message, self._now, name)
        self._forget_early()

    def _forget_early(self) -> None:
        if not self._posts:
            self._early.clear()
            self._early_bytes = 0

    # --- answers -----------------------------------------------------------------------------

    def _got_history(self, happened: GotHistory) -> None:
        tracker = self.trackers.get(happened.prompt_id)
        if tracker is not None:
            tracker.history(happened.entry, self._now)

    def _got_queue(self, happened: GotQueue) -> None:
        for tracker in self._those_who_asked_for_the_queue():
            place = place_in(happened.queued, tracker.prompt_id)
            tracker.queue(place, self._now)
            if place.running:
                self._plan_revival()

    def _those_who_asked_for_the_queue(self) -> list[Tracker]:
        waiting, self._waiting_for_queue = self._waiting_for_queue, set()
        self._queue_asked = False
        return [self.trackers[prompt_id] for prompt_id in waiting if prompt_id in self.trackers]

    def _failed(self, happened: Failed) -> None:
        if happened.prompt_id is None:
            asking = self._those_who_asked_for_the_queue()
        else:
            asking = [t for t in [self.trackers.get(happened.prompt_id)] if t is not None]
        for tracker in asking:
            tracker.failed(happened.why, self._now, refused=happened.refused)

    def _removed(self, happened: Removed) -> None:
        tracker = self.trackers.get(happened.prompt_id)
        if tracker is not None:
            tracker.removed(self._now)

    def _forget(self, happened: Forget) -> None:
        self._drop(happened.prompt_id)

    def _woke(self, _happened: Woke) -> None:
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

    def _opened(self, _happened: Opened) -> None:
        self._connecting, self.connected = False, True
        self._opened_at = self._now
        self._opened_times += 1
        self._ours_since_open = self._revived = False
        if self._opened_times > 1:
            for tracker in list(self.trackers.values()):
                tracker.socket_up(self._now)

    def _connect_failed(self, happened: ConnectFailed) -> None:
        self._connecting = False
        if happened.refused:
            for tracker in self.trackers.values():
                tracker.server_gone()
        self._connect_later()

    def _socket_lost(self, happened: SocketLost) -> None:
        self.connected = False
        if self._now - self._opened_at >= _STEADY_US:
            self._attempts = 0
        for tracker in list(self.trackers.values()):
            tracker.socket_down(self._now, happened.why)
        self._connect_later()

    def _connect_later(self) -> None:
        if not self._reconnect:
            return
        self._connect_at = self._now + pause_us(self._attempts)
        self._attempts += 1

    def _plan_revival(self) -> None:
        """Our prompt runs, the socket says nothing: was its id taken from it (W6)?"""
        silent = self.connected and not (self._ours_since_open or self._revived)
        if silent and self._opened_times > 1 and self._revive_at is None and self._reconnect:
            wait = round(self.settings.idle_limit_s * _SECOND) << min(self._revivals, 8)
            self._revive_at = self._opened_at + wait

    def _revive(self) -> None:
        self._revive_at = None
        if self.connected and not self._ours_since_open and self.trackers:
            self._revivals += 1
            self._revived = True
            self._out.append(Disconnect())


_HANDLERS: Mapping[type, Callable[[ClientSession, Any], None]] = {
    Opened: ClientSession._opened,
    ConnectFailed: ClientSession._connect_failed,
    SocketLost: ClientSession._socket_lost,
    Posting: ClientSession._posting,
    Accept: ClientSession._accept,
    Refused: ClientSession._refused,
    GotHistory: ClientSession._got_history,
    GotQueue: ClientSession._got_queue,
    Failed: ClientSession._failed,
    Removed: ClientSession._removed,
    Forget: ClientSession._forget,
    Woke: ClientSession._woke,
}


_NAMES: dict[type, str] = {
    **_BINARY_NAMES,
    **{kind: name for name, kind in events.KNOWN.items()},
}
"""What ``Told.type`` is; others are named by the message itself."""


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
