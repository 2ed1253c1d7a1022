"""Stand-ins: of the same size and form, one for each value, and saying nothing of it."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.cassette.redact.pseudonyms.standins import StandIns, comparable, form_of, is_standin

UUID = "7f1c2a9e-4b7d-4e0a-9c55-d3e8f6a1b204"


@given(st.text(min_size=1, max_size=30))
def test_a_stand_in_has_the_size_of_its_value_in_every_way_of_writing(value: str) -> None:
    made = StandIns().of(value, "text")

    assert form_of(made) == form_of(value) or comparable(made) == comparable(value)
    assert len(made) == len(value)
    assert len(json.dumps(made)) == len(json.dumps(value))
    encoded = made.encode("utf-8", "surrogatepass"), value.encode("utf-8", "surrogatepass")
    assert len(encoded[0]) == len(encoded[1])
    assert len(quote(encoded[0])) == len(quote(encoded[1]))


@pytest.mark.slow
@given(st.lists(st.from_regex(r"[a-z]{4}-[0-9]{2}", fullmatch=True), unique=True, max_size=40))
def test_values_have_stand_ins_of_their_own_and_keep_them(values: list[str]) -> None:
    table = StandIns()

    made = [table.of(value, "id") for value in values]

    assert len(set(made)) == len(values)
    assert [table.of(value, "id") for value in values] == made
    assert not set(made) & set(values) or not values


def test_an_id_has_one_number_with_and_without_dashes() -> None:
    table = StandIns()

    with_dashes, without = table.of(UUID, "id"), table.of(UUID.replace("-", ""), "id")

    assert with_dashes == "00000001-0000-4000-8000-000000000000"
    assert without == with_dashes.replace("-", "")


@pytest.mark.parametrize("address", ["198.18.77.203", "10.0.0.5", "fe80::1c2d:3e4f"])
def test_an_address_stays_an_address_of_the_same_size(address: str) -> None:
    import ipaddress

    made = StandIns().of(address, "host")

    assert made != address
    assert len(made) == len(address)
    assert ipaddress.ip_address(made)


def test_stand_ins_follow_from_the_order_alone() -> None:
    one, other = StandIns(), StandIns()

    assert one.of("alice", "user") == other.of("james", "user") == "axxxx"
    assert one.of("bobby", "user") == "bxxxx"


def test_what_is_a_stand_in_can_be_told() -> None:
    table = StandIns()
    values = ["alice", UUID, "a photo of a cat", "198.18.77.203", "Velvet_Otter_77"]

    assert all(is_standin(table.of(value, "text")) for value in values)
    assert not any(map(is_standin, values))


def test_a_map_is_used_again_and_goes_on_behind_its_last_number() -> None:
    first = StandIns()
    known = [first.of(value, "user") for value in ("alice", "james", UUID)]
    second = StandIns()
    second.take(list(first.items()))

    assert [second.of(value, "user") for value in ("alice", "james", UUID)] == known
    assert second.of("petra", "user") not in known
    assert second.of(UUID[:-1] + "5", "id") not in known


@pytest.mark.parametrize(
    "rows",
    [[("user", "alice", "axx")], [("user", "alice", "1xxxx")],
     [("user", "alice", "axxxx"), ("user", "james", "axxxx")]],
)  # fmt: skip
def test_a_map_that_does_not_fit_is_refused(rows: list[tuple[str, str, str]]) -> None:
    with pytest.raises(ValueError, match=r"form|two values"):
        StandIns().take(rows)


def test_what_was_blanked_as_a_secret_stays() -> None:
    assert StandIns().of("xxxxxxxxxxxx", "text") == "xxxxxxxxxxxx"
