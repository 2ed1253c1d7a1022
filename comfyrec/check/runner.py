"""A client in each scenario: run, read, judge; several at a time if asked.

Its command is filled in and run once per scenario, or it lives on and takes jobs.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from comfyrec.check.advice import PLAIN, blocker
from comfyrec.check.case import Limits
from comfyrec.check.client_report import report_of
from comfyrec.check.command import find_command, run_command
from comfyrec.check.long_lived import Clients, Job
from comfyrec.check.play import IMAGES, SECRET, Playing, play
from comfyrec.check.result import ScenarioResult, not_played
from comfyrec.client.address import address_variables
from comfyrec.errors import ComfyrecError
from fake_server.options import ServerOptions
from fake_server.scenarios import Choice
from fake_server.surfaces.registry import NATIVE

__all__ = [
    "PLACES",
    "CheckOptions",
    "check_all",
    "check_one",
    "clients_of",
    "filled_in",
    "run_in",
    "slow_first",
]

PLACES: Final = ("url", "ws_url", "host", "port", "workflow", "out", "token")
"""What is replaced in a command for each scenario, written in braces."""

_PLACE = re.compile(r"\{(" + "|".join(PLACES) + r")\}")

FILES_MAX: Final = 200
FILE_BYTES_MAX: Final = 32 * 1024 * 1024
_LOOK_EVERY_S: Final = 0.2
"""Ctrl-C is noticed in between, also where a wait for a thread cannot be interrupted."""
"""Of what a command saved; a picture of the fake server is some kilobytes."""


class CheckOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How each scenario is run."""

    argv: tuple[str, ...]
    timeout_s: float = 30.0
    seed: int = 0
    speed: float | None = None
    """Of virtual time; None: never wait, but for scenarios that are about waiting."""
    limits: Limits = Limits()
    server: ServerOptions = ServerOptions()
    """How the server of each scenario is started."""
    lines: bool = False
    """The command is started once, lives on and takes jobs."""
    keep_going: bool = False
    """Play all scenarios even if the client fails before any of them matters."""

    @property
    def saves(self) -> bool:
        """Whether the command is given a folder for its files."""
        return any("{out}" in part for part in self.argv)


def check_all(
    choices: Sequence[Choice],
    options: CheckOptions,
    *,
    jobs: int = 1,
    on_result: Callable[[ScenarioResult], None] = lambda result: None,
) -> list[ScenarioResult]:
    """Run the command in every scenario; results come in the order of ``choices``.

    One scenario comes first and alone, ``success`` if it is among them. If it has a ``blocker``,
    its result is the only one, unless ``options.keep_going``.

    Raises:
        UsageError: there is no such command, or it is to take jobs and does not.
    """
    find_command(options.argv)
    names = [choice.title for choice in choices]
    first = names.index(PLAIN) if PLAIN in names else 0
    results: dict[int, ScenarioResult] = {}
    stop = threading.Event()
    clients = clients_of(options, stop) if options.lines else None
    with TemporaryDirectory(prefix="comfyrec-check-") as folder, clients or nullcontext():
        pool = ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="comfyrec-check")

        def play_all(numbers: Iterable[int]) -> None:
            futures = {
                pool.submit(
                    check_one,
                    choices[number],
                    options,
                    Path(folder) / str(number),
                    stop=stop,
                    clients=clients,
                ): number
                for number in numbers
            }
            for future in as_completed(futures):
                result = future.result()
                if stop.is_set():  # what was cut short says nothing of the client
                    return
                results[futures[future]] = result
                on_result(result)

        def play_in_turn() -> None:
            try:
                play_all([first])
                if stop.is_set():
                    return
                argv = None if options.lines else options.argv
                if options.keep_going or blocker(results[first], argv) is None:
                    play_all(number for number in slow_first(choices) if number != first)
            finally:
                # When all went well nothing runs any more; else (Ctrl-C) what still runs ends now.
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)

        _interruptible(play_in_turn, stop)
    return [results[number] for number in sorted(results)]


def _interruptible(work: Callable[[], None], stop: threading.Event) -> None:
    """Do it in a thread of its own: Ctrl-C in the middle of a lock of the pool would leave it
    locked, and the wait for its end would never end."""
    failed: list[BaseException] = []
    ended: list[bool] = []
    bell = threading.Lock()
    bell.acquire()

    def whole() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)
        ended.append(True)
        bell.release()

    def wait() -> None:
        # Not for the thread: up to Python 3.12 one whose join is interrupted counts as ended.
        while not ended:
            bell.acquire(timeout=_LOOK_EVERY_S)

    threading.Thread(target=whole, name="comfyrec-check", daemon=True).start()
    try:
        wait()
    finally:
        stop.set()
        wait()
    for error in failed:
        raise error


def slow_first(choices: Sequence[Choice]) -> list[int]:
    """Their numbers, those first that may take long, so that no long one is left for the end."""
    return sorted(range(len(choices)), key=lambda number: not _may_be_slow(choices[number]))


