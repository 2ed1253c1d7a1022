"""A recording that grows -> what a page in a browser asks for: itself, rows, payloads, pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from comfyrec.cassette.records import AnyRecord
from comfyrec.show.page_data import PageRows, Seen, Shelf, packed_rows
from comfyrec.show.page_file import live_html
from comfyrec.timeline.live import Live

__all__ = ["WAIT_S_MAX", "LivePage", "PageAnswer", "Store"]

WAIT_S_MAX: Final = 25.0
"""How long a page may wait for news; proxies and browsers give up later."""
PICTURES_BYTES_MAX: Final = 256 << 20
"""They stand in a file, and leave it one by one."""
_NUMBERS: Final = ("rows", "strings", "exchanges", "gaps", "patches", "revision")


class Store(Shelf, Protocol):
    """A shelf from which things can be taken again."""

    def block_at(self, number: int) -> bytes | None:
        """A block; None: there is none."""
        ...

    def picture_at(self, number: int) -> tuple[str, bytes] | None:
        """(media type, picture); None: there is none."""
        ...


class PageAnswer(NamedTuple):
    """What is answered to one request."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class LivePage:
    """Takes records as they come, and answers a page that shows them.

    Args:
        store: where payloads and pictures stand.
        files: the texts of the files in ``page/``, by name.
        name: what the page calls the recording.
        redacted: classes of secrets that were blanked out.
        instance: another one each time that the page is served anew; a page that knows the last
            one starts over.
        panel: JSON for the column of controls; empty: there is none.
    """

    def __init__(
        self,
        store: Store,
        files: Mapping[str, str],
        *,
        name: str,
        redacted: Sequence[str] = (),
        instance: str,
        panel: str = "",
    ) -> None:
        self._store, self._files, self._name = store, files, name
        self._instance, self._panel = instance, panel
        self.live = Live()
        self.rows = PageRows(
            self.live, store, name=name, redacted=redacted, pictures_max=PICTURES_BYTES_MAX
        )
        self.over = self.whole = False

    def take(self, records: Iterable[AnyRecord]) -> None:
        """The next records."""
        for record in records:
            self.rows.add(self.live.take(record))

    def finish(self, *, whole: bool) -> None:
        """No more records come; ``whole``: the recording was ended cleanly."""
        self.rows.add(self.live.finish())
        self.rows.finish()
        self.over, self.whole = True, whole

    @property
    def moved(self) -> tuple[int, int, bool]:
        """Changes whenever there is anything new to see."""
        return self.rows.rows, self.live.prompts.revision, self.over

    def has_news(self, query: Mapping[str, str]) -> bool:
        """Whether there is anything that the page does not know yet."""
        seen = _seen(query)
        known = seen.rows == self.rows.rows and seen.revision == self.live.prompts.revision
        return self.over or not known or query.get("instance", self._instance) != self._instance

    def answer(self, path: str, query: Mapping[str, str]) -> PageAnswer | None:
        """Answer a GET below the page's address; None: there is no such thing."""
        if path in ("", "/"):
            html, policy = live_html(self._files, title=self._name, panel=self._panel)
            return _answer(
                "text/html; charset=utf-8", html.encode(), ("Content-Security-Policy", policy)
            )
        if path == "/rows":
            return self._rows(query)
        number = _number(query.get("n", ""))
        if path == "/block" and number is not None:
            last = number == self.rows.blocks
            packed = self.rows.last_block() if last else self._store.block_at(number)
            return None if packed is None else _packed("application/json", packed)
        if path == "/picture" and number is not None:
            found = self._store.picture_at(number)
            return None if found is None else _answer(*found)
        return None

    def _rows(self, query: Mapping[str, str]) -> PageAnswer:
        seen = _seen(query)
        if query.get("instance", self._instance) != self._instance or seen.rows > self.rows.rows:
            seen = Seen()  # of another time: it gets all, and sees by the instance what happened
        packed = packed_rows(
            self.rows, seen, whole=self.whole, instance=self._instance, over=self.over
        )
        return _packed("application/octet-stream", packed)


def _seen(query: Mapping[str, str]) -> Seen:
    return Seen(*(_number(query.get(name, "")) or 0 for name in _NUMBERS))


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None


def _packed(media_type: str, packed: bytes) -> PageAnswer:
    return _answer(media_type, packed, ("Content-Encoding", "gzip"))


def _answer(media_type: str, body: bytes, *more: tuple[str, str]) -> PageAnswer:
    headers = (
        ("Content-Type", media_type),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        *more,
    )
    return PageAnswer(200, headers, body)
