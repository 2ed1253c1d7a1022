"""A recorded message -> the same with other ids, looked through once for all play-throughs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from comfyrec.timeline import Side, Socket, Timeline
from fake_server.replay.live.live_state import Live
from fake_server.replay.previews import announces, as_described, as_plain
from fake_server.replay.recording.id_mapping import Template, Vocabulary

__all__ = ["Lines"]

Rename = Callable[[str], str]
_METADATA: Final = 4  # the binary event whose payload begins with JSON (PROTOCOL.md, section 2.4)


class Lines:
    """All messages of a recording.

    Args:
        timeline: the recording.
        vocabulary: its ids.
        flags: the server's feature flags; None: it knows no flags.

    Attributes:
        flags: the message that answers flags for which none were recorded.
    """

    def __init__(
        self, timeline: Timeline, vocabulary: Vocabulary, *, flags: Mapping[str, Any] | None
    ) -> None:
        self._sockets = timeline.sockets
        message = {"type": "feature_flags", "data": flags}
        self.flags = json.dumps(message) if flags is not None else None
        self._vocabulary = vocabulary
        self._flags_at = [_announced_at(socket) for socket in timeline.sockets]
        self._text: dict[tuple[int, int], Template | None] = {}

    def for_client(
        self, socket: int, part: int, rename: Rename, *, described: bool, about: Live | None
    ) -> str | bytes:
        """One message, as a live client gets it.

        Args:
            socket: the recorded one.
            part: the place in its messages.
            rename: recorded id -> live id.
            described: whether the live client announced that it takes described previews.
            about: the prompt that it belongs to.
        """
        message = self.said(socket, part, rename)
        if isinstance(message, str) or described == self._was_described(socket, part):
            return message
        if not described:
            return as_plain(message)
        if about is None or about.node is None:
            return message
        return as_described(message, node=about.node, prompt_id=about.live_id)

    def _was_described(self, socket: int, part: int) -> bool:
        flags = self._flags_at[socket]
        return flags is not None and flags < part

    def said(self, socket: int, part: int, rename: Rename) -> str | bytes:
        """One message, its ids renamed."""
        message = self._sockets[socket].messages[part]
        data = message.data
        if isinstance(data, str):
            template = self._template(socket, part, data)
            return data if template is None else template.filled(rename)
        if message.binary_type == _METADATA:
            return self._with_metadata(socket, part, data, rename)
        return data

    def _template(self, socket: int, part: int, text: str) -> Template | None:
        key = socket, part
        if key not in self._text:
            self._text[key] = self._vocabulary.template(text)
        return self._text[key]

    def _with_metadata(self, socket: int, part: int, data: bytes, rename: Rename) -> bytes:
        size = int.from_bytes(data[4:8], "big")
        try:
            metadata = data[8 : 8 + size].decode()
        except UnicodeDecodeError:
            return data
        template = self._template(socket, part, metadata)
        if template is None or 8 + size > len(data):
            return data
        renamed = template.filled(rename).encode()
        return data[:4] + len(renamed).to_bytes(4, "big") + renamed + data[8 + size :]


def _announced_at(socket: Socket) -> int | None:
    """Where the recorded client announced that it takes described previews."""
    for part, message in enumerate(socket.messages):
        if message.side is Side.CLIENT:
            announced = announces(message.data)
            if announced is not None:
                return part if announced else None
    return None