def _may_be_slow(choice: Choice) -> bool:
    """It is about waiting, or a client finds out by its own patience that nothing comes."""
    scenario = choice.scenario
    return scenario.in_real_time or not _ENDS_OF_PATIENCE.isdisjoint(scenario.truth)


_ENDS_OF_PATIENCE: Final = frozenset(("lost", "timed-out"))


def clients_of(options: CheckOptions, stop: threading.Event) -> Clients:
    """Those that live on, one of them started; to be closed.

    Args:
        options: of all runs.
        stop: once set, their time is over.

    Raises:
        UsageError: the command cannot be started, or takes no jobs.
    """
    env = {**os.environ, **_NO_PROXY}
    clients = Clients(options.argv, env=env, stop=stop, otherwise="leave out --lines")
    clients.start()
    return clients


def check_one(
    choice: Choice,
    options: CheckOptions,
    folder: Path,
    *,
    stop: threading.Event | None = None,
    clients: Clients | None = None,
) -> ScenarioResult:
    """Run the command in one scenario, with its own folder, until ``stop`` is set.

    Args:
        choice: the scenario.
        options: how it is run.
        folder: is made, and is only for this run.
        stop: ends the run early.
        clients: who does the run, if they live on; None: one that is started for it alone.
    """
    if options.lines and clients is None:
        with clients_of(options, stop or threading.Event()) as clients:
            return check_one(choice, options, folder, stop=stop, clients=clients)
    try:
        with play(
            choice, seed=options.seed, speed=options.speed, options=options.server
        ) as playing:
            if clients is not None:
                return _asked(clients, playing, options, folder)
            return run_in(playing, options, folder, stop)
    except ComfyrecError as error:
        return not_played(choice, str(error))


def _asked(
    clients: Clients, playing: Playing, options: CheckOptions, folder: Path
) -> ScenarioResult:
    """Give one that lives on the job, with all that a command is given by its places."""
    places = _prepare(playing, folder)
    job = Job(
        url=playing.url,
        ws_url=playing.ws_url,
        workflow=playing.workflow,
        timeout_s=options.timeout_s,
        more={name: places[place] for name, place in _MEMBERS.items()},
        measured=True,
    )
    began_s = time.monotonic()
    report = clients.run(job, time.monotonic)
    took_s = time.monotonic() - began_s
    if clients.saves:
        report = msgspec.structs.replace(report, files=tuple(_saved(Path(places["out"]))))
    return playing.conclude(report, took_s=took_s, limits=options.limits)


_MEMBERS: Final = {"token": "token", "out": "out", "workflow_file": "workflow"}
"""Further members of a job, and the places where a command has them."""


def run_in(
    playing: Playing, options: CheckOptions, folder: Path, stop: threading.Event | None = None
) -> ScenarioResult:
    """Run the command before a server that plays already."""
    places = _prepare(playing, folder)
    ran = run_command(
        [filled_in(part, places) for part in options.argv],
        env=_environment(playing, options.server),
        timeout_s=options.timeout_s,
        stop=stop,
    )
    files = list(_saved(Path(places["out"]))) if options.saves else None
    return playing.conclude(report_of(ran, files=files), took_s=ran.took_s, limits=options.limits)


def _prepare(playing: Playing, folder: Path) -> dict[str, str]:
    out = folder / "out"
    out.mkdir(parents=True)
    workflow = folder / "workflow.json"
    workflow.write_bytes(msgspec.json.format(msgspec.json.encode(playing.workflow)))
    for name, content in IMAGES.items():
        (folder / name).write_bytes(content)
    return {
        "url": playing.url,
        "ws_url": playing.ws_url,
        "host": playing.host,
        "port": str(playing.port),
        "workflow": str(workflow),
        "out": str(out),
        "token": _token(playing.choice),
    }


def _token(choice: Choice) -> str:
    settings: Any = choice.settings
    return str(getattr(settings, "token", SECRET))


def filled_in(part: str, places: Mapping[str, str]) -> str:
    """One word of a command with its places filled in; other braces stay as they are."""
    return _PLACE.sub(lambda found: places[found[1]], part)


_LOCAL: Final = "127.0.0.1,localhost"
_NO_PROXY: Final = {"NO_PROXY": _LOCAL, "no_proxy": _LOCAL}


def _environment(playing: Playing, server: ServerOptions) -> dict[str, str]:
    """Ours, with the address under every name that ComfyUI tools look for, and the key where it is
    that of the server: on ComfyUI's own API it would be one for partner nodes."""
    surfaces = {playing.choice.scenario.surface, *(one.name for one in server.surfaces)}
    key = {} if surfaces == {NATIVE} else {"COMFY_API_KEY": _token(playing.choice)}
    return {
        **os.environ,
        **key,
        **address_variables(playing.url),
        **_NO_PROXY,
    }


def _saved(folder: Path) -> Iterator[bytes]:
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    for path in found[:FILES_MAX]:
        with path.open("rb") as file:
            yield file.read(FILE_BYTES_MAX)
