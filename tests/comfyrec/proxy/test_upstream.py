"""Addresses of the upstream, and what is changed in heads for it."""

from __future__ import annotations

import pytest

from comfyrec.errors import UsageError
from comfyrec.proxy.upstream import Upstream, parse_header, parse_upstream

ADDRESSES = {
    "http://127.0.0.1:8188": Upstream("http", "127.0.0.1", 8188),
    "http://127.0.0.1:8188/": Upstream("http", "127.0.0.1", 8188),
    "gpu-box": Upstream("http", "gpu-box", 8188),
    "gpu-box:9000": Upstream("http", "gpu-box", 9000),
    "[::1]:8188": Upstream("http", "::1", 8188),
    "http://example.com": Upstream("http", "example.com", 80),
    "https://example.com/comfy/": Upstream("https", "example.com", 443, "/comfy"),
    "https://me:s%40crt@example.com": Upstream("https", "example.com", 443, "", "me:s@crt"),
}
NO_ADDRESSES = ["", "ftp://a", "http://", "http://a:0", "http://a:99999", "http://a?b", "ws://a"]

HEAD = (
    b"GET /ws?x=/y HTTP/1.1\r\nhost: 127.0.0.1:8189\r\nOrigin: http://127.0.0.1:8189\r\n"
    b"authorization: mine\r\nX-b: 1\r\n\r\n"
)


@pytest.mark.parametrize("text, upstream", ADDRESSES.items())
def test_an_address_is_read(text: str, upstream: Upstream) -> None:
    assert parse_upstream(text) == upstream


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"--upstream .* is not an address .* http://127\.0\.0\.1:8188"
    ):
        parse_upstream(text)


def test_a_password_is_not_shown() -> None:
    assert parse_upstream("http://me:secret@a:1").url == "http://a:1"
    with pytest.raises(UsageError) as refused:
        parse_upstream("http://me:secret@a:1?b")
    assert "secret" not in str(refused.value)


def test_nothing_is_changed_for_a_server_that_is_reached_by_its_number() -> None:
    assert parse_upstream("http://127.0.0.1:8188").rewriter() is None
    assert parse_upstream("http://localhost:8188").rewriter() is None
    assert parse_upstream("https://example.com").rewriter(rewrite_host=False) is None


def test_host_and_origin_are_rewritten_together_and_the_rest_stays() -> None:
    rewrite = parse_upstream("https://comfy.example.com").rewriter()

    assert rewrite is not None
    assert rewrite(HEAD) == HEAD.replace(b"127.0.0.1:8189", b"comfy.example.com").replace(
        b"http://", b"https://"
    )


def test_a_foreign_origin_stays_foreign() -> None:
    rewrite = parse_upstream("http://gpu-box").rewriter()
    head = HEAD.replace(b"Origin: http://127.0.0.1:8189", b"Origin: http://evil.example")

    assert rewrite is not None
    assert b"\r\nOrigin: http://evil.example\r\n" in rewrite(head)


def test_fields_for_the_upstream_take_the_place_of_the_clients() -> None:
    rewrite = parse_upstream("127.0.0.1").rewriter([("Authorization", "Bearer ours")])

    assert rewrite is not None
    assert rewrite(HEAD) == HEAD.replace(b"authorization: mine\r\n", b"")[:-2] + (
        b"Authorization: Bearer ours\r\n\r\n"
    )


def test_a_login_in_the_address_becomes_a_field() -> None:
    rewrite = parse_upstream("http://me:pw@127.0.0.1").rewriter()

    assert rewrite is not None
    assert rewrite(HEAD).endswith(b"Authorization: Basic bWU6cHc=\r\n\r\n")


def test_a_base_path_goes_before_the_clients_path() -> None:
    rewrite = parse_upstream("http://127.0.0.1/comfy").rewriter()

    assert rewrite is not None
    assert rewrite(HEAD).startswith(b"GET /comfy/ws?x=/y HTTP/1.1\r\nhost: 127.0.0.1:8189\r\n")


def test_a_header_line_is_read() -> None:
    assert parse_header("X-API-Key: a b ") == ("X-API-Key", "a b")


@pytest.mark.parametrize("text", ["X", "X Y: a", "X: a\r\nY: b", "Host: a", "Content-Length: 1"])
def test_a_header_that_would_break_the_relay_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--upstream-header"):
        parse_header(text)
