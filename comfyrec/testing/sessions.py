"""All servers of one test: made from its settings, closed at its end, in the report if it fails.

What only a recorded test needs is imported when it is recorded: the first test that uses a fake
server pays for these imports, and most projects never record in a run.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from msgspec.structs import replace

from comfyrec.errors import ComfyrecError, ServerDied
from comfyrec.testing.assertions import Asserting
from comfyrec.testing.handle import ComfyUI
from comfyrec.testing.journal_lines import timeline_lines
from comfyrec.testing.observed import Seen, SeenPrompt, SeenRequest, SeenSocket, seen_in
from comfyrec.testing.record_mode import RecordMode, Use, no_such_mode
from comfyrec.testing.resolve_settings import refuse_misspelled
from comfyrec.testing.settings import PluginSettings
from comfyrec.wording import plural, reason

if TYPE_CHECKING:
    from comfyrec.testing.recording import Recording

__all__ = ["PluginSession", "Recorded"]

COMPLAINTS_SHOWN_MAX: Final = 10
CLOSED_S: Final = 5.0
LOOK_AGAIN_S: Final = 0.02
UPSTREAM_S: Final = 10.0
"""For a connection to the server that is recorded."""


class Recorded(Asserting):
    """The ``comfyui`` fixture while a test is recorded: the proxy's address, and its cassette.

    What was seen, and the assertions about it, are of the recording as it stands. What changes a
    fake server (holds, scenarios, time) is not there.
    """

    def __init__(self, recording: Recording, keep_as: Path) -> None:
        self.recording, self.keep_as = recording, keep_as
        self.notes: list[str] = []
        self.host, self.port, self.url = recording.host, recording.port, recording.url
        self.ws_url = f"ws://{self.host}:{self.port}"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"comfyui.{name} belongs to the fake server, but this test is being recorded "
            f"from a real one; it works when the cassette is replayed"
        )

    def seen(self) -> Seen:
        """What the client has done and got until now; secrets are taken out."""
        from comfyrec.cassette.files import open_cassette
        from comfyrec.cassette.files.body_file import BodyFile
        from comfyrec.timeline import Timeline

        with open_cassette(self.recording.file) as records:
            return seen_in(Timeline.build(records, store=BodyFile()))

    @property
    def requests(self) -> list[SeenRequest]:
        """All HTTP requests, in order, with their answers."""
        return self.seen().requests

    @property
    def prompts(self) -> list[SeenPrompt]:
        """All prompts that were accepted."""
        return self.seen().prompts

    @property
    def sockets(self) -> list[SeenSocket]:
        """All websockets, open and closed."""
        return self.seen().sockets

    @property
    def frames(self) -> list[tuple[int, int, str | bytes]]:
        """All frames: (microseconds since the recording began, socket, message)."""
        return self.seen().frames

    def assert_all_closed(self, timeout: float | None = None) -> None:
        """The client has closed every WebSocket; waits for that."""
        __tracebackhide__ = True
        until = time.monotonic() + (CLOSED_S if timeout is None else timeout)
        while not self.all_closed and time.monotonic() < until:
            time.sleep(LOOK_AGAIN_S)
        assert self.all_closed, "the client has not closed its WebSockets"

    def finish(self, *, passed: bool) -> None:
        """Close the recording; it becomes the test's cassette only if the test has passed."""
        self.recording.close()
        if passed:
            self.notes += cached_notes(self.recording.file, self.keep_as)
            self.keep_as.parent.mkdir(parents=True, exist_ok=True)
            self.recording.file.replace(self.keep_as)
        else:
            self.recording.file.unlink(missing_ok=True)


def cached_notes(file: Path, keep_as: Path) -> list[str]:
    """Whether a recording shows nothing but cached nodes: the server was warm.

    Args:
        file: the recording.
        keep_as: the name under which it is kept.
    """
    from comfyrec.cassette.files import open_cassette
    from comfyrec.http.large_body import SizeOnly
    from comfyrec.timeline import Timeline

    with open_cassette(file) as records:
        timeline = Timeline.build(records, store=SizeOnly())
    prompts = [prompt for prompt in timeline.prompts if prompt.graph]
    if not prompts or not all(set(prompt.graph) <= set(prompt.cached) for prompt in prompts):
        return []
    count = plural(len(prompts), "prompt")
    return [
        f"{keep_as}: every node of its {count} was cached, so that nothing was run; restart the "
        f"server, or POST /free with free_memory, and record again"
    ]


