"""Which requests take a credential to another host than the client's own."""

from __future__ import annotations

import json

import pytest

from fake_server.scenarios.kit.credentials import CredentialWatch
from fake_server.source import Request

HOME, AWAY = ("Host", "127.0.0.1:8188"), ("Host", "localhost:8188")
KEY = ("X-API-Key", "a-key-of-mine")
BEARER = ("Authorization", "Bearer a-key-of-mine")
BODY = json.dumps({"prompt": {}, "extra_data": {"api_key_comfy_org": "a-key-of-mine"}}).encode()

AT_HOME = {
    "a header": Request("GET", "/prompt", (HOME, KEY)),
    "a bearer": Request("GET", "/prompt", (HOME, BEARER)),
    "the query": Request("GET", "/ws?token=a-key-of-mine", (HOME,)),
    "the body": Request("POST", "/prompt", (HOME,), BODY),
}
ABROAD = {
    "the same header": (Request("GET", "/view", (AWAY, KEY)), "X-API-Key to localhost:8188"),
    "another header": (Request("GET", "/view", (AWAY, BEARER)), "Authorization to localhost:8188"),
    "a cookie": (Request("GET", "/view", (AWAY, ("Cookie", "a=b"))), "Cookie to localhost:8188"),
    "a field that nobody knows": (
        Request("GET", "/view", (AWAY, ("X-Mine", "a-key-of-mine"))),
        "a credential to localhost:8188",
    ),
    "the address": (
        Request("GET", "/view?mine=a-key-of-mine", (AWAY,)),
        "a credential to localhost:8188",
    ),
    "the body": (Request("POST", "/x", (AWAY,), BODY), "a credential to localhost:8188"),
}


@pytest.mark.parametrize("request_", AT_HOME.values(), ids=AT_HOME)
def test_a_credential_at_home_is_seen_and_no_leak(request_: Request) -> None:
    assert CredentialWatch().look(request_) == (True, [])


@pytest.mark.parametrize("at_home", AT_HOME.values(), ids=AT_HOME)
@pytest.mark.parametrize("abroad, leak", ABROAD.values(), ids=ABROAD)
def test_a_credential_of_home_is_a_leak_elsewhere(
    at_home: Request, abroad: Request, leak: str
) -> None:
    watch = CredentialWatch()
    watch.look(at_home)

    assert watch.look(abroad) == (False, [leak])


def test_a_signed_address_without_credentials_of_the_clients_own_is_none() -> None:
    watch = CredentialWatch()
    watch.look(AT_HOME["a header"])
    signed = Request("GET", "/view?signature=0123456789abcdef&expires=1", (AWAY,))
    empty = Request("GET", "/view", (AWAY, ("Authorization", "Bearer "), ("User-Agent", "x")))

    assert [watch.look(signed), watch.look(empty)] == [(False, [])] * 2


def test_a_short_value_is_not_looked_for_where_it_may_stand_by_chance() -> None:
    watch = CredentialWatch()
    watch.look(Request("GET", "/prompt", (HOME, ("X-API-Key", "abc"))))

    assert watch.look(Request("GET", "/view?filename=abc.png", (AWAY,))) == (False, [])


def test_many_credentials_do_not_grow_without_end() -> None:
    watch = CredentialWatch()
    for number in range(1_000):
        watch.look(Request("GET", "/prompt", (HOME, ("X-API-Key", f"key-{number:06}"))))

    assert watch.look(Request("GET", "/x?a=key-000001", (AWAY,)))[1] != []
    assert watch.look(Request("GET", "/x?a=key-000999", (AWAY,)))[1] == []
