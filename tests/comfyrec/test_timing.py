from __future__ import annotations

import msgspec
import pytest

from comfyrec.errors import UsageError
from comfyrec.timing import ClassTiming, Measure, Pool, Timing, megapixels

WARM = Pool(9, 100.0, (0.5, 1.0, 2.0))


def timed(by: Measure = "run", **more: object) -> ClassTiming:
    given = {"by": by, "warm": WARM, "median_us": 100.0, "spread": 4.0, **more}
    return msgspec.convert(given, ClassTiming, from_attributes=True)


def test_each_recorded_ratio_is_as_likely() -> None:
    assert [WARM.draw(1, chance) for chance in (0, 0.3, 0.4, 0.6, 0.7, 0.999999)] == [
        50, 50, 100, 100, 200, 200,
    ]  # fmt: skip
    assert WARM.draw(3, 0.5) == 300


@pytest.mark.parametrize(
    "by, expected",
    [("run", 100), ("step", 2000), ("megapixel", 400), ("step and megapixel", 8000)],
)
def test_a_class_is_measured_by_what_tells_most(by: Measure, expected: int) -> None:
    assert timed(by).draw(steps=20, megapixels=4, cold=False, chance=0.5) == expected


def test_what_is_not_known_of_a_run_is_as_usual() -> None:
    usual = timed("step and megapixel", steps=10, megapixels=2)

    assert usual.draw(steps=None, megapixels=None, cold=False, chance=0.5) == 2000
    assert usual.usual_amount == 20
    assert timed("step").draw(steps=None, megapixels=None, cold=False, chance=0.5) == 100


def test_the_first_run_is_cold_where_that_was_recorded() -> None:
    cold = timed(cold=Pool(3, 900.0, (1.0, 1.0)))

    assert cold.draw(steps=None, megapixels=None, cold=True, chance=0.5) == 900
    assert timed().draw(steps=None, megapixels=None, cold=True, chance=0.5) == 100


@pytest.mark.parametrize(
    "data, words",
    [
        (b"{}", "is not a timing file"),
        (b"\xff", "is not a timing file"),
        (b'{"timing_version": 9}', "has timing version 9"),
        (b'{"timing_version": 1, "classes": {"A": {}}}', "is not a timing file"),
    ],
)
def test_other_files_are_refused_in_one_sentence(data: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Timing.read(data, "t.json")


def test_a_timing_file_is_read_as_it_was_written() -> None:
    timing = Timing(classes={"A": timed("step", steps=3.0)}, recordings=2)

    assert Timing.read(msgspec.json.encode(timing), "t.json") == timing


def test_the_largest_size_of_a_graph_counts() -> None:
    graph = {
        "1": {"inputs": {"width": 1000, "height": 500, "batch_size": 4}},
        "2": {"inputs": {"width": 1000, "height": 1000}},
        "3": {"inputs": {"width": ["1", 0], "height": 9}},
        "4": None,
    }

    assert megapixels(graph) == 2.0
    assert megapixels({}) is None
