"""``comfyrec conform`` as a command."""

from __future__ import annotations

import json
import re

import pytest

from comfyrec.cli import main
from comfyrec.versions import DEFAULT_VERSION, era_of
from fake_server.options import ServerOptions
from fake_server.server.thread import serve
from fake_server.simulated_server import SimulatedServer
from tests.comfyrec.conform.test_departures import ForAll


def test_a_server_that_fits_its_version_is_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    with serve(SimulatedServer()) as handle:
        status = main(["conform", handle.url])

    assert status == 0
    said = re.search(
        rf"speaks ComfyUI {DEFAULT_VERSION}: (\d+) of \1 facts, (\d+) of \2 rules",
        capsys.readouterr().out,
    )
    assert said is not None


@pytest.mark.slow
def test_what_departs_is_named_and_makes_the_status_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    era = era_of("0.27.0").switched("jobs", on=True).switched("datasets_folder", on=True)
    with serve(SimulatedServer(ServerOptions(era=era))) as handle:
        told = main(["conform", handle.url])
        text = capsys.readouterr().out
        status = main(["conform", handle.url, "--json"])
        verdict = json.loads(capsys.readouterr().out)

    assert told == status == 1
    assert "  has datasets_folder: there is a model folder datasets\n" in text
    assert [one["fact"] for one in verdict["departures"]] == ["datasets_folder"]


@pytest.mark.slow
def test_a_rule_that_is_broken_is_named_with_what_was_seen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serve(ForAll(SimulatedServer())) as handle:
        status = main(["conform", handle.url])

    assert status == 1
    text = capsys.readouterr().out
    assert "  breaks private_frames: frames of a prompt go to its own client alone; another" in text


def test_what_is_not_there_is_said_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["conform", "http://127.0.0.1:9"])

    err = capsys.readouterr().err
    assert status == 2
    assert err.startswith("comfyrec conform: http://127.0.0.1:9: no answer to GET /prompt")
    assert err.count("\n") == 1
