"""What may stand between a name and its value."""

from __future__ import annotations

import re

import pytest

from comfyrec.cassette.redact.writing.signs import sign_behind

RANDOM = b"tR7vB2nX9mQ4zL8kW3pJ6sD1"


def value(text: bytes, name: bytes) -> bytes | None:
    match = re.compile(re.escape(name)).search(text)
    assert match is not None
    sign = sign_behind(text, match)
    return text[sign.end() :] if sign else None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"api_key=S", b"api_key"),
        (b"api_key := S", b"api_key"),
        (b"--token S", b"--token"),
        (b"ENV HF_TOKEN S", b"HF_TOKEN"),
        (b"login joe\npassword S", b"password"),
        (b"- name: HF_TOKEN\n  value: S", b"HF_TOKEN"),
        (b"set aws_secret_access_key " + RANDOM, b"aws_secret_access_key"),
        (b"the password is: " + RANDOM, b"password"),
    ],
)
def test_a_value_follows(text: bytes, name: bytes) -> None:
    assert value(text, name) in (b"S", RANDOM)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"the token ring", b"token"),
        (b"the password is wrong", b"password"),
        (b"api_key required", b"api_key"),
        (b"prompt_token 7d1f0c3e-58ab-4e29-9c64-b2f3a8150d7e", b"prompt_token"),
        (b"token " + RANDOM, b"token"),
    ],
)
def test_words_follow(text: bytes, name: bytes) -> None:
    assert value(text, name) is None
