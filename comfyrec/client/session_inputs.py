"""What a shell gives a client session, and what the session asks of it."""

from __future__ import annotations

from typing import Any

import msgspec

from comfyrec.client.http.requests import Accepted, Queued
from comfyrec.client.tracker import Done, GetHistory, GetQueue, Notify

__all__ = [
    "Action",
    "Connect",
    "ConnectFailed",
    "Disconnect",
    "HistoryReceived",
    "Input",
    "MessageReceived",
    "PromptAccepted",
    "PromptForgotten",
    "PromptRemoved",
    "QueueReceived",
    "RequestFailed",
    "SocketLost",
    "SocketOpened",
    "SubmitFailed",
    "SubmitStarted",
    "Woke",
]


class SocketOpened(msgspec.Struct, frozen=True):
    """The WebSocket that ``Connect`` asked for is open."""


class ConnectFailed(msgspec.Struct, frozen=True):
    """It could not be opened. ``refused``: no server listens there."""

    why: str
    refused: bool = False


class SocketLost(msgspec.Struct, frozen=True):
    """The WebSocket is gone, with or without a close frame."""

    why: str


class MessageReceived(msgspec.Struct, frozen=True):
    """A message came: ``str`` for text, ``bytes`` for binary."""

    message: str | bytes


class SubmitStarted(msgspec.Struct, frozen=True):
    """A ``POST /prompt`` is about to leave. Exactly one ``PromptAccepted`` or
    ``SubmitFailed`` follows."""


class PromptAccepted(msgspec.Struct, frozen=True):
    """A prompt was accepted, and is to be watched."""

    accepted: Accepted
    nodes: tuple[str, ...] = ()
    """Ids in its graph; they count the progress."""
    listening: bool = True
    """False: no callback, so no ``Notify``."""
    timeout_s: float | None = None
    """Total limit instead of the settings' one."""
    posted: bool = True
    """False: accepted at another time, only watched from now on."""


class SubmitFailed(msgspec.Struct, frozen=True):
    """The prompt was not accepted, or the request got no response."""


class HistoryReceived(msgspec.Struct, frozen=True):
    """The response to ``GetHistory``."""

    prompt_id: str
    entry: dict[str, Any] | None
    can_say: bool = True
    """False: the server keeps nothing that could tell."""


class QueueReceived(msgspec.Struct, frozen=True):
    """The response to ``GetQueue``."""

    queued: Queued


class RequestFailed(msgspec.Struct, frozen=True):
    """No usable response to ``GetHistory`` (with its prompt) or ``GetQueue`` (without)."""

    why: str
    prompt_id: str | None = None
    refused: bool = False


class PromptRemoved(msgspec.Struct, frozen=True):
    """We removed a prompt from the queue, and the queue confirmed it."""

    prompt_id: str


class PromptForgotten(msgspec.Struct, frozen=True):
    """Nobody waits for the prompt any more."""

    prompt_id: str


class Woke(msgspec.Struct, frozen=True):
    """``wake_at`` has come."""


Input = (
    SocketOpened
    | ConnectFailed
    | SocketLost
    | MessageReceived
    | SubmitStarted
    | PromptAccepted
    | SubmitFailed
    | HistoryReceived
    | QueueReceived
    | RequestFailed
    | PromptRemoved
    | PromptForgotten
    | Woke
)


class Connect(msgspec.Struct, frozen=True):
    """Open a WebSocket with that client id. ``SocketOpened`` or ``ConnectFailed`` follows."""

    client_id: str


class Disconnect(msgspec.Struct, frozen=True):
    """Close the WebSocket, closing handshake included. ``SocketLost`` follows."""


Action = GetHistory | GetQueue | Notify | Done | Connect | Disconnect
