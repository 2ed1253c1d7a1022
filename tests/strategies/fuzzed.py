"""The recipe of docs/fuzzing.md on the specimens, in the time of a jumping loop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import Phase, settings

import comfyrec.strategies
from comfyrec.strategies import Judged, Served, Stream, fake_comfyui
from tests.specimens.jumping import Here
from tests.specimens.matrix import HUNG_S, _jumping_loop, specimen
from tests.specimens.right import Client

RECIPE = Path(__file__).with_name("recipe.py")
SHORT = (Phase.generate,)
WHOLE = (Phase.generate, Phase.shrink)


class Jumping:
    """A served run whose client lives on the server's own jumping loop."""

    def __init__(self, server: Served, loop: Any) -> None:
        self.server, self.loop = server, loop
        self.url, self.workflow = server.url, server.workflow
        self.judge = server.judge

    def bounded(self, run: Callable[[], Any]) -> Any:
        try:
            told = self.loop.run_until_complete(bounded(run()))
        except Exception as error:
            self.server.crashed(error)
        return told if told is not None else self.server.hung()


async def bounded(run: Any) -> Any:
    running = asyncio.ensure_future(run)
    done, _ = await asyncio.wait({running}, timeout=HUNG_S)
    while not running.done():
        # A client that swallows every exception may swallow its cancellation too.
        running.cancel()
        await asyncio.wait({running}, timeout=0.1)
    return running.result() if done else None


@contextmanager
def jumping_comfyui(run: Stream) -> Iterator[Jumping]:
    with (
        _jumping_loop() as loop,
        fake_comfyui(run, thread=Here(loop), clock=loop.time) as server,
    ):
        yield Jumping(server, loop)


def client_of(name: str) -> Callable[[str, Mapping[str, Any]], Any]:
    """A specimen as the recipe calls a client; counts how often it was."""
    kind: type[Client] = specimen(name)

    async def run(url: str, workflow: Mapping[str, Any]) -> SimpleNamespace:
        return SimpleNamespace(**await kind(url).run(workflow))

    return run


def fuzz(
    monkeypatch: pytest.MonkeyPatch, name: str, *, examples: int, phases: Any = SHORT
) -> Judged | None:
    """What the recipe, word by word, finds in a specimen."""
    project = ModuleType("my_project")
    project.my_client = client_of(name)  # type: ignore[attr-defined]  # made here
    monkeypatch.setitem(sys.modules, "my_project", project)
    monkeypatch.setattr(comfyrec.strategies, "fake_comfyui", jumping_comfyui)
    namespace: dict[str, Any] = {"__name__": "recipe"}
    before = settings.default
    settings.register_profile(
        "recipe",
        max_examples=examples,
        phases=phases,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
    )
    settings.load_profile("recipe")
    try:
        exec(compile(RECIPE.read_text(encoding="utf-8"), RECIPE, "exec"), namespace)
        namespace["test_my_client_tells_the_truth"]()
    except Judged as found:
        return found
    finally:
        settings.register_profile("before", before)
        settings.load_profile("before")
    return None
