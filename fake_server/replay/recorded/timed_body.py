"""A recorded answer whose body came in pieces -> when each piece is due, and how it ended.

A body of a known length is a file, and is sent as quickly as it is read. One whose length nobody
knew when it began (chunks, server-sent events, JSON in lines) came as something happened, and comes
in the same time again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

import msgspec

from comfyrec.http.event_stream import is_event_stream, is_json_lines
from comfyrec.timeline import Exchange, Side

__all__ = ["TimedBody", "cuts_in", "offsets", "timed_body"]

AT_ONCE_US: Final = 5_000
"""What came within this time came as quickly as the wire brought it."""


class TimedBody(msgspec.Struct, frozen=True):
    """The body of an answer in time."""

    ends: tuple[int, ...]
    """Where in the body each piece ends."""
    places: tuple[int, ...]
    """Where in the recording each piece stands."""
    times: tuple[int, ...]
    """When each piece came: Unix microseconds."""
    begun: int
    """When the head came."""
    ended: int
    """When the end came, or the connection ended."""
    is_whole: bool
    left: bool
    """The client ended it, by going away."""
    keeps_length: bool = False
    """Its head names the length of the body that did not come."""


def timed_body(exchange: Exchange) -> TimedBody | None:
    """The body of a recorded answer in time; None for one that is sent at once."""
    response = exchange.response
    if response is None or exchange.method == "HEAD" or exchange.status in (101, 204, 304):
        return None
    sized = bool(response.header("Content-Length"))
    kind = response.header("Content-Type")
    is_row = is_event_stream(kind) or is_json_lines(kind)
    cut = not response.complete
    if response.omitted_bytes or (
        sized and not is_row and not (cut and exchange.cut_by is not None)
    ):
        return None
    ended = max(response.t_end, exchange.cut_t if cut else 0)
    if not cut and ended - response.t < AT_ONCE_US:
        return None
    size = len(response.body) if response.stored is None else response.stored.size
    pieces = response.pieces
    return TimedBody(
        ends=tuple(accumulate(piece.size for piece in pieces)) if pieces else (size,),
        places=tuple(piece.at for piece in pieces) if pieces else (response.at,),
        times=tuple(piece.t for piece in pieces) if pieces else (response.t,),
        begun=response.t,
        ended=ended,
        is_whole=not cut,
        left=cut and exchange.cut_by is not Side.SERVER,
        keeps_length=cut and sized,
    )


def cuts_in(old: bytes, new: bytes, ends: Sequence[int]) -> list[int]:
    """Where a changed body is to be cut so that each line of it comes when it came.

    Args:
        old: the body as recorded.
        new: the same with other ids and names in it.
        ends: where the pieces of the recorded one ended.
    """
    if old == new:
        return list(ends)
    ours, theirs = new.splitlines(keepends=True), old.splitlines(keepends=True)
    if len(ours) != len(theirs):
        return [end * len(new) // max(len(old), 1) for end in ends]
    mapped, line, old_at, new_at = [], 0, 0, 0
    for end in ends:
        while line < len(theirs) and old_at + len(theirs[line]) <= end:
            old_at, new_at = old_at + len(theirs[line]), new_at + len(ours[line])
            line += 1
        within = min(end - old_at, len(ours[line]) if line < len(ours) else 0)
        mapped.append(new_at + within)
    return [*mapped[:-1], len(new)] if mapped and ends[-1] >= len(old) else mapped


def offsets(times: Sequence[int], limit: int | None) -> list[int]:
    """Microseconds since the first of the times, no gap longer than the limit."""
    gaps = (max(later - earlier, 0) for earlier, later in pairwise(times))
    return list(accumulate((g if limit is None else min(g, limit) for g in gaps), initial=0))
