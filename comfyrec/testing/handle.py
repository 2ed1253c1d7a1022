"""The ``comfyui`` fixture's value: one fake server, what it saw, and the control of it.

All methods may be called from any thread. Those that wait are bounded: at the limit they raise,
and the error says what was waited for, what the server is held at and what it sent last. In an
async test ``await comfyui.aio.wait_for_request(...)`` runs the same methods beside the test's loop.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from msgspec.structs import replace

from comfyrec.errors import UsageError
from comfyrec.testing.assertions import Asserting
from comfyrec.testing.make_source import speed_for
from comfyrec.testing.observed import SeenRequest, SeenSocket
from comfyrec.testing.running_server import RunningServer, WaitedTooLong
from comfyrec.wording import alternatives, did_you_mean, reason, shortened
from fake_server.scenarios import Choice, choose
from fake_server.server.clock import MAX
from fake_server.server.hold import Hold, check_hold
from fake_server.source import PARTS, Abort, Action, Close

__all__ = ["ComfyUI", "Holding", "WaitedTooLong", "check_awaited", "in_words"]

P = ParamSpec("P")
T = TypeVar("T")


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
        try:
            self._server.wait_until(lambda: self.reached, self.what, timeout)
        except WaitedTooLong:
            self.settle()
            raise
        return self

    def settle(self) -> None:
        """Somebody was told that it was not reached: it is no matter of a complaint any more."""
        self._hold.settled = True

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


class ComfyUI(RunningServer, Asserting):
    """A running fake ComfyUI server, and the control of it; the fixtures make it."""

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
            UsageError: a file cannot be read.
            WorkflowError: one of them is not a workflow; nothing is learned then.
        """
        graphs = [one if isinstance(one, Mapping) else _read_json(one) for one in workflows]
        learned = self._call(lambda: self._handle.server.source.learn(graphs))
        self._learned += graphs
        return dict(learned)

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
            UsageError: no request can be of that method or path.
        """
        __tracebackhide__ = True
        check_awaited(method, path)
        self.wait_until(
            lambda: len(self.requests_to(method, path)) >= count,
            in_words(method, path, count),
            timeout,
        )
        return self.requests_to(method, path)[count - 1]

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

    @property
    def aio(self) -> _Aio:
        """The control for async tests: ``await comfyui.aio.run_until("executed")``."""
        return _Aio(self)

    def hold_at(self, event: str, **where: Any) -> Holding:
        """Hold the server after the next frame of that type with those fields.

        ``event`` is a type like ``executing``, or ``preview`` or ``text`` for binary frames.

        Raises:
            UsageError: a name that was most likely meant to be another one.
        """

        check_hold(event, where)

        def place() -> Hold:
            self._gate.step_by_frame(True)
            hold = self._gate.hold_at(event, where)
            self._placed = [one for one in self._placed if not one.reached]
            self._placed.append(hold)
            return hold

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
        """Move virtual time on; everything that is due on the way happens, at its own moment.

        Raises:
            UsageError: a negative number of seconds.
        """
        if not seconds >= 0:
            raise UsageError(f"time only goes forward: give 0 or more seconds, not {seconds!r}")
        self._call(self._handle.server.clock.advance, round(seconds * 1_000_000))
        self._tell()

    def set_speed(self, speed: float | str) -> None:
        """Let virtual time go at another speed from now on, after ``resume`` as well.

        Raises:
            UsageError: it is neither a number from 0 nor ``max``.
        """
        speed = MAX if speed == "max" else speed
        if isinstance(speed, str) or not speed >= 0:
            raise UsageError(f"{speed!r} is not a speed; give a number from 0, or 'max'")
        self.settings = replace(self.settings, speed=speed)
        self._call(self._handle.server.clock.set_speed, speed)

    def reset(self, parts: Collection[str] | str) -> None:
        """Forget parts of the state, or the one that is named, such as ``history``.

        ``fake_server.source.PARTS`` has them all.

        Raises:
            UsageError: no such part, or the server cannot forget it by itself.
        """
        parts = (parts,) if isinstance(parts, str) else parts
        for part in parts:
            if part not in PARTS:
                raise UsageError(f"there is no part {part!r}: {alternatives(str(part), PARTS)}")
        self._call(self._handle.server.source.reset, parts)

    def forget_seen(self) -> None:
        """Forget what was seen until now; sockets that are open stay known."""

        def forget() -> None:
            self._witness.forget()
            self._handle.server.journal.clear()

        self._call(forget)

    def drop_socket(self, client_id: str | None = None, *, code: int | None = None) -> int:
        """Cut open websockets without a close frame, or close them with ``code``; says how many.

        Raises:
            UsageError: no client of that id has ever connected, or a code that no frame can have.
        """
        if code is not None and not 1000 <= code <= 4999:
            raise UsageError(f"{code} does not close a WebSocket; give a code from 1000 to 4999")
        known = [socket.client_id for socket in list(self._witness.sockets)]
        if client_id is not None and client_id not in known:
            names = [name for name in known if name]
            listed = f"there are {', '.join(names)}" if names else "no client has connected yet"
            hint = did_you_mean(str(client_id), names, otherwise=listed)
            raise UsageError(f"no WebSocket has the client_id {client_id!r}; {hint}")

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

    def assert_all_closed(self, timeout: float | None = None) -> None:
        """The client has closed every WebSocket; waits for that."""
        __tracebackhide__ = True
        self.wait_until(lambda: self.all_closed, "the client to close its WebSockets", timeout)


def _read_json(path: Any) -> Any:
    from comfyrec.workflows import read_workflows

    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({reason(error)}); give a workflow, or a picture with one"
        ) from None
    found = read_workflows(data, str(path))
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


def _choice(given: str | Choice) -> Choice:
    return choose(given) if isinstance(given, str) else given


METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def check_awaited(method: str, path: str) -> None:
    """Refuse requests that would be waited for in vain.

    Raises:
        UsageError: an unknown method, or a path that no request is noted with.
    """
    if method.upper() not in METHODS:
        raise UsageError(f"there is no method {method!r}: {alternatives(method.upper(), METHODS)}")
    plain = "/" + path.partition("?")[0].removeprefix("/api/").removeprefix("/")
    if path != plain:
        raise UsageError(
            f"requests are noted without /api, without a query and with a slash at the "
            f"beginning: give {plain!r} in place of {path!r}"
        )


def in_words(method: str, path: str, count: int) -> str:
    """The requests that ``wait_for_request`` waits for."""
    return f"{method.upper()} {path}{f', {count} times' if count > 1 else ''}"


def _short(message: str | bytes) -> str:
    if isinstance(message, bytes):
        return f"binary frame of {len(message)} bytes"
    return shortened(message, 120)
