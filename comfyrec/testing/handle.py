"""The ``comfyui`` fixture's value: one fake server, what it saw, and the control of it.

All methods may be called from any thread. Those that wait are bounded: at the limit they raise,
and the error says what was waited for, what the server is held at and what it sent last. In an
async test ``await comfyui.aio.wait_for_request(...)`` runs the same methods beside the test's loop.
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from msgspec.structs import replace

from comfyrec.errors import ScenarioError, ServerDied
from comfyrec.testing import assertions
from comfyrec.testing.idle import IdleWatch
from comfyrec.testing.make_source import choices_of, make_source, speed_for, transport_for
from comfyrec.testing.observed import Seen, SeenPrompt, SeenRequest, SeenSocket, Witness
from comfyrec.testing.settings import PluginSettings
from comfyrec.wording import shortened
from fake_server.scenarios import Choice, choose
from fake_server.scenarios.kit.scenario import Transport
from fake_server.server.hold import Gate, Hold, check_hold
from fake_server.server.thread import Handle, serve
from fake_server.source import Abort, Action, Close, Listen, Source

__all__ = ["ComfyUI", "Holding", "WaitedTooLong", "in_words"]

P = ParamSpec("P")
T = TypeVar("T")
HELD_LIMITS: Final = 6
"""A hold may last so many times the limit of a wait. Then the test has forgotten it, or is stuck
itself, in a read of its client that has no time limit."""


class WaitedTooLong(AssertionError):
    """A wait of the handle reached its time limit."""


class Holding:
    """A hold on the server; as a context manager it waits on entry and releases at the end."""

    def __init__(self, server: ComfyUI, hold: Hold) -> None:
        self._server, self._hold = server, hold

    @property
    def reached(self) -> bool:
        """Whether the server is held there, or was before it was released."""
        return self._hold.reached

    @property
    def what(self) -> str:
        """The frame that it waits for, in words."""
        return f"the frame {self._hold}"

    @property
    def message(self) -> str | bytes | None:
        """The frame after which it was held."""
        return self._hold.message

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until the server is held there.

        Raises:
            WaitedTooLong: it did not get there in time.
        """
        __tracebackhide__ = True
        self._server.wait_until(lambda: self.reached, self.what, timeout)
        return self

    def release(self) -> None:
        """Let the server go on; a hold that was never reached is dropped."""
        self._server._release(self._hold)

    def __await__(self) -> Any:
        return _beside_the_loop(self.wait).__await__()

    def __enter__(self) -> Self:
        __tracebackhide__ = True
        return self.wait()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    async def __aenter__(self) -> Self:
        return await _beside_the_loop(self.wait)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class ComfyUI:
    """A running fake ComfyUI server. ``comfyui`` and ``comfyui_factory`` make it.

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

    # --- what it does --------------------------------------------------------------------------

    def scenario(self, name: str, **params: Any) -> Self:
        """Play another scenario from now on; the server is as if started anew, on the same port.

        Raises:
            ScenarioError: an unknown name or parameter.
        """
        return self._become(scenario=name, params=params, scenarios=(), cassette=None)

    def scenarios(self, *chosen: str | Choice) -> Self:
        """Play several scenarios at once from now on: ``"ws-silent:after=start"``, ...

        Raises:
            ScenarioError: an unknown name or parameter.
        """
        return self._become(scenarios=tuple(map(_choice, chosen)), params={}, cassette=None)

    def cassette(
        self, file: str | Path, *scenarios: str | Choice, strict: bool | None = None
    ) -> Self:
        """Replay a cassette from now on: a path, or the name of a bundled one.

        Args:
            file: which one.
            scenarios: what goes wrong during the replay.
            strict: whether requests that it does not have fail; None: as before.

        Raises:
            CassetteError: it cannot be read.
            ScenarioError: an unknown name or parameter.
        """
        return self._become(
            cassette=file,
            params={},
            scenarios=tuple(map(_choice, scenarios)),
            strict=self.settings.strict if strict is None else strict,
        )

    def plan(
        self, nodes: dict[str, Any] | None = None, *, strict: bool = True, **params: Any
    ) -> Self:
        """Say what nodes do: ``plan({"3": {"seconds": 2, "steps": 20}})``; keys as in the docs.

        A prompt that lacks one of these nodes is refused, with ``strict=False`` it runs without.
        """
        return self._become(
            scenario="success",
            scenarios=(),
            params={"nodes": nodes or {}, "strict": strict, **params},
            cassette=None,
        )

    def learn(self, *workflows: Any) -> dict[str, Any]:
        """Have the server run these workflows from now on: graphs, or paths of their files.

        Returns:
            what it has learned, in plain JSON values.

        Raises:
            WorkflowError: one of them is not a workflow; nothing is learned then.
        """
        graphs = [one if isinstance(one, Mapping) else _read_json(one) for one in workflows]
        learned = self._call(lambda: self._handle.server.source.learn(graphs))
        self._learned += graphs
        return dict(learned)

    def start_over(self, settings: PluginSettings) -> None:
        """Do what these settings say from now on, as if started anew with them."""
        self.settings = settings
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
            self.resume()
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

    # --- what it saw ---------------------------------------------------------------------------

    @property
    def requests(self) -> list[SeenRequest]:
        """All HTTP requests, in order, with their answers."""
        return self._read(lambda: list(self._witness.requests))

    @property
    def prompts(self) -> list[SeenPrompt]:
        """All prompts that were accepted."""
        return self._read(lambda: list(self._witness.prompts))

    @property
    def uploads(self) -> list[SeenRequest]:
        """All uploads that were accepted."""
        return [r for r in self.requests if r.path.startswith("/upload/") and r.status == 200]

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
        """How to go on after refusals that a server with more nodes would not have given."""
        return [
            f"{one.partition(': start with ')[0]}: name a file that uses it, as in "
            "@pytest.mark.comfyui(workflow='FILE'), or give unknown_nodes='accept'"
            for one in list(self._witness.hints)
        ]

    @property
    def complaints(self) -> list[str]:
        """What was to happen and did not, one sentence each.

        Of a strict replay: requests that its cassette does not have. Of a scenario, once a prompt
        has come: operators that had nothing to do, so that the scenario did not take place. Of a
        hold: that it was not released.
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

    # --- waiting -------------------------------------------------------------------------------

    def wait_until(
        self, holds: Callable[[], object], what: str, timeout: float | None = None
    ) -> None:
        """Wait until ``holds()`` is true; it is called again whenever something has happened.

        Raises:
            WaitedTooLong: not in time; says ``what`` was waited for.
        """
        __tracebackhide__ = True
        limit = self.settings.timeout_s if timeout is None else timeout
        until = time.monotonic() + limit
        seen = self._changes
        # Asked without the lock: ``holds`` may well ask the server's thread for something, and that
        # takes the lock to tell what has happened.
        self._waiting += 1
        try:
            while not holds():
                if not self._something_happens(seen, until) and not holds():
                    raise WaitedTooLong(self.why_not_yet(what, limit))
                seen = self._changes
        finally:
            self._waiting -= 1

    def _something_happens(self, since: int, until: float) -> bool:
        with self._changed:
            return self._changed.wait_for(
                lambda: self._changes != since, max(until - time.monotonic(), 0)
            )

    def why_not_yet(self, what: str, limit: float) -> str:
        """Why a wait of ``limit`` seconds for ``what`` was in vain, in a sentence."""
        held = f"; it is held at {self._gate.held}" if self._gate.held else ""
        frames = self._witness.frames
        last = f"; it sent last: {_short(frames[-1][2])}" if frames else "; it has sent nothing"
        failed, ended = self._handle.server.failure, self._handle.thread.died
        died = f"; its source failed with {failed!r}" if failed else ""
        died += f"; its thread has ended: {ended}" if ended else ""
        return f"waited {limit:g} s for {what}{held}{last}{died}"

    def wait_for_request(
        self, method: str, path: str, *, count: int = 1, timeout: float | None = None
    ) -> SeenRequest:
        """Wait until ``count`` such requests have come in all; gives the last of them.

        ``path`` is without query and without the ``/api`` prefix.

        Raises:
            WaitedTooLong: they did not come in time.
        """
        __tracebackhide__ = True
        self.wait_until(
            lambda: len(self.requests_to(method, path)) >= count,
            in_words(method, path, count),
            timeout,
        )
        return self.requests_to(method, path)[count - 1]

    def requests_to(self, method: str, path: str) -> list[SeenRequest]:
        """The requests of that method for that path, as ``wait_for_request`` takes them."""
        seen = list(self._witness.requests)
        return [r for r in seen if (r.method, r.path) == (method.upper(), path)]

    def wait_for_socket(self, *, count: int = 1, timeout: float | None = None) -> SeenSocket:
        """Wait until ``count`` sockets have been opened in all; gives the last of them.

        Raises:
            WaitedTooLong: they were not opened in time.
        """
        __tracebackhide__ = True
        self.wait_until(
            lambda: len(self.accepted_sockets()) >= count, f"socket number {count}", timeout
        )
        return self.accepted_sockets()[count - 1]

    def accepted_sockets(self) -> list[SeenSocket]:
        """The websockets that were let in, open and closed."""
        return [socket for socket in list(self._witness.sockets) if socket.accepted]

    @property
    def aio(self) -> _Aio:
        """The control for async tests: ``await comfyui.aio.run_until("executed")``."""
        return _Aio(self)

    # --- control -------------------------------------------------------------------------------

    def hold_at(self, event: str, **where: Any) -> Holding:
        """Hold the server after the next frame of that type with those fields.

        ``event`` is a type like ``executing``, or ``preview`` or ``text`` for binary frames.

        Raises:
            UsageError: a name that was most likely meant to be another one.
        """

        check_hold(event, where)

        def place() -> Hold:
            self._gate.step_by_frame(True)
            return self._gate.hold_at(event, where)

        return Holding(self, self._call(place))

    def release(self) -> None:
        """Let a held server go on."""
        self._act(lambda now: self._gate.release(now))

    def _release(self, hold: Hold) -> None:
        def act(now: int) -> Iterable[Action]:
            if self._gate.held is hold:
                return self._gate.release(now)
            self._gate.forget(hold)
            return ()

        self._act(act)

    def step(self, timeout: float | None = None) -> str | bytes | None:
        """Let exactly one more frame out of a held server; gives that frame.

        Raises:
            WaitedTooLong: the server has nothing more to send.
        """
        __tracebackhide__ = True
        self.let_one_out()
        self.wait_until(lambda: self.held is not None, "one more frame", timeout)
        return self.held.message if self.held else None

    def let_one_out(self) -> None:
        """As ``step``, without waiting for the frame."""
        self._act(lambda now: self._gate.step(now))

    @property
    def held(self) -> Hold | None:
        """The hold that the server is held at."""
        return self._gate.held

    def run_until(self, event: str, timeout: float | None = None, **where: Any) -> Holding:
        """Release, and wait until the server is held after such a frame.

        Raises:
            WaitedTooLong: there was none in time.
        """
        __tracebackhide__ = True
        hold = self.hold_at(event, **where)
        self.release()
        return hold.wait(timeout)

    def pause(self) -> None:
        """Stop virtual time; ``advance`` moves it."""
        self._call(self._handle.server.clock.set_speed, 0.0)

    def resume(self) -> None:
        """Go on at the speed of the settings."""
        self._call(self._handle.server.clock.set_speed, speed_for(self.settings))

    def advance(self, seconds: float) -> None:
        """Move virtual time on; everything that is due on the way happens, at its own moment."""
        self._call(self._handle.server.clock.advance, round(seconds * 1_000_000))
        self._tell()

    def set_speed(self, speed: float) -> None:
        """Let virtual time go at another speed from now on, after ``resume`` as well."""
        self.settings = replace(self.settings, speed=speed)
        self._call(self._handle.server.clock.set_speed, speed)

    def reset(self, parts: Collection[str]) -> None:
        """Forget parts of the state, such as ``history``; see ``fake_server.source.PARTS``.

        Raises:
            UsageError: the server cannot forget one of them by itself.
        """
        self._call(self._handle.server.source.reset, parts)

    def forget_seen(self) -> None:
        """Forget what was seen until now; sockets that are open stay known."""

        def forget() -> None:
            self._witness.forget()
            self._handle.server.journal.clear()

        self._call(forget)

    def drop_socket(self, client_id: str | None = None, *, code: int | None = None) -> int:
        """Cut open websockets without a close frame, or close them with ``code``; says how many."""

        def chosen() -> list[int]:
            return [
                socket.number
                for socket in self._witness.sockets
                if socket.open and client_id in (None, socket.client_id)
            ]

        return self.drop_sockets(self._call(chosen), code=code)

    def drop_sockets(
        self, numbers: Sequence[int], *, code: int | None = None, reason: str = ""
    ) -> int:
        """Cut or close these websockets, as ``drop_socket`` does; says how many."""

        def cut(now: int) -> list[Action]:
            how = "cut" if code is None else f"closed: {code}"
            self._note("fault", f"sockets {list(numbers)} {how}")
            return [Abort(n) if code is None else Close(n, code, reason) for n in numbers]

        return self._act(cut)

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

    # --- inside --------------------------------------------------------------------------------

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

    # --- assertions ----------------------------------------------------------------------------

    def assert_one_terminal_event(self, prompt_id: str | None = None) -> str:
        """Exactly one of success, error and interrupted was sent for the prompt; gives its type."""
        __tracebackhide__ = True
        return assertions.one_terminal_event(self.seen(), prompt_id)

    def assert_interrupted(self, prompt_id: str | None = None) -> None:
        """The client interrupted this prompt by its id, and not whatever happens to run."""
        __tracebackhide__ = True
        assertions.interrupted(self.seen(), prompt_id)

    def assert_no_foreign_prompt_used(self) -> None:
        """The client took no id and no file from messages about another user's prompt."""
        __tracebackhide__ = True
        assertions.no_foreign_prompt_used(self.seen())

    def assert_socket_before_post(self) -> None:
        """The WebSocket of each prompt's client_id was open before the prompt was posted."""
        __tracebackhide__ = True
        assertions.socket_before_post(self.seen())

    def assert_all_closed(self, timeout: float | None = None) -> None:
        """The client has closed every WebSocket; waits for that."""
        __tracebackhide__ = True
        self.wait_until(lambda: self.all_closed, "the client to close its WebSockets", timeout)

    @property
    def all_closed(self) -> bool:
        """Whether no WebSocket is open."""
        return not any(socket.open for socket in list(self._witness.sockets))

    def assert_prompt(self, expected: dict[str, Any], *, number: int = -1) -> None:
        """The graph of a submitted prompt (the last one) equals ``expected``."""
        __tracebackhide__ = True
        assertions.prompt_equals(self.seen(), expected, number=number)

    def seen(self) -> Seen:
        """All that was seen until now."""
        return self._read(lambda: self._witness.seen())

    def timeline(self) -> list[dict[str, Any]]:
        """The journal: requests, frames, holds and faults in order, as plain objects."""
        return self._read(lambda: list(self._handle.server.journal.entries()))


