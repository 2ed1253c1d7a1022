"""``comfyrec fuzz`` as a person types it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from comfyrec.cassette.files import write_cassette
from comfyrec.cli import main
from tests.support.paths import ROOT
from tests.support.shrink_session import session

TINY = ROOT / "tests" / "comfyrec" / "check" / "specimens" / "tiny.py"


def specimen(name: str) -> list[str]:
    return ["--", sys.executable, "-m", "tests.comfyrec.fuzz.specimen", name]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


@pytest.mark.long
def test_a_bug_is_found_told_and_saved(
    in_a_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["fuzz", "--seed", "1", *specimen("trusts_the_null")])

    out = capsys.readouterr().out
    assert status == 1
    assert out.startswith("Found in example ")
    assert "K3: it reported success; the prompt failed" in out
    assert "nodes={'1': {'raise':" in out
    assert "Nothing of this can be left out" in out
    (saved,) = in_a_folder.glob("fuzz-*.jsonl")
    assert f"Saved: {saved.name}; comfyrec check --scenarios {saved.name} plays it." in out
    command = [
        "--",
        sys.executable,
        "-m",
        "tests.comfyrec.check.specimens.{}",
        "{url}",
        "{workflow}",
    ]
    wrong = [part.replace("{}", "trusts_the_null") for part in command]
    assert main(["check", "--scenarios", saved.name, *wrong]) == 1


@pytest.mark.long
def test_a_right_client_is_told_how_much_was_tried(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", "--examples", "10", "--json", *specimen("right")]) == 0

    found = json.loads(capsys.readouterr().out)
    assert (found["examples"], found["says"], found["failed"]) == (10, None, [])


@pytest.mark.long
def test_the_corpus_is_tried_first(in_a_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = in_a_folder / "corpus"
    corpus.mkdir()
    write_cassette(corpus / "session.jsonl", session())
    (corpus / "other.jsonl").write_text("nothing of ours\n")
    client = ["--", sys.executable, "-S", str(TINY), "unknown_type", "{url}", "{workflow}"]

    status = main(["fuzz", "--corpus", str(corpus), "--json", *client])

    out, said = capsys.readouterr()
    assert status == 1
    assert json.loads(out)["says"].endswith("session.jsonl")
    assert "left out of the corpus: " in said


@pytest.mark.parametrize(
    "argv, sentence",
    [
        ([], "there is no command to fuzz"),
        (["--", "/no/such/thing"], "does not exist"),
        (["--seconds", "0.001", *specimen("right")], "ended before the first example had"),
        (["--seconds", "0", *specimen("right")], "seconds must be a number greater than 0"),
        (["--examples", "x", *specimen("right")], "examples must be a number from 1"),
        (
            ["--corpus", str(TINY), *specimen("right")],
            "cannot be made (File exists); give the name",
        ),
        (["--scenarios", "upload-renamed", *specimen("right")], "waiting and uploads fit"),
        (["--scenarios", "nothing", *specimen("right")], "there is no scenario 'nothing'"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fuzz", *argv]) == 2

    out, said = capsys.readouterr()
    assert sentence in said
    assert (out, said.count("\n")) == ("", 1)


def test_the_folder_of_the_corpus_is_made(in_a_folder: Path) -> None:
    client = specimen("right")

    main(["fuzz", "--corpus", "new/corpus", "--seconds", "0.001", *client])
    main(["fuzz", "--corpus", "other", "--", "/no/such/thing"])

    assert (in_a_folder / "new" / "corpus").is_dir()
    assert not (in_a_folder / "other").exists()
