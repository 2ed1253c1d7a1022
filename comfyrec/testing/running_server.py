"""One fake server of a test: its source, what it saw and sent, its life and its patience."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, Self, TypeVar

from msgspec.structs import replace

from comfyrec.errors import ScenarioError, ServerDied
from comfyrec.testing.idle_limit import IdleWatch
from comfyrec.testing.make_source import choices_of, make_source, speed_for, transport_for
from comfyrec.testing.observed import Seen, SeenPrompt, SeenRequest, SeenSocket, Witness
from comfyrec.testing.settings import PluginSettings
from fake_server.scenarios.kit.scenario import Transport
from fake_server.server.hold import Gate, Hold
from fake_server.server.thread import Handle, serve
from fake_server.source import Action, Listen, Source

__all__ = ["RunningServer", "WaitedTooLong", "hint_for_a_test"]

T = TypeVar("T")
HELD_LIMITS: Final = 6
"""A hold may last so many times the limit of a wait. Then the test has forgotten it, or is stuck
itself, in a read of its client that has no time limit."""


class WaitedTooLong(AssertionError):
    """A wait of the handle reached its time limit."""


class RunningServer:
    """A running fake ComfyUI server, as far as it runs by itself.

    Args:
        settings: what it does.
        source: what it does at first, in place of what the settings say.
        make: settings -> a fresh source.
        serving: of ``fake_server.server.thread.serve``: ``host``, ``port``, ``body_limit``.

    Attributes:
        watchers: called whenever something has happened, from any thread.
    """

    def __init__(
        self,
        settings: PluginSettings,
        source: Source | None = None,
        *,
        make: Callable[[PluginSettings], Source] = make_source,
        **serving: Any,
    ) -> None:
        self.settings, self._make = settings, make
        self.watchers: set[Callable[[], None]] = set()
        self._changed, self._changes = threading.Condition(), 0
        self._patience: asyncio.TimerHandle | None = None
        self._idle: IdleWatch | None = None
        self._gave_up: list[str] = []
        self._placed: list[Hold] = []
        self._shell = Transport() if source else transport_for(settings)
        self._witness, self._gate = self._stack(source or make(settings))
        self._handle: Handle = serve(
            self._witness,
            speed=speed_for(settings),
            tls=self._shell.tls,
            prefix=self._shell.prefix,
            **serving,
        )
        self.host, self.port = self._handle.host, self._handle.port
        self.url, self.ws_url = self._handle.url, self._handle.ws_url
        self._closed = False
        self._learned: list[Any] = []
        self._waiting = 0
        self._idle = IdleWatch(
            self._handle.thread.loop, settings.idle_limit_s, self._stuck, self._stop_idling
        )

    def __repr__(self) -> str:
        return f"<ComfyUI {self.url} {self.settings.cassette or self.settings.scenario}>"

    def start_over(self, settings: PluginSettings) -> None:
        """Do what these settings say from now on, as if started anew with them."""
        self.settings = settings
        self._placed = []
        self._restart(self._make(settings))

    def _become(self, **changes: Any) -> Self:
        settings = replace(self.settings, **changes)
        if transport_for(settings) != self._shell:
            titles = ", ".join(choice.title for choice in choices_of(settings)) or "the scenario"
            raise ScenarioError(
                f"{titles} changes the server's address, so a test has it "
                f"from its start or not at all: name it in the marker, or use comfyui_factory"
            )
        source = self._make(settings)
        self.settings = settings
        self._restart(source)
        if self._handle.server.clock.speed:  # a test that has stopped time goes on with that
            self._call(self._handle.server.clock.set_speed, speed_for(self.settings))
        return self

    def _stack(self, source: Source) -> tuple[Witness, Gate]:
        gate = Gate(source, changed=self._tell, note=self._held_or_released)
        return Witness(gate, prefix=self._shell.prefix), gate

    def _held_or_released(self, what: str, words: str) -> None:
        self._note(what, words)
        self._end_patience()
        if what == "held":
            limit = HELD_LIMITS * self.settings.timeout_s
            loop = self._handle.thread.loop
            self._patience = loop.call_later(limit, self._give_up, self._gate.held, limit)

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self, hold: Hold | None, limit: float) -> None:
        """End a hold that is never released, so that a client that waits for it ends."""
        if self._gate.held is not hold:
            return
        self._gave_up.append(
            f"the server was held at {hold} for {limit:g} s and was not released, so it was "
            f"stopped; hold in a with block, or give more time with comfyui_timeout"
        )
        self._note("fault", "held for too long: the server stops")
        self._handle.server.cut_all()
        self._handle.server.carry([Listen(accept=False)])

    def _stuck(self) -> bool:
        """Whether a client waits for something that will not come, and no test waits with it."""
        server = self._handle.server
        waiting = self._waiting > 0 or bool(self.watchers)
        mine = self._gate.held is not None or waiting or server.clock.speed == 0
        return server.waited_for and not server.has_more_to_say and not mine

    def _stop_idling(self) -> None:
        """End the wait of a client that would wait for ever."""
        self._gave_up.append(
            f"a client waited {self.settings.idle_limit_s:g} s for a server that had nothing more "
            f"to say, so the server was stopped; give more time with comfyui_idle_limit"
        )
        self._note("fault", "a client waits for ever: the server stops")
        self._handle.server.cut_all()
        self._handle.server.carry([Listen(accept=False)])

    def _note(self, what: str, words: str) -> None:
        self._handle.server.journal.note(self._handle.server.now, what, words)

    def _tell(self) -> None:
        if self._idle is not None:  # the first source tells before there is a server to watch
            self._idle.stir()
        with self._changed:
            self._changes += 1
            self._changed.notify_all()
        for watcher in list(self.watchers):
            watcher()

    @property
    def requests(self) -> list[SeenRequest]:
        """All HTTP requests, in order, with their answers."""
        return self._read(lambda: list(self._witness.requests))

    @property
    def prompts(self) -> list[SeenPrompt]:
        """All prompts that were accepted."""
        return self._read(lambda: list(self._witness.prompts))

    @property
    def sockets(self) -> list[SeenSocket]:
        """All websockets, open and closed."""
        return self._read(lambda: list(self._witness.sockets))

    @property
    def frames(self) -> list[tuple[int, int, str | bytes]]:
        """All frames: (virtual microseconds, socket, message)."""
        return self._read(lambda: list(self._witness.frames))

    @property
    def hints(self) -> list[str]:
        """How to go on after refusals that a server with more nodes would not have given, and
        after requests in another form than it takes."""
        return [hint_for_a_test(one) for one in list(self._witness.hints)]

    @property
    def complaints(self) -> list[str]:
        """What was to happen and did not, one sentence each.

        Of a strict replay: requests that its cassette does not have. Of a scenario, once a prompt
        has come: operators that had nothing to do, so that the scenario did not take place. Of a
        hold: that it was not released, or that it was never reached and nobody was told.
        """
        # Lists are read, nothing is changed: that needs no turn of the server's thread.
        found = list(self._gate.complaints)
        if self._gave_up:
            return [*found, *self._gave_up]
        if self._gate.held is not None:
            found.append(
                f"the server is still held at {self._gate.held}; release() it before the test "
                f"ends, or hold in a with block"
            )
        found += (
            f"the server was never held at {hold}: no such frame was sent to a client; correct "
            f"hold_at, or release() the hold if that is as it should be"
            for hold in list(self._placed)
            if not (hold.reached or hold.settled)
        )
        return found

    @property
    def messages_to_nobody(self) -> int:
        """Messages that the simulated server had for a client without a socket."""
        facts = self._read(lambda: self._handle.server.source.facts())
        return int(facts.get("messages_to_nobody", 0))

    @property
    def unused(self) -> list[str]:
        """What the replayed cassette holds and this client never requested, a line each."""
        timeline = self._gate.timeline
        if timeline is None:
            return []
        asked = {(seen.method, _without_ids(seen.path)) for seen in list(self._witness.requests)}
        if self._witness.sockets:
            asked.add(("GET", "/ws"))
        recorded: dict[tuple[str, str], int] = {}
        for exchange in timeline.exchanges:
            path = _without_ids(exchange.path)
            recorded[exchange.method, path] = recorded.get((exchange.method, path), 0) + 1
        lines = [
            f"{method} {path} (recorded {count} times)" if count > 1 else f"{method} {path}"
            for (method, path), count in recorded.items()
            if (method, path) not in asked
        ]
        missing = recorded.get(("POST", "/prompt"), 0) - len(self._witness.prompts)
        if missing > 0 and ("POST", "/prompt") in asked:
            lines.append(f"{missing} more POST /prompt")
        return lines

    def stop(self) -> None:
        """Cut all connections and refuse new ones, as a server that went away."""
        self._note_in_thread("fault", "the server stops")
        self._call(self._handle.server.cut_all)
        self._act(lambda now: [Listen(accept=False)])
        cut = self._handle.server.cut_connections
        if self._handle.thread.inside:
            # The answer to whoever asks over HTTP goes out first.
            self._handle.thread.loop.call_soon(cut)
        else:
            self._call(cut)

    def start(self) -> None:
        """Come back on the same port, as a fresh process that remembers nothing."""
        self._restart(self._make(self.settings))
        self._note_in_thread("fault", "the server is back")

    def restart(self) -> None:
        """``stop`` and ``start``: queue and history are gone, every socket was cut."""
        self.stop()
        self.start()

    def _restart(self, source: Source) -> None:
        if self._learned:
            source.learn(self._learned)

        def swap() -> None:
            seen = self._witness
            self._witness, self._gate = self._stack(source)
            self._witness.go_on_from(seen)
            self._handle.server.replace(self._witness)
            self._handle.server.carry([Listen(accept=True)])

        self._call(swap)
        self._tell()

    def close(self) -> None:
        """Stop the server; doing it twice is fine.

        Raises:
            Exception: what the server's source raised while it ran.
        """
        if not self._closed:
            self._closed = True
            if self._idle is not None:
                self._idle.end()
            if self._patience is not None:
                self._call(self._end_patience)
            self._handle.close()

    async def aclose(self) -> None:
        """As ``close``, for the server's own loop."""
        if not self._closed:
            self._closed = True
            if self._idle is not None:
                self._idle.end()
            self._end_patience()
            await self._handle.aclose()

    @property
    def handle(self) -> Handle:
        """The server without what a test adds to it."""
        return self._handle

    def _call(self, function: Callable[..., T], *args: Any) -> T:
        return self._handle.call(function, *args)

    def _read(self, look: Callable[[], T]) -> T:
        try:
            return self._call(look)
        except ServerDied:
            return look()  # nothing changes any more, and a report wants to tell what there was

    def _note_in_thread(self, what: str, words: str) -> None:
        self._call(self._note, what, words)

    def _act(self, actions: Callable[[int], Iterable[Action]]) -> int:
        server = self._handle.server

        def act() -> int:
            count = 0

            def counted() -> Iterable[Action]:
                nonlocal count
                for action in self._witness.watched(actions(server.now), server.now):
                    count += 1
                    yield action

            server.carry(counted())
            return count

        done = self._call(act)
        self._tell()
        return done

    def seen(self) -> Seen:
        """All that was seen until now."""
        return self._read(lambda: self._witness.seen())

    def timeline(self) -> list[dict[str, Any]]:
        """The journal: requests, frames, holds and faults in order, as plain objects."""
        return self._read(lambda: list(self._handle.server.journal.entries()))


_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def _without_ids(path: str) -> str:
    return _ID.sub("{id}", path)


# What a hint advises somebody who starts a server on the command line.
_FLAGS: Final = re.compile(r": (?:upload it first, or )?start with (?:--surface (\w+))?.*")


def hint_for_a_test(hint: str) -> str:
    """The hint, with a test's way in the place of the command line's."""
    flags = _FLAGS.search(hint)
    if flags is None:
        return hint
    what = hint[: flags.start()]
    if flags[1]:
        return f"{what}: start it with @pytest.mark.comfyui(surface='{flags[1]}')"
    return (
        f"{what}: name a file that uses it, as in @pytest.mark.comfyui(workflow='FILE'), or give "
        "unknown_nodes='accept'"
    )
