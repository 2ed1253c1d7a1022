"""The time line that ``comfyrec scenarios NAME`` shows: what is said, and what of it is unusual."""

from __future__ import annotations

import pytest

from comfyrec.check.play import IMAGES
from comfyrec.cli import main
from fake_server.scenario_source import scenario_source
from fake_server.scenarios import catalogue, choose
from fake_server.scenarios.kit import PLAIN
from fake_server.scenarios.kit.dry_run import dry_run

# scenario -> a line of its page that has to be there, as it is printed.
SHOWN = {
    "data-odd": '*       0.0 ms  <- text: {"type": "executing", "data": null}',
    "bad-frame": "*       0.0 ms  <- text: (empty)",
    "big-frame": "(5000227 bytes)",
    "event-flood": "*       1.0 ms  <- myextension.log (131121 bytes), 1024 times until 1024.0 ms",
    "no-executing-null": "-               <- executing node=null",
    "long-quiet-node": "*    1000.0 ms  <- progress_state",
    "status-null": '"status": null',
    "nan-in-json": "[NaN, Infinity, -Infinity, 1.5]",
    "same-node-ids": "(another prompt's)",
    "foreign-first-executing": '<- executing node="4" (no prompt_id)',
    "interrupt-too-late": "-> somebody else: POST /interrupt",
    "pending-deleted": "-> somebody else: POST /queue",
    "all-cached": "-> somebody else: POST /prompt",
    "view-404": "*       0.0 ms  <- 404 to GET /view?filename=ComfyUI_00001_.png",
    "view-truncated": ": 40 bytes, and the connection is cut",
    "view-redirect-302": ", go to http://localhost:8188/view",
    "upload-413": "*       0.0 ms  <- 413 to POST /upload/image: Maximum request body size",
    "upload-renamed": '{"name": "check_input (1).png"',
    "preview-header-odd": "<- binary frame too short for a kind, 2 bytes",
    "prompt-id-refused": "as in a normal run",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_a_page_shows_what_is_unusual(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios", name]) == 0

    # A line that is longer than a terminal is wide goes on in the next one.
    assert _words(SHOWN[name]) in _words(capsys.readouterr().out)


def _words(text: str) -> str:
    return " ".join(text.split())


def test_nothing_is_marked_in_a_normal_run(capsys: pytest.CaptureFixture[str]) -> None:
    main(["scenarios", "success"])

    lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if line.startswith(("* ", "-  "))]


@pytest.mark.slow
@pytest.mark.parametrize("name", [scenario.name for scenario in catalogue()])
def test_a_page_is_of_a_readable_length_and_width(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["scenarios", name])

    page = capsys.readouterr().out
    assert len(page.splitlines()) < 90
    assert max(map(len, page.splitlines())) <= 80
    assert "Evidence: " in page
    assert "A correct client " in page
    assert "{'" not in page


def test_a_polite_client_uploads_submits_and_fetches() -> None:
    choice = choose("upload-renamed")
    workflow = choice.scenario.workflow or PLAIN

    lines = list(dry_run(scenario_source([choice]), workflow, images=IMAGES))

    said = [line.text.split("?")[0] for line in lines if not line.to_client]
    assert said == [
        "GET /ws",
        "POST /upload/image",
        "POST /prompt",
        "GET /history/{id}",
        "GET /queue",
        "GET /view",
    ]
    assert lines[-1].message[:4] == b"\x89PNG"
