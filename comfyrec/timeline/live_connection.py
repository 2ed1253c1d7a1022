"""What is known of one connection while its recording grows."""

from __future__ import annotations

from functools import cached_property

import msgspec

from comfyrec.cassette.records import Side, WsFrame
from comfyrec.http.request import target_of
from comfyrec.timeline.assemble import FrameJoiner, OpenExchange, OpenMessage
from comfyrec.timeline.jobs import job_place
from comfyrec.timeline.live_prompts import LivePrompt
from comfyrec.timeline.model import Message, Socket
from comfyrec.timeline.moments import MomentWords
from comfyrec.timeline.prompt_story import PICTURES
from comfyrec.timeline.story import Listener

__all__ = ["LiveConnection", "LiveExchange", "OpenSocket", "unseen_request", "wants_upgrade"]


class LiveExchange(OpenExchange):
    """An exchange that has not ended, and how much of it was told."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.request_told = self.answer_told = False
        self.said_told = 0

    @cached_property
    def job_id(self) -> str:
        """The job of Comfy API v2 whose events the answer is; empty: of none."""
        target = self.asked.head.split(b" ", 2)[1:2] if self.asked is not None else []
        place = job_place(target_of(target[0].decode("latin-1")).path) if target else None
        return place.job_id if place is not None and place.part == "events" else ""


class OpenSocket:
    """A socket, from its upgrade to its end."""

    def __init__(self, socket: Socket, words: MomentWords) -> None:
        self.socket, self.words = socket, words
        self.joined = {side: FrameJoiner() for side in Side}
        self.current: LivePrompt | None = None
        self.opened = Listener(number=socket.number, conn=socket.conn, name=socket.name)
        self.messages = self.received = self.received_bytes = self.previews = 0

    @property
    def open(self) -> bool:
        return self.socket.closing is None

    def heard(self, message: Message) -> None:
        """Count one more message."""
        self.messages += 1
        if message.side is Side.SERVER:
            self.received += 1
            self.received_bytes += len(message.data)
            self.previews += message.binary_type in PICTURES

    def listener(self, start: int) -> Listener:
        """What is known of it by now."""
        closing = self.socket.closing
        return msgspec.structs.replace(
            self.opened,
            name=self.socket.name,
            closed_us=None if closing is None else closing.t - start,
            closed_by="" if closing is None else closing.by.name.lower(),
            close_code=None if closing is None else closing.code,
            clean=closing is None or closing.clean,
            received=self.received,
            sent=self.messages - self.received,
            received_bytes=self.received_bytes,
            previews=self.previews,
        )


class LiveConnection:
    """What is open on a connection: its exchanges and the socket that one of them became."""

    def __init__(self) -> None:
        self.asked: dict[int, LiveExchange] = {}
        self.socket: OpenSocket | None = None
        self.closed = False


def wants_upgrade(asked: LiveExchange) -> bool:
    """Whether a request wants to become a socket: whether it did is told with its answer."""
    return asked.asked is not None and b"\r\nupgrade: websocket\r\n" in asked.asked.head.lower()


def unseen_request(record: WsFrame) -> OpenMessage:
    """The request of an upgrade that is not there."""
    return OpenMessage(record.t)
