"""``comfyrec drift`` as a command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comfyrec.cassette.files import open_cassette
from comfyrec.cli import main
from comfyrec.timeline import Timeline
from comfyrec.versions import DEFAULT_VERSION
from fake_server.server.thread import serve
from fake_server.simulated_server import SimulatedServer


def test_what_changed_between_two_versions_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    told = main(["drift", "0.27.0", "0.33.0"])
    text = capsys.readouterr().out
    status = main(["drift", "0.33.0", "0.27.0", "--json"])
    drift = json.loads(capsys.readouterr().out)

    assert told == status == 1
    assert text.startswith("0.27.0 -> 0.33.0: 3 facts changed\n")
    assert "  new   previewable_count: jobs have previewable_outputs_count\n" in text
    assert [(one["fact"], one["after"]) for one in drift["changes"]] == [
        ("cached_history_again", False),
        ("previewable_count", False),
        ("datasets_folder", False),
    ]
    assert "user_css" in drift["not_asked"]


def test_a_version_and_a_server_of_it_do_not_differ(capsys: pytest.CaptureFixture[str]) -> None:
    with serve(SimulatedServer()) as handle:
        status = main(["drift", DEFAULT_VERSION, handle.url])

    assert status == 0
    assert "no facts changed" in capsys.readouterr().out


def test_a_version_that_is_none_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["drift", "banana", "0.27.0"])

    assert status == 2
    assert "'banana' is not a version" in capsys.readouterr().err


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
    assert [len(one.prompts) for one in kept.values()] == [7, 7]
    assert again == 2
    assert "give --record another folder" in capsys.readouterr().err
