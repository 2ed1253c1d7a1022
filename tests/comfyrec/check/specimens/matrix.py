"""Every specimen in every scenario, in one process and in the time of a jumping loop.

``python -m tests.comfyrec.check.specimens.matrix`` writes the table. It says of each specimen in
which scenarios it fails, and how: it ``hangs``, reports an untruth, or which invariant fails. What
is not listed it passes.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from comfyrec.check import Playing, ScenarioResult, play
from comfyrec.check.case import Report
from comfyrec.check.play import IMAGES
from fake_server.options import ServerOptions
from fake_server.scenarios import Choice, select
from fake_server.server import clock
from tests.comfyrec.check.specimens.jumping import Here, JumpingLoop, LoopTime
from tests.comfyrec.check.specimens.right import Client

TABLE = Path(__file__).with_name("matrix.json")
SPECIMENS = (
    "right", "late_socket", "trusts_the_null", "no_prompt_id", "small_frames", "gives_up",
    "hangs_on_reconnect", "first_executed", "strict_parser", "polls_for_ever", "hoards",
)  # fmt: skip
HUNG_S = 5.5
PAUSE_S = 0.3
"""Between POST and socket: starting a thread, looking up an address."""


def specimen(name: str) -> type[Client]:
    """The client class of a specimen."""
    module = importlib.import_module(f"tests.comfyrec.check.specimens.{name}")
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    own = [one for one in classes if one.__module__ == module.__name__]
    return next(one for one in own if issubclass(one, Client))


def given_its_id(client: type[Client]) -> type[Client]:
    """The same specimen, going by the id that the server greets it with."""
    return type(client.__name__, (client,), {"own_id": False})


def posting_first(client: type[Client]) -> type[Client]:
    """The same specimen, submitting before it opens its socket."""

    async def go(self: Client, workflow: Any) -> None:
        await self.be_ready()
        await self.upload(workflow)
        await self.submit(workflow)
        await asyncio.sleep(PAUSE_S)
        await self.connect()
        await self.wait()

    return type(client.__name__, (client,), {"go": go})


def run(
    client: type[Client], choice: Choice, options: ServerOptions | None = None
) -> ScenarioResult:
    """One specimen in one scenario."""
    with _jumping_loop() as loop:
        there = Here(loop)
        with play(choice, options=options, thread=there, clock=loop.time) as playing:
            return loop.run_until_complete(_judged(client, playing))


@contextmanager
def _jumping_loop() -> Iterator[JumpingLoop]:
    loop, real = JumpingLoop(), clock.time
    clock.time = LoopTime(loop, real)  # type: ignore[assignment]  # the loop's time for the server
    try:
        yield loop
    finally:
        clock.time = real
        loop.close()


async def _judged(client: type[Client], playing: Playing) -> ScenarioResult:
    loop = asyncio.get_running_loop()
    began, specimen = loop.time(), client(playing.url)
    workflow = json.loads(json.dumps(playing.workflow))
    running = asyncio.create_task(specimen.run(workflow, IMAGES))
    done, _ = await asyncio.wait({running}, timeout=HUNG_S)
    report = _report(specimen, running, began, loop.time()) if done else Report()
    while not running.done():
        # A client that swallows every exception may swallow its cancellation too.
        running.cancel()
        await asyncio.wait({running}, timeout=0.1)
    return playing.conclude(report, took_s=loop.time() - began)


def _report(
    specimen: Client, ended: asyncio.Task[dict[str, Any]], began_s: float, at_s: float
) -> Report:
    if (error := ended.exception()) is not None:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        at = f"{Path(frame.filename).name}:{frame.lineno}"
        return Report(at_s=at_s, crash=_line_of(error), crash_at=at)
    told = ended.result()
    outputs = told["outputs"]
    return Report(
        outcomes=(told["outcome"],),
        at_s=at_s,
        prompt_id=told["prompt_id"],
        outputs=outputs if isinstance(outputs, dict) else None,
        files=tuple(specimen.files.values()),
        text=json.dumps(told),
        last_words=told["error"],
        memory=((began_s, 0), (at_s, held_bytes(vars(specimen)))),
    )


def _line_of(error: BaseException) -> str:
    """The last line of its traceback."""
    return traceback.format_exception_only(error)[-1].strip()


def held_bytes(value: Any) -> int:
    """What plain values take, containers with all that they hold.

    Server and specimen share a process, so it is what hangs on the client that counts.
    """
    inner: Iterable[Any] = ()
    if isinstance(value, Mapping):
        inner = (*value.keys(), *value.values())
    elif isinstance(value, list | tuple | set):
        inner = value
    plain = isinstance(value, str | bytes | list | tuple | set | dict)
    return (sys.getsizeof(value) if plain else 0) + sum(map(held_bytes, inner))


def run_all(
    names: Iterable[str] = SPECIMENS,
    pattern: str = "*",
    *,
    change: Callable[[type[Client]], type[Client]] = lambda client: client,
) -> list[tuple[str, ScenarioResult]]:
    """The specimens, changed alike, in the scenarios that fit."""
    choices = select(pattern)
    return [(name, run(change(specimen(name)), choice)) for name in names for choice in choices]


def table_of(results: Iterable[tuple[str, ScenarioResult]]) -> Mapping[str, Mapping[str, str]]:
    """What fails, by specimen and scenario."""
    table: dict[str, dict[str, str]] = {}
    for name, result in results:
        row = table.setdefault(name, {})
        if not result.fine:
            row[result.name] = _how(result)
    return {name: dict(sorted(table[name].items())) for name in SPECIMENS if name in table}


def _how(result: ScenarioResult) -> str:
    if result.status == "error":
        return f"never came to bear: {result.notes[0]}"
    if result.ended == "hung":
        return "hangs"
    if result.reported == "an untruth":
        return f"untrue: {result.outcome}"
    return f"fails {result.failed[0].invariant}"


if __name__ == "__main__":
    found = table_of(run_all())
    TABLE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    sys.exit(0)
