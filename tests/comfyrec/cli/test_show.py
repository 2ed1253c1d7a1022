"""comfyrec show: what it prints, where it is cut, and how it follows."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from comfyrec.cassette.files import find_cassette, write_cassette
from comfyrec.cli import main
from comfyrec.cli.terminal import drawing
from comfyrec.show.text import line
from tests.support.timeline_samples import Recording, run, session


def test_show_tells_the_story(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "execution-error"]) == 0

    out = capsys.readouterr().out
    assert out.startswith("outcome   3 prompts: 1 succeeded, 2 failed\n")
    assert "execution_error   GTBoom 3: ValueError: deliberate failure" in out


def test_show_as_json_is_the_story(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--json", "execution-error"]) == 0

    story = json.loads(capsys.readouterr().out)
    assert story["version"] == 1
    assert [prompt["outcome"] for prompt in story["prompts"]] == ["error", "error", "success"]


def test_control_characters_of_a_recording_are_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = Recording()
    recording.upgrade(1, "a")
    recording.says(1, "status\x1b[31m", x=1)
    path = tmp_path / "evil.jsonl"
    write_cassette(path, recording.end())

    assert main(["show", str(path)]) == 0

    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "status\\u001b[31m" in out


def test_a_wrong_filter_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "execution-error", "--grep", "("]) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("comfyrec show: --grep '(' is not a regular expression")


def test_a_recording_that_was_cut_off_is_told_up_to_the_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Path(find_cassette("execution-error")).read_bytes().splitlines(keepends=True)
    path = tmp_path / "half.jsonl"
    path.write_bytes(b"".join(whole[:24]) + whole[24][:30])

    assert main(["show", str(path)]) == 3

    said = capsys.readouterr()
    assert "GTBoom 3: ValueError: deliberate failure" in said.out
    assert f"{path}" in said.err


def test_follow_tells_a_whole_recording_once_and_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.jsonl"
    write_cassette(path, run(session()).end())

    assert main(["show", str(path), "--follow"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 13
    assert "opened" in lines[0]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("no_color", ["", "1"], ids=["in color", "without color"])
def test_on_a_terminal_a_line_is_cut_to_its_width(
    monkeypatch: pytest.MonkeyPatch, no_color: str
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)

    drawing.draw([line(("0123456789", "bad"), "\x1b[2J" * 5)])

    out = terminal.getvalue()
    assert "0123456789" in out
    assert ("\x1b[1;31m" in out) is not bool(no_color)
    assert "[2J\\u001b[2J" not in out and "…" in out


FITS_NOTHING = {
    "a text": (["--grep", "zzzz"], "nothing fits --grep zzzz; the recording has 66 moments in 0.0"),
    "a time": (["--since", "90s"], "nothing fits --since 90s; the recording has 66 moments in 0.0"),
    "a type and a node": (
        ["--type", "execution_error", "--node", "2"],
        "nothing fits --type execution_error and --node 2; the recording has 66 moments in 0.060 "
        "s, of the types 200, GET, POST, closed, executed, ",
    ),
}


@pytest.mark.parametrize("flags, sentence", FITS_NOTHING.values(), ids=FITS_NOTHING)
@pytest.mark.parametrize("command", ["show", "cat"])
def test_filters_that_fit_nothing_say_so(
    command: str, flags: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "image-only", *flags]) == 0

    out, said = capsys.readouterr()
    assert out == ""
    assert said.startswith(f"comfyrec {command}: ")
    assert sentence in said
    assert said.count("\n") == 1


def test_filters_that_have_fitted_nothing_while_following_say_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["show", "image-only", "--follow", "--grep", "zzzz"]) == 0

    out, said = capsys.readouterr()
    assert (out, said.count("nothing has fitted --grep zzzz\n")) == ("", 1)
