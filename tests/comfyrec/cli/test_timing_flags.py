from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import msgspec
import pytest

from comfyrec.cli import main
from comfyrec.timing import ClassTiming, Pool, Timing


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--timing", "nosuch.json"], "cannot be read"),
        (["--timing", __file__], f"--timing {__file__} is not a timing file"),
        (["--timing", __file__], "'comfyrec learn-timing FILES -o timing.json' makes one\n"),
        (["--workers", "3"], "or with --timing"),
        (["--workers", "3", "--timing", __file__, "--port", "65534"], "--workers more behind it"),
    ],
)
def test_wrong_flags_are_one_sentence(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *flags]) == 2

    assert words in capsys.readouterr().err


@pytest.mark.long
def test_a_fleet_has_so_many_servers_with_ids_of_their_own(tmp_path: Path) -> None:
    pool = Pool(9, 1000.0, (1.0, 1.0))
    timing = Timing(
        classes={"SaveImage": ClassTiming(by="run", warm=pool, median_us=1000.0, spread=1.0)}
    )
    (tmp_path / "t.json").write_bytes(msgspec.json.encode(timing))
    command = [
        sys.executable, "-m", "comfyrec", "serve", "--port", "0", "--print", "json", "--workers",
        "3", "--timing", str(tmp_path / "t.json"), "--exit-on-stdin-close",
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        urls = json.loads(server.stdout.readline())["urls"]
        stats = []
        for url in urls:
            with urllib.request.urlopen(f"{url}/system_stats", timeout=20) as answer:
                stats.append(answer.status)
        server.communicate(timeout=20)

    assert stats == [200, 200, 200]
    assert len(set(urls)) == 3
    assert server.returncode == 0
