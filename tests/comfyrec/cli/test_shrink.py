"""``comfyrec shrink`` as a person types it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from comfyrec.cassette.files import write_cassette
from comfyrec.check.causes.reference_client import reference_result
from comfyrec.check.recorded import choices_in
from comfyrec.cli import main
from tests.support.paths import ROOT
from tests.support.shrink_session import BREAKING, session

TINY = ROOT / "tests" / "comfyrec" / "check" / "specimens" / "tiny.py"


def command(bug: str) -> list[str]:
    return ["--", sys.executable, "-S", str(TINY), bug, "{url}", "{workflow}"]


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    write_cassette("session.jsonl", session())
    return "session.jsonl"


@pytest.mark.long
def test_what_is_left_is_told_and_saved(recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--scenario", "found.py", "--test", "test_found.py"]

    status = main(["shrink", recording, *files, *command("unknown_type")])

    out, log = capsys.readouterr()
    assert status == 0
    assert out.startswith("Of 68 messages and 3 exchanges, 1 message and 3 exchanges are left")
    assert "  <- crystools.monitor {}\n" in out
    assert "The client fails as on the whole: it crashes: LookupError" in out
    assert "Saved: session.shrunk.jsonl, found.py, test_found.py" in out
    assert "messages: still fails" in log
    (choice,) = choices_in("found.py")
    assert reference_result(choice).status == "pass"
    assert main(["check", "--scenarios", "found.py", *command("right")]) == 0
    assert main(["check", "--scenarios", "found.py", *command("unknown_type")]) == 1
    assert "test_session" in Path("test_found.py").read_text()


HANGS = "foreign_start"
"""Where the client hangs, the messages that end the prompt are kept."""


@pytest.mark.long
@pytest.mark.parametrize("bug", BREAKING)
def test_each_bug_is_shown_by_the_one_message_that_shows_it(
    bug: str, recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["shrink", recording, "--scenario", "found.py", "--json", "--runs", "60"]

    assert main([*argv, *command(bug)]) == 0

    found = json.loads(capsys.readouterr().out)
    assert len(found["messages"]) == (3 if bug == HANGS else 1)
    assert found["runs"] <= 30
    assert main(["check", "--scenarios", "found.py", *command(bug)]) == 1
    assert main(["check", "--scenarios", "found.py", *command("right")]) == 0


@pytest.mark.long
def test_a_scenario_is_recorded_first(recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["shrink", "foreign-executing-null", "-o", "left.jsonl", "--json"]

    assert main([*argv, *command("foreign_null")]) == 0

    found = json.loads(capsys.readouterr().out)
    # What is too early is a matter of moments: on a busy machine a smaller run passes by chance,
    # and a message or two more are left.
    nulls = [one for one in found["messages"] if one.startswith('executing {"node": null')]
    assert len(nulls) == 1
    assert len(found["messages"]) <= 6


@pytest.mark.long
def test_a_client_that_passes_is_told_so(
    recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shrink", recording, *command("right")]) == 1

    assert "the client passes when it is replayed" in capsys.readouterr().out
    assert not Path("session.shrunk.jsonl").exists()


@pytest.mark.parametrize(
    "argv, sentence",
    [
        (["session.jsonl"], "there is no command to shrink"),
        (["nothing.jsonl", *command("right")], "nothing.jsonl: there is no such file"),
        (["nothing", *command("right")], "there is no scenario 'nothing'"),
        (["session.jsonl", "-o", "session.jsonl", *command("right")], "session.jsonl"),
        (["tls-self-signed", *command("right")], "is about TLS"),
        (["upload-and-view", *command("right")], "nobody submits a prompt in upload-and-view"),
        (["session.jsonl", "--repeat", "no", *command("right")], "write N-of-M"),
        (["session.jsonl", "--runs", "0", *command("right")], "runs must be a number from 1"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    argv: list[str], sentence: str, recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shrink", *argv]) == 2

    out, said = capsys.readouterr()
    assert sentence in said
    assert out == ""
    assert "Traceback" not in said