class WithEpisodes(ComfyUI):
    """A server that replays a cassette and records what it does not have."""

    def __init__(self, settings: PluginSettings) -> None:
        from comfyrec.cassette.files import open_cassette
        from comfyrec.testing.new_episodes import Episodes
        from comfyrec.timeline import Timeline
        from fake_server.replay import Player

        keep_as = Path(settings.cassette or "")
        self._keep_as, self._working = keep_as, _working_copy(keep_as, of_old=True)
        with open_cassette(keep_as) as records:
            timeline = Timeline.build(records)
        player = Player(timeline, seed=settings.seed, match="structure", unmatched="refuse")
        self._episodes = Episodes(player, timeline, settings.upstream or "", self._working)
        super().__init__(settings, self._episodes)
        self._episodes.attach(self._handle.server)

    def finish(self, *, passed: bool) -> None:
        """Close the server; keep the new episodes if the test has passed."""
        self._episodes.close(self._handle)
        self.close()
        if passed and self._episodes.recorded:
            self._working.replace(self._keep_as)
        self._working.unlink(missing_ok=True)


class PluginSession:
    """The servers of one test. The first one follows the test's settings."""

    def __init__(self, settings: PluginSettings) -> None:
        self.settings = settings
        self._servers: list[ComfyUI | Recorded] = []
        self._stack = contextlib.ExitStack()
        if settings.block_network:
            from comfyrec.testing.network import blocked_network

            self._stack.enter_context(blocked_network(_hosts(settings.upstream)))

    def first(self) -> ComfyUI:
        """The server of the ``comfyui`` fixture."""
        return self._start(self.settings)

    def another(self, **changes: Any) -> ComfyUI:
        """One more server: ``scenario``, ``cassette``, ``speed``, ``version``, ``seed``, ...

        Other keywords are parameters of the scenario.
        """
        known = set(PluginSettings.__struct_fields__)
        params = {k: v for k, v in changes.items() if k not in known}
        refuse_misspelled(params, known, scenario=changes.get("scenario", self.settings.scenario))
        own = {k: v for k, v in changes.items() if k in known}
        own["record"] = _mode(own.get("record", RecordMode.NONE))
        plain = {"cassette": None, "params": params}
        return self._start(replace(self.settings, **{**plain, **own}))

    def _start(self, settings: PluginSettings) -> ComfyUI:
        try:
            server = _server(settings)
        except ComfyrecError as error:
            # A wrong marker or a missing cassette is the test's own failure, not an accident.
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        self._servers.append(server)
        # A Recorded says itself what it cannot do.
        return server  # type: ignore[return-value]

    def close(self, *, passed: bool) -> None:
        """Close all servers; a recording is kept if the test has passed."""
        complaints = [
            line
            for server in self._servers
            if isinstance(server, ComfyUI)
            for line in server.complaints
        ]
        try:
            with self._stack:
                for server in reversed(self._servers):
                    if isinstance(server, (Recorded, WithEpisodes)):
                        self._stack.callback(server.finish, passed=passed)
                    else:
                        self._stack.callback(server.close)
        except ServerDied as died:
            raise pytest.fail.Exception(str(died), pytrace=False) from None
        if complaints and passed:
            listed = "\n".join(f"  {line}" for line in complaints[:COMPLAINTS_SHOWN_MAX])
            pytest.fail(f"the fake server complains:\n{listed}", pytrace=False)

    def notes(self) -> list[str]:
        """What should be known of the recordings that were made; after ``close``."""
        return [
            note
            for server in self._servers
            if isinstance(server, Recorded)
            for note in server.notes
        ]

    def unused(self) -> list[str]:
        """What the cassettes hold and the test never requested."""
        return [
            f"{server.settings.cassette}: {line}"
            for server in self._servers
            if isinstance(server, ComfyUI)
            for line in server.unused
        ]

    def report_sections(self, *, uncut: bool = False) -> Iterator[tuple[str, str]]:
        """Title and text of what each server saw, for the report of a failing test.

        Args:
            uncut: every line whole, and all of them.
        """
        for number, server in enumerate(self._servers, 1):
            if not isinstance(server, ComfyUI):
                continue
            which = f" {number}" if len(self._servers) > 1 else ""
            if complaints := server.complaints:
                yield f"comfyui{which} complaints", "\n".join(complaints[:COMPLAINTS_SHOWN_MAX])
            if hints := server.hints:
                yield f"comfyui{which} hints", "\n".join(hints[:COMPLAINTS_SHOWN_MAX])
            entries = server.timeline()
            yield f"comfyui{which} story", "\n".join(_story(server, entries))
            yield f"comfyui{which} timeline", "\n".join(timeline_lines(entries, uncut=uncut))


