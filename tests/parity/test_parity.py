"""The fake beside what real servers of two generations said: equal to the last point."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from typing import Any

import pytest

from comfyrec.control import controlled
from comfyrec.testing.settings import PluginSettings
from comfyrec.wording import shortened
from tests.parity.files import CASES, HERE, golden_path, load_cases
from tests.parity.points import score
from tests.parity.target import Target, connected

GENERATIONS = sorted(path.name for path in (HERE / "goldens").iterdir())
AT_ONCE = 6


@pytest.mark.slow
@pytest.mark.parametrize("version", GENERATIONS)
def test_every_case_is_what_the_real_server_said(version: str) -> None:
    settings = PluginSettings(version=version, object_info=_object_info(version))
    with closing(controlled(settings)) as server:
        cases = load_cases(CASES, None)

        wrong = asyncio.run(_wrong(server.url, cases, version))
        # A machine that is busy delays what a case waits for by sleeping: these once more, alone.
        if wrong:
            again = [case for case in cases if case["name"] in wrong]
            wrong = asyncio.run(_wrong(server.url, again, version, at_once=1))

    assert len(cases) > 100
    assert wrong == {}


def test_a_point_that_differs_is_counted() -> None:
    golden = json.loads(golden_path(CASES, GENERATIONS[0], "queue/clear").read_text())
    other = json.loads(
        json.dumps(golden["transcript"]).replace('"status": 200', '"status": 201', 1)
    )

    good, total, wrong = score(golden["transcript"], other, set())

    assert (good, [point["actual"] for point in wrong]) == (total - 1, [201])


def _object_info(version: str) -> Any:
    return json.loads((HERE / "object_info" / f"{version}.json").read_text())


async def _wrong(
    url: str, cases: list[dict[str, Any]], version: str, *, at_once: int = AT_ONCE
) -> dict[str, str]:
    """The first point that differs, for each case that has one. Each plays on a fresh server."""
    room, wrong = asyncio.Semaphore(at_once), dict[str, str]()

    async def play(case: dict[str, Any]) -> None:
        golden = json.loads(golden_path(CASES, version, case["name"]).read_text())
        async with room, connected() as session:
            async with session.post(f"{url}/__fake__/servers", json={"speed": 1}) as answer:
                made = await answer.json()
            target = Target(session, made["url"], fake=True)
            actual = await target.play(case)
            await session.delete(f"{url}/__fake__/servers/{made['id']}")
        good, total, points = score(golden["transcript"], actual, set(golden["tolerant"]))
        if good < total:
            wrong[case["name"]] = shortened(actual["problem"] or str(points[:1]), 500)

    await asyncio.gather(*(play(case) for case in cases))
    return wrong
