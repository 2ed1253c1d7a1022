"""What a response says, and what goes along with a request."""

from __future__ import annotations

import pytest

from comfyrec.client.http import exchange as asks
from comfyrec.client.http.exchange import HttpRequest, HttpResponse

KEYS = {
    "": {},
    "a": {"x-api-key": " a "},
    "b": {"Authorization": "bearer b"},
    "c": {"Authorization": "Bearer d", "X-API-Key": "c"},
}


@pytest.mark.parametrize("key, headers", KEYS.items(), ids=str)
def test_the_key_of_a_clients_own_headers(key: str, headers: dict[str, str]) -> None:
    assert asks.key_in(headers) == key
    assert asks.key_in({"Authorization": "Basic eA=="}) == ""


REASONS = {
    "of ComfyUI": (b'{"error": {"message": "bad", "details": "the seed"}}', "bad: the seed"),
    "details that repeat": (b'{"error": {"message": "bad", "details": "bad"}}', "bad"),
    "of an older ComfyUI": (b'{"error": "no prompt"}', "no prompt"),
    "of a gateway": (b'{"message": "busy"}', "busy"),
    "text": (b"go\naway\x1b[31m", "go away [31m"),
    "a web page": (
        b"<!DOCTYPE html><title>Log in</title>",
        "a web page titled 'Log in' instead of JSON",
    ),
    "nothing": (b"", "an empty response"),
    "JSON without one": (b"[]", "response without a reason (500)"),
}


@pytest.mark.parametrize("body, reason", REASONS.values(), ids=REASONS)
def test_the_reason_is_found_wherever_it_stands(body: bytes, reason: str) -> None:
    assert asks.reason_of(HttpResponse(status=500, body=body, url="")) == reason


@pytest.mark.parametrize(
    "location, bare", [("/login", False), ("https://other.example/login", True)]
)
def test_our_headers_follow_a_redirect_to_the_same_host_only(location: str, bare: bool) -> None:
    following = asks.follow(HttpRequest(path="/queue"))
    next(following)

    again = following.send(
        HttpResponse(status=302, location=location, url="http://here.example/queue")
    )

    assert again.bare is bare


def test_redirects_that_never_end_are_left_at_the_last() -> None:
    following = asks.follow(HttpRequest(path="/a"), hops_max=3)
    round_trip = HttpResponse(status=302, location="/a", url="http://here.example/a")
    next(following)

    for _ in range(3):
        following.send(round_trip)
    with pytest.raises(StopIteration) as ended:
        following.send(round_trip)

    assert ended.value.value is round_trip