def _read_json(path: Any) -> Any:
    from comfyrec.workflows import read_workflows

    found = read_workflows(Path(path).read_bytes(), str(path))
    return {"workflows": [dict(one.graph) for one in found]}


def _awaited(
    method: Callable[Concatenate[ComfyUI, P], T],
) -> Callable[Concatenate[_Aio, P], Coroutine[Any, Any, T]]:
    def call(self: _Aio, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        return _beside_the_loop(partial(method, self.server, *args, **kwargs))

    return call


class _Aio:
    """The same methods, awaited."""

    def __init__(self, server: ComfyUI) -> None:
        self.server = server

    wait_until = _awaited(ComfyUI.wait_until)
    wait_for_request = _awaited(ComfyUI.wait_for_request)
    wait_for_socket = _awaited(ComfyUI.wait_for_socket)
    step = _awaited(ComfyUI.step)
    release = _awaited(ComfyUI.release)
    advance = _awaited(ComfyUI.advance)
    drop_socket = _awaited(ComfyUI.drop_socket)
    restart = _awaited(ComfyUI.restart)
    assert_all_closed = _awaited(ComfyUI.assert_all_closed)

    def run_until(
        self, event: str, timeout: float | None = None, **where: Any
    ) -> Coroutine[Any, Any, Holding]:
        """As of the server; keywords of any name are more than ``_awaited`` can speak of."""
        return _beside_the_loop(partial(self.server.run_until, event, timeout, **where))


async def _beside_the_loop(wait: Callable[[], T]) -> T:
    """Run something that waits in a thread, under asyncio or trio."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return await sys.modules["trio"].to_thread.run_sync(wait)  # type: ignore[no-any-return]  # optional package
    return await asyncio.to_thread(wait)


_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def _choice(given: str | Choice) -> Choice:
    return choose(given) if isinstance(given, str) else given


def in_words(method: str, path: str, count: int) -> str:
    """The requests that ``wait_for_request`` waits for."""
    return f"{method.upper()} {path}{f', {count} times' if count > 1 else ''}"


def _without_ids(path: str) -> str:
    return _ID.sub("{id}", path)


def _short(message: str | bytes) -> str:
    if isinstance(message, bytes):
        return f"binary frame of {len(message)} bytes"
    return shortened(message, 120)
