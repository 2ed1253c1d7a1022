"""New ids have the shape of recorded ones."""

from __future__ import annotations

import re

import pytest

from fake_server.replay.recorded.minting import another_number, minted_like
from fake_server.seeded import SeededRandom


@pytest.mark.parametrize(
    ("recorded", "shape"),
    [
        ("6c5d0f5e-0a1b-4c6e-9d55-000000000001", r"[0-9a-f]{8}-[0-9a-f-]{27}"),
        ("0123456789abcdef0123456789abcdef", r"[0-9a-f]{32}"),
        ("job_6c5d0f5e-0a1b-4c6e-9d55-000000000001", r"job_[0-9a-f]{8}-[0-9a-f-]{27}"),
        ("job_01HQ7Z3K9", r"job_\d\d[A-Z]{2}\d[A-Z]\d[A-Z]\d"),
        ("asset-1a2b3c4d", r"asset-[0-9a-f]{8}"),
        ("up_load_ab12XY", r"up_load_[a-z]{2}\d\d[A-Z]{2}"),
    ],
)
def test_a_new_id_has_the_shape_of_the_recorded_one(recorded: str, shape: str) -> None:
    chance = SeededRandom(1)
    drawn = {minted_like(recorded, chance) for _ in range(20)}

    assert all(re.fullmatch(shape, one) for one in drawn)
    assert len(drawn) > 15
    assert recorded not in drawn


def test_a_number_stays_for_the_first_and_is_far_off_for_the_others() -> None:
    assert [another_number("17", times) for times in range(3)] == ["17", "1000017", "2000017"]
