"""The client of Comfy API v2 against the fake server: it runs, saves, cancels, tells the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from comfyrec.client.http.interrupt import Effect
from comfyrec.client.progress_event import ProgressEvent
from comfyrec.client.result import Outcome
from comfyrec.client.shells.jobs import JobClient
from comfyrec.errors import NoServer, OutputError, Rejected, TimedOut
from fake_server.options import ServerOptions, SurfaceChoice
from fake_server.scenario_source import scenario_source, transport_of
from fake_server.scenarios import choose
from fake_server.scenarios.kit import PLAIN, WITH_UPLOAD
from fake_server.server.clock import MAX
from fake_server.server.thread import serve
from tests.support.source_client import png

T = TypeVar("T")
ON_V2 = ServerOptions(surfaces=(SurfaceChoice("v2"),))
LIMITS = {"idle_limit_s": 1.0, "patience_s": 1.0, "request_timeout_s": 2.0, "connect_timeout_s": 1}


def visit(
    scenario: str,
    what: Callable[[JobClient], Awaitable[T]],
    *,
    speed: float = MAX,
    headers: dict[str, str] | None = None,
    **options: Any,
) -> T:
    choice = choose(scenario)

    async def main(url: str) -> T:
        client = JobClient(url, headers=headers, environment={}, **{**LIMITS, **options})
        async with asyncio.timeout(20), client:
            return await what(client)

    prefix = transport_of([choice]).prefix
    with serve(scenario_source([choice], ON_V2), speed=speed, prefix=prefix) as handle:
        return asyncio.run(main(handle.url))


@pytest.mark.slow
@pytest.mark.parametrize(
    "scenario",
    [
        "success", "v2-queue-full:times=1,retry_after=none", "v2-idempotency-reuse",
        "v2-outcome-unknown", "v2-output-late", "v2-links-with-prefix",
        "v2-sse-501", "v2-range-resume",
    ],
)  # fmt: skip
def test_a_run_succeeds_and_its_files_are_saved(scenario: str, tmp_path: Path) -> None:
    async def run(client: JobClient) -> list[Path]:
        result = await client.run(PLAIN)
        assert result.outcome is Outcome.SUCCESS, result
        return await client.save(result, tmp_path)

    [path] = visit(scenario, run)

    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_key_goes_to_its_own_host_alone(tmp_path: Path) -> None:
    async def run(client: JobClient) -> int:
        result = await client.run(PLAIN)
        return len(await client.save(result, tmp_path, overwrite=True))

    headers = {"Authorization": "Bearer comfyui-fake-token"}

    assert visit("v2-redirect-signed", run, headers=headers) == 1
    assert visit("v2-links-elsewhere", run, headers=headers) == 1


@pytest.mark.parametrize(
    ("scenario", "outcome", "words"),
    [
        ("execution-error", Outcome.ERROR, "node"),
        ("v2-expired", Outcome.LOST, "expired"),
        ("interrupt", Outcome.INTERRUPTED, "canceled"),
        ("pending-deleted", Outcome.LOST, "expired"),
    ],
)
def test_another_end_is_told_with_its_reason(scenario: str, outcome: Outcome, words: str) -> None:
    result = visit(scenario, lambda client: client.run(PLAIN))

    assert result.outcome is outcome
    assert words in result.reason


@pytest.mark.parametrize(
    ("scenario", "code"),
    [
        ("v2-deployment-stopped", "deployment_stopped"),
        ("v2-insufficient-credits", "insufficient_credits"),
        ("reject-400", "invalid_workflow"),
    ],
)
def test_a_refusal_has_the_servers_code(scenario: str, code: str) -> None:
    with pytest.raises(Rejected, match=code):
        visit(scenario, lambda client: client.run(PLAIN))


@pytest.mark.slow
def test_what_happens_is_told_in_order() -> None:
    seen: list[ProgressEvent] = []

    visit(
        "long-quiet-node:quiet_s=0.3",
        lambda client: client.run(PLAIN, on_event=seen.append),
        speed=1.0,
    )

    kinds = [event.type for event in seen]
    shares = [event.progress.nodes_progress for event in seen if event.type == "progress"]
    assert kinds[0] == "submitted"
    assert kinds[-1] == "completed"
    assert "output" in kinds
    assert shares == sorted(shares)


def test_a_job_is_canceled() -> None:
    async def stop(client: JobClient) -> tuple[Effect, Outcome]:
        job = await client.submit(PLAIN)
        effect = await job.interrupt()
        return effect, (await job.wait()).outcome

    assert visit("v2-sse-zombie", stop, speed=0.1) == (
        Effect.INTERRUPTED, Outcome.INTERRUPTED,
    )  # fmt: skip
    assert visit("success", stop)[0] in (Effect.TOO_LATE, Effect.INTERRUPTED)


@pytest.mark.slow
def test_a_job_that_never_ends_has_a_limit() -> None:
    with pytest.raises(TimedOut):
        visit("worker-dead", lambda client: client.run(PLAIN, timeout_s=0.5))


def test_a_picture_is_brought_and_named_by_its_asset(tmp_path: Path) -> None:
    picture = tmp_path / "check_input.png"
    picture.write_bytes(png())

    async def run(client: JobClient) -> Outcome:
        graph = {
            **WITH_UPLOAD,
            "1": {**WITH_UPLOAD["1"], "inputs": {"image": await client.bring(picture)}},
        }
        return (await client.run(graph)).outcome

    assert visit("success", run) is Outcome.SUCCESS


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    async def save(client: JobClient) -> None:
        await client.save(await client.run(PLAIN), tmp_path)

    with pytest.raises(OutputError):
        visit("view-404", save)
    with pytest.raises(OutputError, match="cannot be read"):
        visit("success", lambda client: client.bring(tmp_path / "none.png"))


def test_no_server_is_no_server() -> None:
    async def main() -> None:
        async with JobClient("127.0.0.1:1", environment={}, connect_timeout_s=0.1) as client:
            await client.run(PLAIN)

    with pytest.raises(NoServer):
        asyncio.run(main())
