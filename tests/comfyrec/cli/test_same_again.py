"""Servers in place of recordings: workflows are run there, or what was recorded is done again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfyrec.cli import main
from comfyrec.cli._rerecord import WORKFLOW, done_again, ran
from comfyrec.client.shells.blocking import Client
from comfyrec.testing.recording import Recording
from comfyrec.timeline import Timeline
from comfyrec.versions import era_of
from fake_server.options import ServerOptions
from fake_server.server.thread import Handle, serve
from fake_server.simulated_server import SimulatedServer
from fake_server.source import Action, Happened, Respond, Response, UpgradeRequested
from tests.support.timeline_samples import run, session

LIMIT_S = 20.0


def server_of(version: str) -> Handle:
    return serve(SimulatedServer(ServerOptions(era=era_of(version))), speed=1000.0)


@pytest.fixture(scope="module")
def newer() -> Iterator[Handle]:
    with server_of("0.27.0") as handle:
        yield handle


@pytest.fixture(scope="module")
def older() -> Iterator[Handle]:
    with server_of("0.3.10") as handle:
        yield handle


def test_two_servers_of_one_version_do_not_differ(
    newer: Handle, capsys: pytest.CaptureFixture[str]
) -> None:
    with server_of("0.27.0") as other:
        status = main(["diff", newer.url, other.url])

    said = capsys.readouterr()
    assert (status, said.out.splitlines()[-1]) == (0, "A client would notice nothing.")
    assert "running 1 workflow twice" in said.err


def test_an_upgrade_reads_like_release_notes(
    older: Handle, newer: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "x.html"

    status = main(["diff", older.url, newer.url, "--html", str(page), "--fail-on", "breaks"])

    out = capsys.readouterr().out
    assert out.startswith("ComfyUI 0.3.10 or newer -> 0.27.0: what changes for clients\n")
    assert "progress_state is sent now" in out
    assert status in (0, 1)
    html = page.read_text("utf-8")
    assert "progress_state is sent now" in html
    assert "default-src 'none'" in html and "<script" not in html


def test_what_was_recorded_is_done_again(newer: Handle, tmp_path: Path) -> None:
    recorded = ran(newer.url, [{
        "1": {"class_type": "EmptyImage",
              "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "me"}},
    }], limit_s=LIMIT_S)  # fmt: skip

    with server_of("0.27.0") as other:
        again = done_again(other.url, recorded, limit_s=LIMIT_S)

    assert [p.outcome for p in again.prompts] == [p.outcome for p in recorded.prompts]
    assert {s.client_id for s in again.sockets} == {s.client_id for s in recorded.sockets}
    assert [bool(p.cached) for p in again.prompts] == [bool(p.cached) for p in recorded.prompts]
    asked = {f"{e.method} {e.path.partition('/history/')[0]}" for e in recorded.exchanges}
    assert {f"{e.method} {e.path.partition('/history/')[0]}" for e in again.exchanges} == asked


def test_a_recording_and_its_server_do_not_differ(
    newer: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.crec"
    with (
        server_of("0.27.0") as fresh,
        Recording(fresh.url, path) as proxy,
        Client(proxy.url) as client,
    ):
        client.run(dict(WORKFLOW))

    with server_of("0.27.0") as fresh:
        assert main(["diff", str(path), fresh.url, "--fail-on", "warns"]) == 0

    assert "doing again" in capsys.readouterr().err


def test_a_prompt_that_is_refused_there_is_told_with_the_reason(
    newer: Handle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", "execution-error", newer.url]) == 1

    out = capsys.readouterr().out
    assert out.startswith("ComfyUI 0.27.0: what differs for clients\n")
    assert "POST /prompt answered 200 and answers 400: " in out and "GTBoom" in out


def test_what_may_harm_others_is_not_done_again(newer: Handle) -> None:
    recording = run(session())
    recording.asked(5, "POST", "/interrupt", b"{}", b"")
    recording.asked(6, "POST", "/queue", {"clear": True}, b"")
    recording.asked(7, "POST", "/free", {"free_memory": True}, b"")

    again = done_again(newer.url, Timeline.build(recording.end()), limit_s=LIMIT_S)

    assert {e.path for e in again.exchanges if e.method == "POST"} == {"/prompt"}


@pytest.mark.slow
def test_a_workflow_goes_with_two_servers(
    newer: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workflow = tmp_path / "w.json"
    workflow.write_text(json.dumps({"1": {"class_type": "x", "inputs": {}}}))

    assert main(["diff", "all-cached", newer.url, "--workflow", str(workflow)]) == 2
    assert "--workflow is what is run on two servers" in capsys.readouterr().err


UNREACHABLE = {
    "a recording and a server": ["image-only", "http://127.0.0.1:1"],
    "a server and a recording": ["http://127.0.0.1:1", "image-only"],
    "two servers": ["http://127.0.0.1:1", "http://127.0.0.1:2"],
}


@pytest.mark.parametrize("names", UNREACHABLE.values(), ids=UNREACHABLE)
def test_that_nothing_answers_is_said_of_the_address_that_was_given(
    names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", *names]) == 2

    said = capsys.readouterr().err.splitlines()[-1]
    assert said == (
        "comfyrec diff: no ComfyUI server answers at http://127.0.0.1:1 (Connection refused); "
        "start one there, or give another address"
    )


def test_a_server_without_a_websocket_is_told_in_words_and_by_its_own_address(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class NoSocket(SimulatedServer):
        def handle(self, happened: Happened, now: int) -> Iterator[Action]:
            if isinstance(happened, UpgradeRequested):
                yield Respond(happened.socket, Response(404, (), b""))
            else:
                yield from super().handle(happened, now)

    with serve(NoSocket(ServerOptions()), speed=1000.0) as handle:
        assert main(["diff", "image-only", handle.url]) == 2

        said = capsys.readouterr().err.splitlines()[-1]
        assert said == f"comfyrec diff: {handle.url}: the WebSocket was refused with 404"
