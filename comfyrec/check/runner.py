"""A command, once per scenario: substitute, run, read, judge; several at a time where asked."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from comfyrec.check.command import find_command, run_command
from comfyrec.check.invariants import Bounds
from comfyrec.check.play import IMAGES, SECRET, Playing, play
from comfyrec.check.report import report_of
from comfyrec.check.result import ScenarioResult, broken_off
from comfyrec.errors import ComfyrecError
from fake_server.scenarios import Choice

__all__ = ["PLACES", "CheckOptions", "check_all", "check_one", "filled_in"]

PLACES: Final = ("url", "ws_url", "host", "port", "workflow", "out", "token")
"""What stands in braces in a command, and is replaced for each scenario."""

_PLACE = re.compile(r"\{(" + "|".join(PLACES) + r")\}")

FILES_MAX: Final = 200
FILE_BYTES_MAX: Final = 32 * 1024 * 1024
"""Of what a command saved; a picture of the fake's is some kilobytes."""


class CheckOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done with each scenario."""

    argv: tuple[str, ...]
    timeout_s: float = 30.0
    seed: int = 0
    speed: float | None = None
    """Of virtual time; None: never wait, but for scenarios that are about waiting."""
    bounds: Bounds = Bounds()

    @property
    def saves(self) -> bool:
        """The command is given a folder for its files."""
        return any("{out}" in part for part in self.argv)


def check_all(
    choices: Sequence[Choice],
    order: CheckOptions,
    *,
    jobs: int = 1,
    on_result: Callable[[ScenarioResult], None] = lambda result: None,
) -> list[ScenarioResult]:
    """Run the command in every scenario; results come in the order of ``choices``.

    Raises:
        UsageError: there is no such command.
    """
    find_command(order.argv)
    results: dict[int, ScenarioResult] = {}
    stop = threading.Event()
    with TemporaryDirectory(prefix="comfyrec-check-") as folder:
        pool = ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="comfyrec-check")
        try:
            futures = {
                pool.submit(check_one, choice, order, Path(folder) / str(number), stop=stop): number
                for number, choice in enumerate(choices)
            }
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                on_result(results[futures[future]])
        finally:
            # Where all is well nothing runs any more; else (Ctrl-C) what runs is ended now.
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
    return [results[number] for number in sorted(results)]


def check_one(
    choice: Choice, order: CheckOptions, folder: Path, *, stop: threading.Event | None = None
) -> ScenarioResult:
    """Run the command in one scenario, with a folder of its own, until ``stop`` is set."""
    try:
        with play(choice, seed=order.seed, speed=order.speed) as playing:
            return _run(playing, order, folder, stop)
    except ComfyrecError as error:
        return broken_off(choice, str(error))


def _run(
    playing: Playing, order: CheckOptions, folder: Path, stop: threading.Event | None
) -> ScenarioResult:
    places = _prepare(playing, folder)
    ran = run_command(
        [filled_in(part, places) for part in order.argv],
        env=_environment(playing),
        timeout_s=order.timeout_s,
        stop=stop,
    )
    files = list(_saved(Path(places["out"]))) if order.saves else None
    return playing.conclude(report_of(ran, files=files), took_s=ran.took_s, bounds=order.bounds)


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
    """One word of a command with its places filled in; other braces stay."""
    return _PLACE.sub(lambda found: places[found[1]], part)


def _environment(playing: Playing) -> dict[str, str]:
    """Ours, with the address under every name that ComfyUI tools look for."""
    local = "127.0.0.1,localhost"
    return {
        **os.environ,
        "COMFYUI_URL": playing.url,
        "COMFYUI_HOST": playing.host,
        "COMFYUI_PORT": str(playing.port),
        "COMFY_BASE_URL": playing.url,
        "COMFYUI_BASE_URL": playing.url,
        "AUTOFLOW_COMFYUI_SERVER_URL": playing.url,
        "NO_PROXY": local,
        "no_proxy": local,
    }


def _saved(folder: Path) -> Iterator[bytes]:
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    for path in found[:FILES_MAX]:
        with path.open("rb") as file:
            yield file.read(FILE_BYTES_MAX)
