from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comfyrec.cassette import text
from comfyrec.cassette.files import bundled, find_cassette, open_cassette, write_cassette
from comfyrec.cassette.records import AnyRecord, Session
from comfyrec.errors import NotACassette
from comfyrec.tables import TABLES, Rows, rows_of
from tests.support.paths import ROOT
from tests.support.timeline_samples import PROMPT, SERVER, Recording, run, session

TYPES: dict[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "int": lambda value: type(value) is int,
    "float": lambda value: isinstance(value, float),
    "bool": lambda value: isinstance(value, bool),
}

ALL = sorted((ROOT / "cassettes").glob("*.[cj]*"))


def rows(records: list[AnyRecord]) -> Rows:
    return rows_of(b"".join(text.encode_lines(records)), source="x.jsonl")


@pytest.mark.slow
@pytest.mark.parametrize("name", bundled())
def test_every_row_has_every_column_with_its_type(name: str) -> None:
    found = rows_of(Path(find_cassette(name)).read_bytes(), source=name)

    for table, columns in TABLES.items():
        for row in found.tables[table]:
            assert list(row) == [column.name for column in columns]
            for column in columns:
                assert row[column.name] is None or TYPES[column.type](row[column.name])
    assert len(found.tables["sessions"]) == 1
    assert not found.damaged


def test_a_prompt_is_timed_from_its_post_to_its_end() -> None:
    found = rows(run(session(comfyui_version="0.27.0")).end()).tables

    (prompt,) = found["prompts"]
    assert (prompt["prompt_id"], prompt["outcome"]) == (PROMPT, "success")
    assert prompt["queue_wait_us"] == prompt["started_at_us"] - prompt["submitted_at_us"] == 4000
    assert prompt["run_us"] == prompt["ended_at_us"] - prompt["started_at_us"] == 4000
    assert prompt["silence_before_end_us"] == 1000
    assert (prompt["nodes"], prompt["nodes_run"], prompt["nodes_cached"]) == (2, 1, 1)
    cached, ran = found["node_runs"]
    assert (cached["class_type"], cached["cached"], cached["run_us"]) == ("EmptyImage", True, None)
    assert (ran["class_type"], ran["run_of_class"], ran["files"]) == ("SaveImage", 1, 1)
    assert ran["day"] == "1970-01-01"
    assert ran["version"] == "0.27.0"
    assert ran["server"] == "127.0.0.1-8188"


def test_a_prompt_that_never_ends_is_silent_to_the_end_of_the_recording() -> None:
    recording = session()
    recording.says(1, "execution_start", prompt_id=PROMPT)
    recording.wait(5_000_000)
    recording.closed(1, SERVER)

    (prompt,) = rows(recording.end()).tables["prompts"]

    assert prompt["outcome"] == "unknown"
    assert prompt["silence_before_end_us"] > 5_000_000


def test_an_error_keeps_the_words_of_the_server() -> None:
    recording = session()
    recording.says(1, "execution_start", prompt_id=PROMPT)
    recording.says(
        1, "execution_error", prompt_id=PROMPT, node_id="3", node_type="KSampler",
        exception_type="torch.OutOfMemoryError", exception_message="out\n" + "x" * 5000,
    )  # fmt: skip

    (prompt,) = rows(recording.end()).tables["prompts"]

    assert prompt["error_class_type"] == "KSampler"
    assert prompt["error_type"] == "torch.OutOfMemoryError"
    assert len(prompt["error_message"]) == 2000


def test_both_encodings_and_copies_are_the_same_recording(tmp_path: Any) -> None:
    path = Path(find_cassette("all-cached"))
    with open_cassette(path) as reader:
        write_cassette(tmp_path / "a.crec", reader)

    one, other = rows_of(path.read_bytes()), rows_of((tmp_path / "a.crec").read_bytes())

    assert one.recording == other.recording
    assert one.tables["node_runs"] == other.tables["node_runs"]
    ids = {rows_of(path.read_bytes(), tables=()).recording for path in ALL}
    assert len(ids) == len(ALL)


def test_only_the_wanted_tables_are_made() -> None:
    data = Path(find_cassette("all-cached")).read_bytes()

    assert set(rows_of(data, tables=("http",)).tables) == {"http"}
    with pytest.raises(KeyError):
        rows_of(data, tables=("htp",))


def test_a_missing_end_is_told_and_damage_is_told_apart_from_it() -> None:
    lines = text.encode_lines(run(session()).end())
    cut = rows_of(b"".join(lines[:-1]))
    damaged = rows_of(b"".join([*lines[:5], lines[5][:-20] + b"\n", *lines[6:]]))

    assert len(cut.problems) == 1
    assert not cut.damaged
    assert cut.tables["sessions"][0]["whole"] is False
    assert damaged.damaged


@pytest.mark.parametrize("t", [1 << 60, -5])
def test_times_that_no_clock_shows_are_refused(t: int) -> None:
    records = run(session()).end()
    records[0] = Session(0, t)

    with pytest.raises(NotACassette, match="cannot be"):
        rows(records)


def test_text_that_no_column_can_hold_is_mended() -> None:
    recording = session()
    recording.frame(1, b'{"type": "execution_start", "data": {"prompt_id": "a\\u0000b"}}')

    (prompt,) = rows(recording.end()).tables["prompts"]

    assert prompt["prompt_id"] == "a?b"


def test_large_pictures_are_counted_and_not_kept() -> None:
    recording = Recording()
    recording.request(2, "GET", "/view?filename=a.png")
    recording.answer(2, b"x" * 3_000_000, headers="Content-Type: image/png\r\n")

    (exchange,) = rows(recording.end()).tables["http"]

    assert (exchange["response_bytes"], exchange["complete"]) == (3_000_000, True)
