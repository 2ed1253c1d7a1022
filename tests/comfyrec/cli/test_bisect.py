"""``comfyrec bisect`` as a person types it."""

from __future__ import annotations

import json
import sys

import pytest

from comfyrec.cli import main

# Knows one thing about servers: how POST /prompt answers when no prompt is in it.
CLIENT = """
import json, sys, urllib.request, urllib.error
url = sys.argv[1]
try:
    urllib.request.urlopen(url + "/prompt", b"{}")
except urllib.error.HTTPError as error:
    if not isinstance(json.load(error)["error"], dict):
        sys.exit("the error has no type")
body = json.dumps({"prompt": json.load(open(sys.argv[2]))}).encode()
urllib.request.urlopen(url + "/prompt", body)
"""
COMMAND = ["--", sys.executable, "-S", "-c", CLIENT, "{url}", "{workflow}"]


@pytest.mark.long
def test_the_fact_is_named_with_the_command_that_shows_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main(["bisect", "--good", "0.27.0", "--bad", "0.3.10", *COMMAND])

    out, log = capsys.readouterr()
    lines = out.splitlines()
    assert status == 0
    assert lines[0] == "1. error_objects is missing (it passes on 0.3.28 and fails on 0.3.27):"
    assert lines[1].startswith("   no_prompt and the like are objects, so is node_errors (since ")
    assert lines[2].startswith("   What goes wrong: in success it reported failed; ")
    assert "the error has no type" in lines[2]
    assert "--comfyui-version 0.27.0 --fact error_objects=off -- " in out
    assert lines[-1].endswith(" runs")
    assert "0.3.27: fails: " in log


@pytest.mark.long
def test_a_client_that_lives_on_is_searched_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--", sys.executable, "-m", "tests.comfyrec.fuzz.specimen", "jobs"]

    status = main(["bisect", "--lines", "--good", "0.33.0", "--bad", "0.3.10", *command])

    out = capsys.readouterr().out
    assert status == 0
    assert out.startswith("1. jobs is missing")
    assert "--lines --fact jobs=off -- " in out


@pytest.mark.long
def test_every_dependency_is_named_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bisect", "--good", "0.27.0", "--json", *COMMAND]) == 0

    found = json.loads(capsys.readouterr().out)
    assert [one["facts"] for one in found["culprits"]] == [["error_objects"]]


@pytest.mark.long
@pytest.mark.parametrize(
    "versions, sentence",
    [
        (
            ["--good", "0.27.0", "--bad", "0.8.2"],
            "the client passes on the bad server, 0.8.2, too.\nGive a --bad version",
        ),
        (
            ["--good", "0.3.10", "--bad", "2024-07"],
            "the client fails on the good server, 0.3.10, too: in success it reported failed",
        ),
    ],
)
def test_a_search_that_cannot_be_made_says_why(
    versions: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bisect", *versions, *COMMAND]) == 1

    assert f"There is nothing to search for: {sentence}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv, sentence",
    [
        (["--good", "0.27.0"], "there is no command to bisect"),
        (["--good", "new", *COMMAND], "'new' is not a version"),
        (
            ["--good", "0.27.0", "--bad", "0.27", *COMMAND],
            "--bad 0.27 has the same facts as --good 0.27.0",
        ),
        (["--good", "0.27.0", "--fact", "jobs", *COMMAND], "write NAME=on or NAME=off"),
        (["--good", "0.27.0", "--repeat", "3-of-2", *COMMAND], "write N-of-M"),
        (["--good", "0.27.0", "--", "/no/such/thing"], "'/no/such/thing' does not exist"),
        (["--good", "0.27.0", "--scenarios", "nothing", *COMMAND], "no scenario 'nothing'"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bisect", *argv]) == 2

    out, said = capsys.readouterr()
    assert sentence in said
    assert (out, said.count("\n")) == ("", 1)
