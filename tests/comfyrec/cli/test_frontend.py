"""The real web page: the link to the panel in its corner, and the pace at which nodes run."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import pytest

from comfyrec.cli._frontend import choose_for_people, with_corner
from fake_server.storage.memory import StoredFile

PAGE = StoredFile(b"<html><body><p></body></html>", 7)
FILES = {"index.html": PAGE, "assets/a.js": StoredFile(b"'</body>'", 1)}


def test_the_page_has_a_link_to_the_panel() -> None:
    page = with_corner(FILES.get)("index.html")

    assert page is not None
    assert b'<a href="__fake__/ui/"' in page.data
    assert page.data.endswith(b"</a></body></html>")
    assert page.modified_us == PAGE.modified_us


@pytest.mark.parametrize("name", ["assets/a.js", "nothing"])
def test_all_else_is_as_it_was(name: str) -> None:
    assert with_corner(FILES.get)(name) == FILES.get(name)


def test_a_page_without_an_end_is_as_it_was() -> None:
    bare = StoredFile(b"<html>", 1)

    assert with_corner({"index.html": bare}.get)("index.html") == bare


GIVEN = {"file": None, "speed": None, "timing": None, "scenario": [], "step": False}


@pytest.mark.parametrize(
    "given, scenarios",
    [
        ({}, ["lifelike"]),
        ({"speed": "max"}, []),
        ({"step": True}, []),
        ({"file": "a.crec"}, []),
        ({"scenario": ["all-cached"]}, ["all-cached"]),
    ],
    ids=str,
)
def test_nodes_take_their_time_unless_something_else_was_asked_for(
    given: dict[str, Any], scenarios: list[str]
) -> None:
    arguments = Namespace(**{**GIVEN, **given})

    choose_for_people(arguments)

    assert arguments.scenario == scenarios
