"""The table of ComfyUI's routes, and what follows from it."""

from __future__ import annotations

import pytest

from comfyrec.http.request import target_of
from comfyrec.http.routes import (
    FIRST_SEGMENTS,
    ROUTES,
    STATIC_FOLDERS,
    is_announced,
    shows_state,
)
from comfyrec.versions import NEWEST_KNOWN, era_of


def test_no_route_is_listed_twice() -> None:
    keys = [(route.method, route.path) for route in ROUTES]

    assert len(set(keys)) == len(keys)


def test_each_route_came_with_a_fact_that_some_version_has() -> None:
    newest = era_of(NEWEST_KNOWN)

    assert all(newest.has(route.since) for route in ROUTES if route.since is not None)


def test_first_segments_are_those_of_the_routes() -> None:
    assert {"prompt", "queue", "history", "jobs", "view", "ws", "internal"} <= FIRST_SEGMENTS
    assert "" not in FIRST_SEGMENTS
    assert {"assets", "extensions", "templates"} == STATIC_FOLDERS & FIRST_SEGMENTS


STATE = {
    "/history": True,
    "/api/history/some-id": True,
    "/history/some-id/more": False,
    "/queue": True,
    "/prompt": True,
    "/api/jobs": True,
    "/jobs": False,
    "/api/jobs/some-id": True,
    "/view": False,
}


@pytest.mark.parametrize("target", STATE)
def test_a_question_for_the_state_of_prompts_is_known_by_its_route(target: str) -> None:
    assert shows_state("GET", target_of(target)) is STATE[target]
    assert not shows_state("POST", target_of(target))


ANNOUNCED = {
    "/manager/reboot": True,
    "/api/assets": True,
    "/internal/logs/subscribe": True,
    "/queue": False,
    "/api/settings/a": False,
    "/upload/image": False,
}


@pytest.mark.parametrize("target", ANNOUNCED)
def test_frames_tell_of_changes_that_custom_nodes_and_few_others_make(target: str) -> None:
    assert is_announced(target_of(target)) is ANNOUNCED[target]
