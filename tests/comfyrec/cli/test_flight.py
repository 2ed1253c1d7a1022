"""``record`` in parts, as a command."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from comfyrec.cassette.files import open_cassette
from comfyrec.cli import main
from comfyrec.timeline import Timeline
from fake_server.testing import running


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--keep", "broken"], "all, failed or sample:0.01"),
        (["--keep", "sample:2"], "all, failed or sample:0.01"),
        (
            ["--rotate", "often"],
            "neither a size nor a time; give a size as in 100MB, a time as in 1h, or both",
        ),
        (["--max-disk", "5"], "too small"),
        (["--max-disk", "much"], "give a size as in 100MB"),
        (["--recent", "10min"], "goes with --keep failed"),
        (["--keep", "failed", "--silence", "soon"], "give a time as in 30s"),
        (["--keep", "failed", "--control", "here"], "--control 'here' is not an address"),
        (["--keep", "failed", "--append"], "leave --append"),
        (["--keep", "failed", "--view"], "--view shows one cassette"),
    ],
)
def test_wrong_flags_are_one_sentence(
    flags: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["record", "--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:0"]

    assert main([*given, "-o", str(tmp_path / "out"), *flags]) == 2

    assert words in capsys.readouterr().err


def test_a_file_is_not_a_folder_for_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.crec").touch()
    given = ["record", "--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:0"]

    assert main([*given, "-o", str(tmp_path / "a.crec"), "--keep", "all"]) == 2

    assert "parts need a folder" in capsys.readouterr().err


def asked(url: str, body: object = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(url, data, timeout=20) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.read()


@pytest.mark.long
def test_a_failed_session_stays_and_the_last_minutes_can_be_kept(tmp_path: Path) -> None:
    folder = tmp_path / "flight"
    command = [
        sys.executable, "-m", "comfyrec", "record", "--listen", "127.0.0.1:0", "-o", str(folder),
        "--keep", "failed", "--max-disk", "1GB", "--control", "127.0.0.1:0",
    ]  # fmt: skip
    with (
        running() as upstream,
        subprocess.Popen(
            [*command, "--upstream", upstream],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as recorder,
    ):
        try:
            assert recorder.stdout is not None
            control = recorder.stdout.readline().split()[1]
            address = recorder.stdout.readline().split()[-1]
            asked(f"{address}/system_stats")
            kept = json.loads(asked(control, {}))["kept"]
            asked(f"{address}/prompt", {"no": "prompt"})
            recorder.send_signal(signal.SIGUSR1)
            recorder.send_signal(signal.SIGINT)
            said = recorder.communicate(timeout=30)
        finally:
            recorder.kill()

    paths = sorted(folder.glob("*.crec"))
    assert recorder.returncode == 0, said
    assert kept == [str(paths[0])]
    assert ": error" in said[1]
    assert "2 parts kept" in said[0]
    found = []
    for path in paths:
        with open_cassette(path) as reader:
            found.append([exchange.path for exchange in Timeline.build(reader).exchanges])
    assert "/system_stats" in found[0]
    assert "/prompt" in found[1]
