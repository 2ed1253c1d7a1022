"""GET and POST /history: windows of it, single entries, what is forgotten."""

from __future__ import annotations

import pytest

from fake_server.simulated_server import SimulatedServer
from tests.support.source_client import ask, json_of, server_of


def filled(version: str = "0.27.0") -> SimulatedServer:
    """A server whose history has entries a, b and c."""
    server = server_of(version)
    server.engine.history.update({name: {"prompt": []} for name in "abc"})
    return server


WINDOWS = {
    "": "abc",
    "?max_items=2": "bc",
    "?max_items=2&offset=0": "ab",
    "?offset=1": "bc",
    "?offset=1&max_items=1": "b",
    "?max_items=0": "",
    "?max_items=9": "abc",
    "?max_items=0&offset=1": "b",
}


@pytest.mark.parametrize("query", WINDOWS)
def test_a_window_of_the_history_is_cut_as_the_server_cuts_it(query: str) -> None:
    found = json_of(ask(filled(), "GET", f"/history{query}"))

    assert "".join(found) == WINDOWS[query]


def test_a_window_that_is_not_a_number_breaks_the_handler() -> None:
    assert ask(filled(), "GET", "/history?max_items=all").status == 500


def test_an_offset_meant_nothing_before_it_was_known() -> None:
    assert "".join(json_of(ask(filled("0.3.10"), "GET", "/history?offset=2"))) == "abc"


def test_one_entry_is_found_by_its_id_and_an_unknown_one_is_empty() -> None:
    server = filled()

    assert json_of(ask(server, "GET", "/api/history/b")) == {"b": {"prompt": []}}
    assert json_of(ask(server, "GET", "/history/x")) == {}


def test_entries_are_forgotten_by_id_or_all_at_once() -> None:
    server = filled()

    first = ask(server, "POST", "/history", {"delete": ["a", "x"]})
    left = json_of(ask(server, "GET", "/history"))
    ask(server, "POST", "/history", {"clear": True})

    assert (first.status, list(left)) == (200, ["b", "c"])
    assert json_of(ask(server, "GET", "/history")) == {}


def test_an_id_that_cannot_be_one_breaks_the_handler() -> None:
    assert ask(filled(), "POST", "/history", {"delete": [[]]}).status == 500
