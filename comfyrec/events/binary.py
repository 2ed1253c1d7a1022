"""Binary frame <-> event: the layouts of protocol.md section 2.4. All numbers are big-endian.

A picture is a ``memoryview`` into the frame, never a copy.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import msgspec

from comfyrec.errors import DecodeError

from .python_json import BAD_INPUT, comfy_json, read_json
from .schema import Event, NodeId

__all__ = [
    "BinaryEvent",
    "BinaryMisfit",
    "Frame",
    "Preview",
    "PreviewMetadata",
    "PreviewWithMetadata",
    "ProgressText",
    "UnknownBinary",
    "decode_binary",
    "encode_binary",
]

Frame = bytes | bytearray | memoryview
"""One whole binary message."""

PREVIEW_IMAGE: Final = 1
TEXT: Final = 3
PREVIEW_IMAGE_WITH_METADATA: Final = 4
NAMES: Final = {
    PREVIEW_IMAGE: "PREVIEW_IMAGE",
    TEXT: "TEXT",
    PREVIEW_IMAGE_WITH_METADATA: "PREVIEW_IMAGE_WITH_METADATA",
}

JPEG: Final = 1
PNG: Final = 2
IMAGE_TYPES: Final = {JPEG: "image/jpeg", PNG: "image/png"}

_ONE = struct.Struct(">I")
_TWO = struct.Struct(">II")


# --- events ----------------------------------------------------------------------------------


class BinaryEvent(Event, frozen=True, gc=False):
    """What all events of binary frames share: ``kind`` is the number in the first four bytes."""

    @property
    def kind(self) -> int:
        """The number of the event on the wire."""
        return _KINDS[type(self)]

    @property
    def type(self) -> str:
        """The server's own name for the kind; the number itself if it has none."""
        return NAMES.get(self.kind, str(self.kind))

    @property
    def raw(self) -> bytes:
        """The whole frame."""
        return encode_binary(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # A memoryview cannot be pickled; the frame says it all.
        return (decode_binary, (encode_binary(self),))


class Preview(BinaryEvent, frozen=True, gc=False, kw_only=False):
    """Kind 1: a picture of the work in progress, of whichever node is executing."""

    image: memoryview
    format: int = JPEG
    """1 JPEG, 2 PNG."""

    @property
    def image_type(self) -> str | None:
        """The media type of the picture, if the format is known."""
        return IMAGE_TYPES.get(self.format)


class ProgressText(BinaryEvent, frozen=True, gc=False, kw_only=False):
    """Kind 3: a text that a node shows while it works. Goes to every socket. Since 0.3.34."""

    node: str
    text: str


def _null() -> None:
    """A default that is written all the same: the server always sends these fields."""


class PreviewMetadata(msgspec.Struct, frozen=True, gc=False):
    """Which node of which prompt a preview shows."""

    node_id: NodeId
    prompt_id: str
    display_node_id: NodeId | None = msgspec.field(default_factory=_null)
    parent_node_id: NodeId | None = msgspec.field(default_factory=_null)
    real_node_id: NodeId | None = msgspec.field(default_factory=_null)
    image_type: str | None = None
    """``image/jpeg`` or ``image/png``."""


class PreviewWithMetadata(BinaryEvent, frozen=True, gc=False, kw_only=False):
    """Kind 4: a picture that says whose it is, for clients that negotiated it. Since 0.3.45."""

    metadata: PreviewMetadata
    image: memoryview

    @property
    def prompt_id(self) -> str | None:
        return self.metadata.prompt_id

    @property
    def extra(self) -> dict[str, Any]:
        """What else the metadata says, as it was sent: since 0.40.0 the ``workflow_metadata`` of
        the prompt."""
        if not isinstance(self.kept, bytes):
            return {}
        end = 8 + _ONE.unpack_from(self.kept, 4)[0]
        known = self.metadata.__struct_encode_fields__
        sent = read_json(self.kept[8:end])
        return {name: value for name, value in sent.items() if name not in known}

    @property
    def image_type(self) -> str | None:
        """The media type of the picture, as the metadata says."""
        return self.metadata.image_type


class UnknownBinary(BinaryEvent, frozen=True, gc=False, kw_only=False):
    """A kind that is not in the schema: an extension's, or a newer server's."""

    kind: int
    payload: memoryview
    """Everything after the first four bytes."""


class BinaryMisfit(BinaryEvent, frozen=True, gc=False, kw_only=False):
    """A known kind whose payload does not fit; ``why`` says what and where."""

    kind: int
    payload: memoryview
    why: str


_KINDS: Final[dict[type, int]] = {
    Preview: PREVIEW_IMAGE,
    ProgressText: TEXT,
    PreviewWithMetadata: PREVIEW_IMAGE_WITH_METADATA,
}


# --- frame -> event --------------------------------------------------------------------------

_decode_metadata = msgspec.json.Decoder(PreviewMetadata).decode


def decode_binary(frame: Frame) -> BinaryEvent:
    """Turn one binary message into one event.

    Args:
        frame: the message. Pictures are views into it if it is ``bytes``; anything that may still
            change is copied first.

    Raises:
        DecodeError: the frame ends inside its own header.
    """
    if type(frame) is not bytes:
        frame = bytes(memoryview(frame))
    if len(frame) < 8:
        return _short(frame)
    kind, number = _TWO.unpack_from(frame)
    if kind == PREVIEW_IMAGE:
        return Preview(memoryview(frame)[8:], number, kept=frame)
    if kind not in NAMES:
        return UnknownBinary(kind, memoryview(frame)[4:], kept=frame)
    end = 8 + number
    if end > len(frame):
        raise DecodeError(
            f"torn {NAMES[kind]} frame: {number} bytes announced, {len(frame) - 8} are there", frame
        )
    try:
        if kind == TEXT:
            return ProgressText(frame[8:end].decode(), frame[end:].decode(), kept=frame)
        metadata = _metadata(frame[8:end])
    except BAD_INPUT as misfit:
        return BinaryMisfit(kind, memoryview(frame)[4:], str(misfit), kept=frame)
    return PreviewWithMetadata(metadata, memoryview(frame)[end:], kept=frame)


def _short(frame: bytes) -> BinaryEvent:
    if len(frame) < 4:
        raise DecodeError(f"torn binary frame: {len(frame)} bytes, the kind alone takes 4", frame)
    (kind,) = _ONE.unpack_from(frame)
    if kind in NAMES:
        raise DecodeError(
            f"torn {NAMES[kind]} frame: {len(frame)} bytes, its header takes 8", frame
        )
    return UnknownBinary(kind, memoryview(frame)[4:], kept=frame)


def _metadata(text: bytes) -> PreviewMetadata:
    try:
        return _decode_metadata(text)
    except BAD_INPUT:
        return msgspec.convert(read_json(text), PreviewMetadata)


# --- event -> frame --------------------------------------------------------------------------


def encode_binary(event: BinaryEvent) -> bytes:
    """Turn an event into its binary message: the one it came from, while it still says the same."""
    if isinstance(event.kept, bytes) and decode_binary(event.kept) == event:
        return event.kept
    if isinstance(event, Preview):
        return _TWO.pack(PREVIEW_IMAGE, event.format) + event.image
    if isinstance(event, ProgressText):
        return _headed(TEXT, event.node.encode(), event.text.encode())
    if isinstance(event, PreviewWithMetadata):
        text = comfy_json(event.metadata).encode()
        return _headed(PREVIEW_IMAGE_WITH_METADATA, text, event.image)
    assert isinstance(event, UnknownBinary | BinaryMisfit), f"{type(event).__name__} has no layout"
    return _ONE.pack(event.kind) + event.payload


def _headed(kind: int, head: bytes, rest: bytes | memoryview) -> bytes:
    return b"".join((_TWO.pack(kind, len(head)), head, rest))
