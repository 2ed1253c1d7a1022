"""The client against Comfy Cloud's API: keys, tokens, jobs, redirects, reasons."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from comfyrec.client import Client, Effect, Outcome
from comfyrec.client.result import Result
from comfyrec.errors import Rejected
from fake_server.options import ServerOptions, SurfaceChoice
from fake_server.scenario_source import scenario_source
from fake_server.scenarios import choose
from fake_server.server.thread import Handle, serve
from fake_server.surfaces.cloud import CloudSettings
from tests.support.cloud_client import GRAPH, KEY, graph

HEADERS = {"a key": {"X-API-Key": KEY}, "a bearer": {"authorization": f"Bearer {KEY}"}}


def cloud(scenario: str = "success", *, seconds: float = 0.0, **settings: Any) -> Handle:
    chosen = (SurfaceChoice("cloud", CloudSettings(key=KEY, **settings)),)
    plans = {"EmptyImage": {"seconds": seconds}} if seconds else {}
    options = ServerOptions(surfaces=chosen, class_plans=plans)
    return serve(scenario_source([choose(scenario)], options), speed=1.0)


def run(
    handle: Handle, *, path: str = "", headers: dict[str, str] | None = None, **settings: Any
) -> Result:
    async def main() -> Result:
        given = HEADERS["a key"] if headers is None else headers
        url = handle.url.rstrip("/") + path
        client = Client(url, headers=given, environment={}, **settings)
        async with asyncio.timeout(20), client:
            submitted = await client.submit(GRAPH)
            return await submitted.outcome()

    return asyncio.run(main())


@pytest.mark.parametrize("path", ["", "/api"])
@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_a_run_is_watched_by_frames_wherever_the_address_begins(
    path: str, headers: dict[str, str]
) -> None:
    with cloud() as handle:
        result = run(handle, path=path, headers=headers)

    assert result.outcome is Outcome.SUCCESS
    assert result.detected_by == "frames"
    assert [*result.outputs] == ["9"]


@pytest.mark.slow
def test_without_a_socket_jobs_say_how_it_ended() -> None:
    with cloud("ws-silent:after=connect") as handle:
        result = run(handle, idle_limit_s=0.5)

    assert result.outcome is Outcome.SUCCESS
    assert result.detected_by == "history"


@pytest.mark.parametrize("errors", ["least", "few", "all"])
def test_the_servers_own_reason_is_shown(errors: str) -> None:
    with cloud("execution-error:message=out of luck today", errors=errors) as handle:
        result = run(handle)

    assert result.outcome is Outcome.ERROR
    assert "out of luck today" in result.reason


def test_a_wrong_key_is_said_to_be_wrong_and_not_shown() -> None:
    with cloud() as handle, pytest.raises(Rejected) as rejected:
        run(handle, headers={"X-API-Key": "not-the-key-at-all"})

    assert "the key is not valid" in str(rejected.value)
    assert "not-the-key-at-all" not in str(rejected.value)


def test_files_come_from_the_other_host_which_gets_no_key(tmp_path: Path) -> None:
    async def main(url: str) -> list[Path]:
        async with (
            asyncio.timeout(20),
            Client(url, headers=HEADERS["a key"], environment={}) as client,
        ):
            result = await client.run(GRAPH)
            return list(await client.save(result, tmp_path))

    with cloud() as handle:
        saved = asyncio.run(main(handle.url))

    assert [path.read_bytes()[:4] for path in saved] == [b"\x89PNG"]


def test_running_and_waiting_jobs_are_stopped() -> None:
    async def main(url: str) -> tuple[Effect, Effect]:
        async with (
            asyncio.timeout(20),
            Client(url, headers=HEADERS["a key"], environment={}) as client,
        ):
            runs = await client.submit(graph(1))
            waits = await client.submit(graph(2))
            return await client.interrupt(waits.prompt_id), await client.interrupt(runs.prompt_id)

    with cloud(seconds=1.0) as handle:
        waiting, running = asyncio.run(main(handle.url))

    assert waiting is Effect.DELETED
    assert running in (Effect.INTERRUPTED, Effect.TOO_LATE)


@pytest.mark.slow
def test_a_job_that_the_server_forgot_is_lost() -> None:
    async def main(url: str) -> Result:
        options: dict[str, Any] = {"headers": HEADERS["a key"], "environment": {}, "grace_s": 0.2}
        async with asyncio.timeout(20), Client(url, **options) as client:
            watched = await client.watch("11111111-2222-4333-8444-555555555555")
            return await watched.outcome()

    with cloud() as handle:
        result = asyncio.run(main(handle.url))

    assert result.outcome in (Outcome.LOST, Outcome.CANCELLED)
