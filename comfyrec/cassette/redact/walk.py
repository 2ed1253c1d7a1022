"""What all walks over bodies share."""

from __future__ import annotations

from comfyrec.cassette.redact.spans import Found

__all__ = ["Walk"]


class Walk:
    """One body or message of a kind, in as many pieces as it comes in.

    ``feed`` says where secrets stand in a piece. When they are blanked, ``settle`` makes right what
    depends on those bytes, a checksum for one. ``learned`` collects secrets that came in pieces.
    """

    def __init__(self) -> None:
        self.learned: list[bytes] = []
        self.unread = ""
        """Why some of it was not looked into, but for known secrets; else empty."""

    def feed(self, piece: bytes) -> list[Found]:
        """Where secrets stand in this piece."""
        return []

    def settle(self, before: bytes, after: bytes) -> bytes:
        """The blanked piece, made right; of the same size."""
        return after

    def end(self) -> None:
        """No more pieces."""