def _hosts(upstream: str | None) -> tuple[str, ...]:
    if not upstream:
        return ()
    from comfyrec.proxy.upstream import parse_upstream

    return (parse_upstream(upstream).host,)


# --- recording -------------------------------------------------------------------------------


def _mode(name: object) -> RecordMode:
    if name not in list(RecordMode):
        pytest.fail(no_such_mode(name), pytrace=False)
    return RecordMode(str(name))


def _demand(cassette: Path | str) -> None:
    """Only a path can be missing here; a bundled cassette is looked up by its name."""
    if isinstance(cassette, Path) and not cassette.exists():
        pytest.fail(
            f"there is no cassette {cassette}; record it with "
            f"--comfyui-record once --comfyui-upstream URL",
            pytrace=False,
        )


def _server(settings: PluginSettings) -> ComfyUI | Recorded:
    if settings.cassette is None:
        return ComfyUI(settings)
    use = settings.record.use(recorded=Path(settings.cassette).exists())
    if use is Use.REPLAY:
        _demand(settings.cassette)
        return ComfyUI(settings)
    _demand_upstream(settings)
    if use is Use.EXTEND:
        return WithEpisodes(settings)
    return _recorded(settings, append=use is Use.APPEND)


def _demand_upstream(settings: PluginSettings) -> None:
    if not settings.upstream:
        pytest.fail(
            f"record mode '{settings.record}' needs the server to record: "
            f"--comfyui-upstream URL, or comfyui_upstream in the ini file",
            pytrace=False,
        )


def _demand_that_it_answers(upstream: str) -> None:
    """A test whose server is not there fails for that, and not for what its client makes of it."""
    from comfyrec.proxy.upstream import parse_upstream

    target = parse_upstream(upstream)
    try:
        socket.create_connection((target.host, target.port), timeout=UPSTREAM_S).close()
    except OSError as error:
        raise pytest.fail.Exception(
            f"the server to record does not answer at {target.url} ({reason(error)}); "
            f"start ComfyUI there, or give its address with --comfyui-upstream URL",
            pytrace=False,
        ) from None


def _recorded(settings: PluginSettings, *, append: bool) -> Recorded:
    from comfyrec.testing.recording import Recording

    _demand_that_it_answers(settings.upstream or "")
    keep_as = Path(settings.cassette or "")
    working = _working_copy(keep_as, of_old=append)
    return Recorded(Recording(settings.upstream or "", working, append=append), keep_as)


def _working_copy(keep_as: Path, *, of_old: bool) -> Path:
    """Where a recording is written until its test has passed."""
    keep_as.parent.mkdir(parents=True, exist_ok=True)
    working = keep_as.with_name(f".recording-{keep_as.name}")
    working.unlink(missing_ok=True)
    if of_old:
        working.write_bytes(keep_as.read_bytes())
    return working


def _story(server: ComfyUI, entries: list[dict[str, Any]]) -> Iterator[str]:
    """One line of diagnosis, if something stands out, and the story."""
    from comfyrec.testing.failure_report import diagnosis, story_lines, story_of_journal

    story = story_of_journal(entries)
    if why := diagnosis(story, to_nobody=server.messages_to_nobody):
        yield f"diagnosis: {why}"
    yield from story_lines(story)
