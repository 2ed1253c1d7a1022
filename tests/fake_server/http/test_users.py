"""Users, and how they are told apart."""

from __future__ import annotations

from typing import Any

import pytest

from fake_server.options import ServerOptions
from fake_server.simulated_server import SimulatedServer
from tests.support.source_client import (
    ask,
    json_of,
    server_of,
)


def test_users_are_told_apart_by_a_header() -> None:
    server = SimulatedServer(ServerOptions(multi_user=True))
    ann = json_of(ask(server, "POST", "/users", {"username": " Ann B. "}))
    bob = json_of(ask(server, "POST", "/users", {"username": "bob"}))
    ask(server, "POST", "/settings/a", 1, comfy_user=ann)

    assert ann.startswith("Ann-B-_")
    assert json_of(ask(server, "GET", "/users")) == {
        "storage": "server", "users": {ann: "Ann B.", bob: "bob"},
    }  # fmt: skip
    assert json_of(ask(server, "GET", "/settings", comfy_user=ann)) == {"a": 1}
    assert json_of(ask(server, "GET", "/settings", comfy_user=bob)) == {}
    assert ask(server, "GET", "/settings", comfy_user="nobody").status == 401
    assert ask(server, "GET", "/settings").status == 401
    assert ask(server, "GET", "/userdata?dir=x", comfy_user="nobody").status == 500
    assert ask(server, "GET", "/v2/userdata", comfy_user="nobody").status == 403


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"username": "default"}, 400, "Duplicate username."),
        ({"username": "  "}, 400, "username not provided"),
        ({"username": "__x"}, 400, "System User prefix not allowed"),
        ({"username": 3}, 500, None),
        ({}, 500, None),
        ([], 500, None),
    ],
)
def test_a_user_that_cannot_be_is_refused(body: Any, status: int, error: str | None) -> None:
    got = ask(SimulatedServer(), "POST", "/users", body)

    assert got.status == status
    assert error is None or json_of(got) == {"error": error}


@pytest.mark.parametrize(
    ("stored", "one", "all_of_them", "posting"),
    [
        (b"[1]", 200, 200, 500),
        (b'"abc"', 200, 200, 500),
        (b"null", 500, 200, 500),
        (b"not json", 200, 200, 200),
        (b'{"x": 5}', 200, 200, 200),
    ],
)
def test_settings_are_whatever_the_file_holds(
    stored: bytes, one: int, all_of_them: int, posting: int
) -> None:
    server = SimulatedServer()
    ask(server, "POST", "/userdata/comfy.settings.json", stored)

    assert ask(server, "GET", "/settings/x").status == one
    assert ask(server, "GET", "/settings").status == all_of_them
    assert ask(server, "POST", "/settings/y", b"1").status == posting


@pytest.mark.parametrize(
    ("version", "username", "status"),
    [("0.27.0", "__x", 400), ("0.3.64", "__x", 200), ("0.27.0", " ", 400), ("0.3.64", " ", 500)],
)
def test_names_that_no_user_can_have(version: str, username: str, status: int) -> None:
    assert ask(server_of(version), "POST", "/users", {"username": username}).status == status
