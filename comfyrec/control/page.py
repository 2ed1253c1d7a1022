"""``/__fake__/ui/``: the page of what this server does, live, by its journal."""

from __future__ import annotations

import secrets
from collections.abc import Coroutine
from typing import Any
from urllib.parse import parse_qsl

from comfyrec.cassette.files.spool import Spool
from comfyrec.control.controlled import UI_PATH, Controlled
from comfyrec.http.origin import names_an_address
from comfyrec.http.request import Request
from comfyrec.show.live_page import WAIT_S_MAX, LivePage
from comfyrec.show.page_file import page_files
from comfyrec.testing.journal_records import JournalRecords
from fake_server.source import Response

__all__ = ["ServerPage"]


class ServerPage:
    """Answers GET below ``/__fake__/ui``. Nothing of it is made before somebody asks."""

    def __init__(self, controlled: Controlled) -> None:
        self._controlled = controlled
        self._page: LivePage | None = None
        self._records = JournalRecords()

    def answer(self, request: Request, path: str) -> Response | Coroutine[Any, Any, Response]:
        """Answer a request.

        Args:
            request: it is not of a page of another origin.
            path: below ``/__fake__``.
        """
        if not names_an_address(request.header("Host")):
            return _text(403, "this page is for the machine that it is served on, by its address")
        if request.method not in ("GET", "HEAD"):
            return _text(405, "this page is read with GET", ("Allow", "GET, HEAD"))
        below = path.removeprefix(UI_PATH)
        if not below:
            # What the page asks for is named from its folder on.
            return _text(308, "", ("Location", f"{request.parts.raw_path}/"))
        query = dict(parse_qsl(request.parts.raw_query))
        if below == "/rows" and "wait_s" in query:
            return self._later(below, query)
        return self._now(below, query)

    def _now(self, path: str, query: dict[str, str]) -> Response:
        found = self._caught_up().answer(path, query)
        if found is None:
            return _text(404, "there is no such part of the page")
        return Response(found.status, found.headers, found.body)

    async def _later(self, path: str, query: dict[str, str]) -> Response:
        """As soon as there is anything that the page does not know."""
        try:
            wait_s = min(max(float(query["wait_s"]), 0.0), WAIT_S_MAX)
        except ValueError:
            wait_s = 0.0
        await self._controlled.in_time(lambda: self._caught_up().has_news(query), wait_s)
        return self._now(path, query)

    def _caught_up(self) -> LivePage:
        """The page with all that the journal tells by now."""
        server = self._controlled.server
        if self._page is None:
            facts = server.handle.server.source.facts()
            version = facts.get("comfyui_version")
            about = {"comfyui_version": version} if isinstance(version, str) else {}
            self._records = JournalRecords(about=about)
            self._page = LivePage(
                Spool(), page_files(), name=f"{server.host}:{server.port}",
                instance=secrets.token_hex(8),
            )  # fmt: skip
        journal = server.handle.server.journal
        entries = journal.entries(after=self._records.serial, whole=True)
        self._page.take(self._records.feed(entries))
        return self._page


def _text(status: int, sentence: str, *more: tuple[str, str]) -> Response:
    headers = (("Content-Type", "text/plain; charset=utf-8"), *more)
    return Response(status, headers, f"{sentence}\n".encode())
