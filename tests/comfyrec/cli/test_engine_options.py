"""What the date is on a server that ``serve`` starts."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pytest

from comfyrec.cli._engine_options import dated
from fake_server.options import EPOCH_MS, ServerOptions
from fake_server.server.clock import MAX


def flags(speed: float | None, folder: Path | None = None) -> argparse.Namespace:
    return argparse.Namespace(speed=speed, base_directory=folder, frontend=False)


def test_at_the_speed_of_time_the_date_is_todays() -> None:
    before = time.time_ns() // 1_000_000

    options = dated(flags(1.0), ServerOptions())

    assert before <= options.epoch_ms <= time.time_ns() // 1_000_000


@pytest.mark.parametrize("speed", [None, 0.0, 10.0, MAX], ids=["auto", "step", "ten", "max"])
def test_at_any_other_speed_it_is_the_same_in_every_run(speed: float | None) -> None:
    assert dated(flags(speed), ServerOptions()).epoch_ms == EPOCH_MS


def test_files_on_disk_have_their_own_dates(tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "old.png").write_bytes(b"x")
    options = dated(flags(1.0, tmp_path), ServerOptions())

    modified = options.folders().modified_us("input", "", "old.png")

    assert modified is not None
    assert abs(options.epoch_us + modified - time.time_ns() // 1_000) < 60_000_000
