"""A recorded message -> the same with other ids, looked through once for all play-throughs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from comfyrec.timeline import Message, Side, Socket, Timeline
from fake_server.replay.live.live_state import LivePrompt
from fake_server.replay.live.previews import announces, as_described, as_plain
from fake_server.replay.live.prompt_rewriter import PromptRewriter
from fake_server.replay.recorded.id_mapping import IdTemplate, RecordedIds
from fake_server.replay.recorded.steps import SendStep

__all__ = ["RecordedMessages"]

Rename = Callable[[str], str]
_METADATA: Final = 4  # the binary event whose payload begins with JSON (protocol.md, section 2.4)


class RecordedMessages:
    """All messages of a recording.

    Args:
        timeline: the recording.
        recorded_ids: its ids.
        flags: the server's feature flags; None: it knows no flags.

    Attributes:
        flags: the message that answers flags for which none were recorded.
    """

    def __init__(
        self, timeline: Timeline, recorded_ids: RecordedIds, *, flags: Mapping[str, Any] | None
    ) -> None:
        message = {"type": "feature_flags", "data": flags}
        self.flags = json.dumps(message) if flags is not None else None
        self._recorded_ids = recorded_ids
        self._announced_at = [_announced_at(socket) for socket in timeline.sockets]
        self._templates: dict[int, IdTemplate | None] = {}

    def for_client(
        self, step: SendStep, rename: Rename, *, described: bool, about: LivePrompt | None
    ) -> str | bytes:
        """One message, as a live client gets it.

        Args:
            step: sends it.
            rename: recorded id -> live id.
            described: whether the live client announced that it takes described previews.
            about: the prompt that it belongs to.
        """
        message = self.with_live_ids(step, rename)
        if about is not None and about.rewriter is not None:
            message = _rewritten(message, about.rewriter)
        if isinstance(message, str) or described == self._was_described(step):
            return message
        if not described:
            return as_plain(message)
        if about is None or about.node is None:
            return message
        return as_described(message, node=about.node, prompt_id=about.live_id)

    def _was_described(self, step: SendStep) -> bool:
        announced = self._announced_at[step.socket.number]
        return announced is not None and announced < step.message.at

    def with_live_ids(self, step: SendStep, rename: Rename) -> str | bytes:
        """One message, its ids renamed."""
        data = step.message.data
        if isinstance(data, str):
            template = self._template(step.message, data)
            return data if template is None else template.filled(rename)
        if step.message.binary_type == _METADATA:
            return self._with_metadata(step.message, data, rename)
        return data

    def _template(self, message: Message, text: str) -> IdTemplate | None:
        if message.at not in self._templates:
            self._templates[message.at] = self._recorded_ids.template(text)
        return self._templates[message.at]

    def _with_metadata(self, message: Message, data: bytes, rename: Rename) -> bytes:
        size = int.from_bytes(data[4:8], "big")
        try:
            metadata = data[8 : 8 + size].decode()
        except UnicodeDecodeError:
            return data
        template = self._template(message, metadata)
        if template is None or 8 + size > len(data):
            return data
        renamed = template.filled(rename).encode()
        return data[:4] + len(renamed).to_bytes(4, "big") + renamed + data[8 + size :]


def _rewritten(message: str | bytes, rewriter: PromptRewriter) -> str | bytes:
    if isinstance(message, str):
        return rewriter.text(message)
    if message[:4] != _METADATA.to_bytes(4, "big"):
        return message
    size = int.from_bytes(message[4:8], "big")
    try:
        metadata = rewriter.text(message[8 : 8 + size].decode()).encode()
    except UnicodeDecodeError:
        return message
    return message[:4] + len(metadata).to_bytes(4, "big") + metadata + message[8 + size :]


def _announced_at(socket: Socket) -> int | None:
    """The place at which the recorded client announced that it takes described previews."""
    for message in socket.messages:
        if message.side is Side.CLIENT:
            announced = announces(message.data)
            if announced is not None:
                return message.at if announced else None
    return None
