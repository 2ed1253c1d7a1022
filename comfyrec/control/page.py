"""``/__fake__/ui/``: the page of what this server does, live, by its journal."""

from __future__ import annotations

import pprint
import secrets
import time
from collections.abc import Coroutine
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from comfyrec.cassette.files.temporary_blocks import TemporaryBlocks
from comfyrec.cassette.records import End, Note
from comfyrec.cassette.redact.redactor import Redactor
from comfyrec.cassette.text import encode_line
from comfyrec.control.controlled import UI_PATH, Controlled
from comfyrec.control.serving import played_by
from comfyrec.control.shapes import PlayedScenario
from comfyrec.http.origin import names_an_address
from comfyrec.http.request import Request
from comfyrec.show.live_page import WAIT_S_MAX, LivePage
from comfyrec.show.page_file import page_files
from comfyrec.testing.journal_records import JournalRecords
from fake_server.scenarios import find
from fake_server.source import Response

__all__ = ["ServerPage"]

CASSETTE_PATH: Final = "/cassette.jsonl"
_KEPT: Final = {
    CASSETTE_PATH: "application/x-ndjson",
    "/test_comfyui.py": "text/x-python; charset=utf-8",
}
_EXAMPLE: Final = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "me"}},
}
_TEST: Final = '''"""What was played in the panel of a fake ComfyUI, as a test."""

import pytest

from comfyrec.client.shells.blocking import Client

WORKFLOW = {workflow}


@pytest.mark.comfyui({arguments})
def test_my_client(comfyui):
{more}    with Client(comfyui.url) as client:  # yours instead
        result = client.run(WORKFLOW)

    assert result.outcome == "success"  # or what a correct client says of it
    comfyui.assert_socket_before_post()
'''


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
        if below in _KEPT:
            return self._kept(below)
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
            self._records = JournalRecords(about=self._about())
            self._page = LivePage(
                TemporaryBlocks(), page_files(), name=f"{server.host}:{server.port}",
                instance=secrets.token_hex(8), panel="{}",
            )  # fmt: skip
        journal = server.handle.server.journal
        entries = journal.entries(after=self._records.serial, whole=True)
        self._page.take(self._records.feed(entries))
        return self._page

    # --- what a person may keep -----------------------------------------------------------------

    def _kept(self, path: str) -> Response:
        name = path.removeprefix("/")
        data = self._as_cassette() if path == CASSETTE_PATH else self._as_test().encode()
        headers = (
            ("Content-Type", _KEPT[path]),
            ("Content-Disposition", f'attachment; filename="{name}"'),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        )
        return Response(200, headers, data)

    def _about(self) -> dict[str, str]:
        version = self._controlled.server.handle.server.source.facts().get("comfyui_version")
        played = ", ".join(one.title for one in played_by(self._controlled).scenarios)
        about = {"comfyui_version": version} if isinstance(version, str) else {}
        return {**about, "scenario": played or "success"}

    def _as_cassette(self) -> bytes:
        """What the journal still knows, as a cassette without secrets."""
        journal, redactor = self._controlled.server.handle.server.journal, Redactor()
        began_us = time.time_ns() // 1000 - self._controlled.server.handle.server.now
        told = JournalRecords(about=self._about(), epoch_us=began_us)
        records = told.feed(journal.entries(whole=True))
        seq, t = len(records), records[-1].t
        if journal.forgotten:
            records.append(Note(seq, t, 0, "lost", "the journal was full", journal.forgotten))
            seq += 1
        records.append(End(seq, t, seq))
        return b"".join(encode_line(redactor.record(record)) for record in records)

    def _as_test(self) -> str:
        """A test of pytest that plays the same to a client."""
        server, plays = self._controlled.server, played_by(self._controlled)
        titles = [repr(one.title) for one in plays.scenarios]
        marker, more = ", ".join(_keywords(plays.scenarios[0])) if titles else "", ""
        if plays.cassette:
            marker = f"cassette={plays.cassette!r}"
            call = f"comfyui.cassette({', '.join([repr(plays.cassette), *titles])})"
            more = f"    {call}\n" if titles else ""
        elif len(titles) > 1:
            more = f"    comfyui.scenarios({', '.join(titles)})\n"
        prompts = server.prompts
        workflow = prompts[-1].graph if prompts else _EXAMPLE
        return _TEST.format(
            arguments=marker,
            more=more,
            workflow=pprint.pformat(workflow, width=92, sort_dicts=False),
        )


def _keywords(played: PlayedScenario) -> list[str]:
    """Of the marker: the scenario, and parameters that are not the defaults."""
    plain = msgspec.to_builtins(find(played.name).settings())
    own = {name: value for name, value in played.params.items() if plain.get(name) != value}
    return [f"scenario={played.name!r}", *(f"{name}={value!r}" for name, value in own.items())]


def _text(status: int, sentence: str, *more: tuple[str, str]) -> Response:
    headers = (("Content-Type", "text/plain; charset=utf-8"), *more)
    return Response(status, headers, f"{sentence}\n".encode())
