"""Who is connected under which id, and what is said to whom: events -> Send actions.

protocol.md, sections 2 and 3. One registration per client id; the newest socket has it. Each
message is encoded once, whoever gets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from comfyrec.events import comfy_json
from comfyrec.events.frames import text_frame
from comfyrec.http.request import loads
from fake_server.seeded import SeededRandom
from fake_server.source import Action, Send

__all__ = ["PREVIEW_FORMATS", "Clients"]

PREVIEW_FORMATS: Final = {"jpeg": 1, "png": 2}
_DATA: Final = '"data": {'
# What the messages that are encoded by hand may say in their data.
_OWN_FIELDS: Final = frozenset(
    ("node", "display_node", "output", "prompt_id", "value", "max", "nodes")
)


def _word(value: int) -> bytes:
    return value.to_bytes(4, "big")


class Clients:
    """The registered sockets, and the actions that wait to be taken."""

    def __init__(self, random: SeededRandom) -> None:
        self._random = random
        self.actions: list[Action] = []
        self.waiting_size = 0
        """How many letters and bytes wait to be taken."""
        self._sockets: dict[str, tuple[int]] = {}  # client id -> the socket that gets its events
        self._flags: dict[str, Any] = {}  # client id -> the flags it announced
        self._ids: dict[int, str] = {}  # socket -> the id it came with, registered or not
        self._has_spoken: set[int] = set()
        self._everyone: tuple[int, ...] | None = None
        self._metadata: Mapping[str, Any] = {}
        self._metadata_json = ""
        self.to_nobody = 0
        """Messages that nobody was there to get; a real server drops them as well."""

    # --- sockets -----------------------------------------------------------------------------

    def connected(self, socket: int, client_id: str | None) -> str:
        """Register a socket; an older one with the same id goes deaf. Gives its id."""
        sid = client_id or self._random.hex32()
        # Taken out first: the newest registration stands last in a broadcast.
        self._sockets.pop(sid, None)
        self._sockets[sid] = (socket,)
        self._flags[sid] = {}
        self._ids[socket] = sid
        self._everyone = None
        return sid

    def disconnected(self, socket: int) -> None:
        """A socket is gone; so is the registration of its id, whoever holds it by now."""
        sid = self._ids.pop(socket, None)
        self._has_spoken.discard(socket)
        if sid is not None and self._sockets.pop(sid, None) is not None:
            self._flags.pop(sid, None)
            self._everyone = None

    def first_object(self, socket: int, message: str | bytes) -> Mapping[str, Any] | None:
        """The socket's first message, if this is it: the first text that is a JSON object."""
        if socket in self._has_spoken or isinstance(message, bytes):
            return None
        try:
            said = loads(message)
        except (ValueError, RecursionError):
            return None
        if not isinstance(said, dict):
            return None
        self._has_spoken.add(socket)
        return said

    def set_flags(self, socket: int, flags: Any) -> str | None:
        """Keep what a client can do; gives the id that the reply goes to, None if unregistered."""
        sid = self._ids.get(socket)
        if sid is None or sid not in self._sockets:
            return None
        self._flags[sid] = flags
        return sid

    def supports(self, client_id: Any, flag: str) -> bool:
        """Whether the client announced the flag as JSON ``true``.

        Raises:
            AttributeError: it announced something that is not an object (``data: null``).
        """
        flags = self._flags.get(client_id, {}) if isinstance(client_id, str) else {}
        return flags.get(flag) is True

    @property
    def client_ids(self) -> list[str]:
        """The registered ids."""
        return list(self._sockets)

    def sockets_of(self, client_id: Any) -> tuple[int, ...]:
        """The sockets of a client id; all of them for None."""
        if client_id is None:
            if self._everyone is None:
                self._everyone = tuple(socket for (socket,) in self._sockets.values())
            return self._everyone
        return self._sockets.get(client_id, ()) if isinstance(client_id, str) else ()

    # --- messages ----------------------------------------------------------------------------

    def attach(self, metadata: Mapping[str, Any]) -> None:
        """Put this in front of the data of all messages that name a prompt, from now on.

        It is the ``workflow_metadata`` of the prompt that runs (0.40.0); ``{}`` ends it.
        """
        self._metadata = metadata
        self._metadata_json = f"{comfy_json(metadata)[1:-1]}, " if metadata else ""

    def send_event(self, client_id: Any, kind: str, data: Any) -> None:
        """Send an event to a client, or to all for None."""
        sockets = self.sockets_of(client_id)
        if sockets:
            if self._metadata and isinstance(data, Mapping) and "prompt_id" in data:
                data = {**self._metadata, **data}
            self._append(sockets, text_frame(kind, data))
        else:
            self.to_nobody += 1

    def send_of_prompt(self, client_id: Any, message: str) -> None:
        """Send a message that is encoded already, but for the metadata of the prompt it names."""
        if self._metadata and self.sockets_of(client_id):
            message = self._with_metadata(message)
        self.send(client_id, message)

    def _with_metadata(self, message: str) -> str:
        if not _OWN_FIELDS.isdisjoint(self._metadata):
            # What the message says itself wins, in the place of the metadata's key.
            said = loads(message)
            return text_frame(said["type"], {**self._metadata, **said["data"]})
        return message.replace(_DATA, f"{_DATA}{self._metadata_json}", 1)

    def send(self, client_id: Any, message: str | bytes) -> None:
        """Send a message that is encoded already, as it is."""
        sockets = self.sockets_of(client_id)
        if sockets:
            self._append(sockets, message)
        else:
            self.to_nobody += 1

    def _append(self, sockets: tuple[int, ...], message: str | bytes) -> None:
        self.actions.append(Send(sockets, message))
        self.waiting_size += len(message)

    def take(self) -> list[Action]:
        """What waits, and forget it."""
        actions, self.actions, self.waiting_size = self.actions, [], 0
        return actions

    def preview(self, client_id: Any, kind: str, picture: bytes) -> None:
        """A binary frame of type 1."""
        self.send(client_id, _word(1) + _word(PREVIEW_FORMATS[kind]) + picture)

    def preview_with(
        self, client_id: Any, kind: str, picture: bytes, metadata: Mapping[str, Any]
    ) -> None:
        """A binary frame of type 4, for clients that announced ``supports_preview_metadata``."""
        text = comfy_json({**self._metadata, **metadata, "image_type": f"image/{kind}"}).encode()
        self.send(client_id, _word(4) + _word(len(text)) + text + picture)

    def text(self, node_id: str, text: str) -> None:
        """A binary frame of type 3, to everybody."""
        name = node_id.encode("utf-8", "replace")
        body = text.encode("utf-8", "replace")
        self.send(None, _word(3) + _word(len(name)) + name + body)
