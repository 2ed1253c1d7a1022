"""``comfyrec drift`` as a command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from comfyrec.cassette.files import open_cassette
from comfyrec.cli import main
from comfyrec.timeline import Timeline
from comfyrec.versions import DEFAULT_VERSION
from fake_server.server.thread import serve
from fake_server.simulated_server import SimulatedServer
from fake_server.source import Request, Response
from tests.comfyrec.conform.test_departures import STEPS_TAKE_TIME, Departing, on, without


@pytest.mark.slow
def test_what_changed_between_two_versions_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    told = main(["drift", "0.27.0", "0.33.0"])
    text = capsys.readouterr().out
    status = main(["drift", "0.33.0", "0.27.0", "--json"])
    drift = json.loads(capsys.readouterr().out)

    assert told == status == 1
    assert text.startswith("0.27.0 -> 0.33.0: 3 facts changed\n")
    assert "  new   previewable_count: jobs have previewable_outputs_count (since 0.32.0;" in text
    assert [(one["fact"], one["after"]) for one in drift["changes"]] == [
        ("cached_needs_client", True),
        ("previewable_count", False),
        ("datasets_folder", False),
    ]
    assert "user_css" in drift["not_asked"]


@pytest.mark.slow
@pytest.mark.parametrize("takes_time", [False, True], ids=["nothing waits", "interrupted"])
def test_a_version_and_a_server_of_it_do_not_differ(
    takes_time: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    source = SimulatedServer(plan_for=STEPS_TAKE_TIME if takes_time else None)
    with serve(source, speed=1) as handle:
        status = main(["drift", DEFAULT_VERSION, handle.url])

    assert status == 0
    assert "no facts changed" in capsys.readouterr().out


@pytest.mark.parametrize("version", ["banana", "master", ""])
def test_a_version_that_is_none_is_said(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["drift", version, "0.27.0"])

    assert status == 2
    assert f"'{version}' is not a version" in capsys.readouterr().err


@pytest.mark.slow
def test_odd_spellings_are_that_version_and_unknown_releases_are_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["drift", "v0.33", "0.33.0+abc"]) == 0
    capsys.readouterr()

    main(["drift", "0.33.0", "99.0.0"])

    assert "nothing is known of ComfyUI 99.0.0" in capsys.readouterr().err


@pytest.mark.slow
def test_what_the_servers_said_is_kept_if_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "captures"
    with serve(SimulatedServer()) as handle:
        status = main(["drift", "0.27.0", handle.url, "--record", str(folder)])
        again = main(["drift", "0.27.0", handle.url, "--record", str(folder)])

    kept = {}
    for name in ("before", "after"):
        with open_cassette(folder / f"{name}.jsonl") as records:
            kept[name] = Timeline.build(records)
    assert status == 1
    assert (kept["before"].comfyui_version, kept["after"].comfyui_version) == (
        "0.27.0",
        DEFAULT_VERSION,
    )
    assert [len(one.prompts) for one in kept.values()] == [8, 8]
    assert again == 2
    assert "give --record another folder" in capsys.readouterr().err


def with_more(request: Request, answer: Response) -> Response:
    """Three things that no version has: a flag, a field of jobs, a model folder."""
    more: dict[str, Callable[[Any], Any]] = {
        "/features": lambda value: {**value, "supports_dreams": {"deep": True}},
        "/jobs/": lambda value: {**value, "mood": "fine"} if "id" in value else value,
        "/models": lambda value: [*value, "dreams"],
    }
    for path, change in more.items():
        asked = request.parts.path
        if answer.status == 200 and (asked == path or (path == "/jobs/" and path in asked)):
            body = json.dumps(change(json.loads(answer.body))).encode()
            return msgspec.structs.replace(answer, body=body)
    return answer


@pytest.mark.slow
def test_what_nothing_is_known_of_is_found_and_said_to_be_unknown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serve(Departing(SimulatedServer(), answers=with_more)) as handle:
        status = main(["drift", "0.27.0", handle.url])
        lines = capsys.readouterr().out.splitlines()

    assert status == 1
    assert lines[0] == f"0.27.0 -> {handle.url}: 3 facts changed"
    assert [line for line in lines if "unknown" in line] == [
        f"  unknown  {handle.url}: GET /features has supports_dreams",
        f"  unknown  {handle.url}: GET /models has dreams",
        f"  unknown  {handle.url}: a finished job has mood",
    ]


@pytest.mark.slow
def test_what_a_server_lacks_is_said_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    lacking = on("/system_stats", without("system", "embedded_python"))
    with serve(Departing(SimulatedServer(), answers=lacking)) as handle:
        status = main(["drift", DEFAULT_VERSION, handle.url, "--json"])
        drift = json.loads(capsys.readouterr().out)

    assert (status, drift["changes"]) == (1, [])
    assert drift["unknown"] == [
        {
            "server": handle.url,
            "where": "GET /system_stats",
            "field": "system.embedded_python",
            "there": False,
        }
    ]
