"""A drawn stream or a scenario -> a running server for a client under test, and the judgement.

The shell of this room. A server per example costs well under a millisecond, as
they all live on one loop in one thread. A client that is a coroutine may live there too, and then
both are in virtual time: its time-outs cost nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import iscoroutine
from typing import Any, Final, NoReturn, TypeVar, cast, get_args, overload

from comfyrec.check import Playing, play
from comfyrec.check.case import Limits, Outcome, Report
from comfyrec.check.invariants import INVARIANTS
from comfyrec.check.result import ScenarioResult
from comfyrec.errors import ServerDied
from comfyrec.events.outputs import all_files_in
from comfyrec.strategies.streams import Stream, choice_of_stream, options_of
from fake_server.scenarios import Choice, choose
from fake_server.scenarios.kit.observer import Ending
from fake_server.server.virtual_time_loop import VirtualTimeThread, virtual_time_thread

__all__ = ["Judged", "Served", "fake_comfyui"]

T = TypeVar("T")
OUTCOMES = (*get_args(Ending), "failed")
LATE_S: Final = 15.0
LIMIT_S: Final = 5.0


class Judged(AssertionError):
    """A client did not keep what a correct one keeps; the text says what, and what was true."""

    failed: tuple[str, ...] = ()
    """The invariants that do not hold, where they were judged."""
    result: ScenarioResult | None = None
    """All that was found, where it was judged."""


class Served:
    """A running server, what the client is to run on it, and the judgement of its report."""

    def __init__(self, drawn: Stream | Choice, playing: Playing, thread: VirtualTimeThread) -> None:
        self.drawn, self._playing, self._thread = drawn, playing, thread
        self.clock = thread.loop.time
        """Seconds, as the times of a report are measured."""
        self.url, self.ws_url = playing.url, playing.ws_url
        self.host, self.port = playing.host, playing.port

    @property
    def workflow(self) -> dict[str, Any]:
        """The graph in API format that the client is to submit; a copy."""
        return cast(dict[str, Any], _copied(self._playing.workflow))

    @overload
    def bounded(self, run: Callable[[], Coroutine[Any, Any, T]], *, seconds: float = ...) -> T: ...

    @overload
    def bounded(self, run: Callable[[], T], *, seconds: float = ...) -> T: ...

    def bounded(self, run: Callable[[], Any], *, seconds: float = LIMIT_S) -> Any:
        """Run a client that might hang; gives what it returns, raises what it raises.

        A function runs in its own thread, in real time. Of a coroutine function the coroutine
        runs on the server's loop, in virtual time: its ``asyncio.sleep`` and time-outs cost
        nothing, and ``seconds`` are of that time. It must not block, and must take its time from
        the loop; ``lambda: asyncio.run(my_client(...))`` runs one that does otherwise.

        Raises:
            Judged: it did not come back in time. The thread of a function is left behind: give the
                client its own time-out if it has one.
        """
        returned = self._in_a_thread(run, seconds)
        if not returned:
            return self.hung()
        value = returned[0]
        return self._on_the_loop(value, seconds) if iscoroutine(value) else value

    def _in_a_thread(self, run: Callable[[], T], seconds: float) -> list[T]:
        returned: list[T] = []
        failed: list[BaseException] = []

        def inner() -> None:
            try:
                returned.append(run())
            except BaseException as error:  # handed to the caller's thread, whatever it is
                failed.append(error)

        thread = threading.Thread(target=inner, name="client-under-test", daemon=True)
        thread.start()
        thread.join(seconds)
        if failed:
            raise failed[0]
        return returned

    def _on_the_loop(self, client: Coroutine[Any, Any, T], seconds: float) -> T:
        try:
            ended = self._thread.run_client(client, seconds)
        except TimeoutError:
            raise Judged(
                f"the client blocks the loop that it shares with the server; if it is to do so, "
                f"run it with asyncio.run\n{self.drawn!r}"
            ) from None
        return self.hung() if ended is None else ended.result()

    def judge(
        self,
        outcome: str,
        outputs: Mapping[str, Any] | None = None,
        *,
        prompt_id: str | None = None,
        files: Sequence[bytes] | None = None,
        text: str = "",
        late_s: float = LATE_S,
    ) -> None:
        """Compare what the client reported with the truth. The run is over after this.

        Args:
            outcome: ``success``, ``error``, ``interrupted``, ``cancelled``, ``rejected``, ``lost``,
                ``timed-out``, or ``failed`` where the client only says that it was not a success.
            outputs: by node, as the history has them; None: the client does not give them.
            prompt_id: the id it gave for the prompt.
            files: the contents it saved; None: they are not looked at.
            text: what it printed.
            late_s: how long after the true end it may report.

        Raises:
            Judged: the report is not what a correct client reports.
            ValueError: ``outcome`` is none of the words.
        """
        if outcome not in OUTCOMES:
            raise ValueError(f"unknown outcome {outcome!r}; the outcomes are {', '.join(OUTCOMES)}")
        self._conclude(
            Report(
                outcomes=(cast(Outcome, outcome),),
                at_s=self.clock(),
                prompt_id=prompt_id,
                outputs=outputs,
                files=None if files is None else tuple(files),
                text=text,
            ),
            late_s,
        )

    def crashed(self, error: BaseException) -> NoReturn:
        """Judge a client that raised ``error`` instead of reporting an outcome.

        Raises:
            Judged: always; a correct client reports one.
        """
        self._conclude(Report(at_s=self.clock(), crash=repr(error)))
        raise AssertionError("a client that crashes fails K1") from error

    def hung(self) -> NoReturn:
        """Judge a client that was stopped as it did not come back.

        Raises:
            Judged: always.
        """
        self._conclude(Report())
        raise AssertionError("a client that hangs fails K1")

    def judge_report(self, report: Report, *, late_s: float = LATE_S) -> None:
        """As ``judge``, for what was put together elsewhere; ``at_s`` is of ``clock``.

        Raises:
            Judged: the report is not what a correct client reports.
        """
        self._conclude(report, late_s)

    def _conclude(self, report: Report, late_s: float = LATE_S) -> None:
        # A client that fetches many files has to send many requests.
        limits = Limits(late_s=late_s, busy=Limits().busy + self._files())
        result = self._playing.conclude(report, limits=limits)
        if result.failed:
            whys = [
                f"  {one.invariant}: it {one.why}; a correct client {INVARIANTS[one.invariant]}"
                for one in result.failed
            ]
            drawn = self.drawn.title if isinstance(self.drawn, Choice) else repr(self.drawn)
            text = "\n".join([f"{result.name}: {result.summary}", *whys, drawn])
            judged = Judged(text)
            judged.failed = tuple(one.invariant for one in result.failed)
            judged.result = result
            raise judged

    def _files(self) -> int:
        history = self.drawn.history if isinstance(self.drawn, Stream) else None
        return len(list(all_files_in((history or {}).get("outputs"))))


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list | tuple) else value


@contextmanager
def fake_comfyui(drawn: Stream | Choice | str, *, speed: float | None = None) -> Iterator[Served]:
    """Serve what was drawn, on its own port, as long as the block runs.

    It is not a fixture, so that hypothesis can have a fresh server for each example.

    Args:
        drawn: a ``Stream``, a ``Choice`` of ``scenarios()``, or a scenario as one types it:
            ``"ws-silent:after=start"``.
        speed: of virtual time; None: nothing is ever waited for.

    Raises:
        ScenarioError: an unknown scenario or parameter.
    """
    choice = choose(drawn) if isinstance(drawn, str) else drawn
    if isinstance(choice, Stream):
        played, options = choice_of_stream(choice), options_of(choice)
    else:
        played, options = choice, None
    thread = virtual_time_thread()
    try:
        with play(
            played, options=options, speed=speed, thread=thread, clock=thread.loop.time
        ) as playing:
            yield Served(choice, playing, thread)
    except ServerDied as died:
        # A client that held up the loop is judged for that, and not for what was left open by it.
        raise (died.__context__ if isinstance(died.__context__, Judged) else died) from None
