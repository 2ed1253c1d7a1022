"""What all routes share: reading bodies as the real handlers do, extensions, paths."""

from __future__ import annotations

import pytest

from fake_server.http.context import (
    BodyNotJson,
    HandlerFailed,
    HttpError,
    below,
    extension,
    keys_of,
    listed,
    read_json,
)
from fake_server.simulated_server import SimulatedServer
from fake_server.source import Request


def posted(body: bytes) -> Request:
    return Request("POST", "/queue", body=body)


def test_a_body_that_is_not_json_is_told_apart_from_one_that_is_not_text() -> None:
    with pytest.raises(BodyNotJson):
        read_json(posted(b"{"))
    with pytest.raises(HandlerFailed) as failed:
        read_json(posted(b"\xff"))

    assert not isinstance(failed.value, BodyNotJson)


@pytest.mark.parametrize("body", [b"[]", b'["x"]', b'"text"', b"{}"])
def test_lists_and_texts_have_no_keys(body: bytes) -> None:
    assert keys_of(posted(body)) == {}


@pytest.mark.parametrize("body", [b"1", b"null", b'["clear"]', b'"delete"', b"{"])
def test_a_body_in_which_the_server_cannot_look_for_keys_breaks_the_handler(body: bytes) -> None:
    with pytest.raises(HandlerFailed):
        keys_of(posted(body))


def test_what_a_body_lists_is_whatever_can_be_iterated_over() -> None:
    assert listed({}, "delete") == []
    assert listed({"delete": "ab"}, "delete") == ["a", "b"]
    with pytest.raises(HandlerFailed):
        listed({"delete": None}, "delete")


@pytest.mark.parametrize(
    "name, expected",
    [("a.png", ".png"), ("a.tar.gz", ".gz"), (".bashrc", ""), ("a", ""), ("..png", "")],
)
def test_an_extension_is_what_python_calls_one(name: str, expected: str) -> None:
    assert extension(name) == expected


def test_a_path_out_of_its_folder_is_none() -> None:
    context = SimulatedServer().context

    assert below(context, "input", "sub", "a.png") == "sub/a.png"
    assert below(context, "input", "../output") is None


def test_an_http_error_says_what_aiohttp_says() -> None:
    refused = HttpError(405, allow="GET,HEAD").answer

    assert (refused.status, refused.body) == (405, b"405: Method Not Allowed")
    assert ("Allow", "GET,HEAD") in refused.headers
