"""What stands under the name of a credential: a credential, or words about one."""

from __future__ import annotations

import pytest

from comfyrec.cassette.redact.values import looks_like_credential

CREDENTIALS = [
    b"my-secret-key", b"mysecretpassword", b"supersecret", b"a-key-of-mine", b"TopSecret!",
    b"hunter2", b"letmein", b"correct horse battery staple", b"my-token", b"gehe\xc3\xa4im",
]  # fmt: skip
WORDS = [
    b"api_key", b"accessToken", b"SecretKey", b"TokenCounter", b"HF_TOKEN", b"YOUR_API_KEY",
    b"Enter your API key", b"Password:", b"none", b"\xe5\xaf\x86\xe7\xa0\x81", b"x" * 12,
    b"key.png",
]  # fmt: skip


@pytest.mark.parametrize("value", CREDENTIALS)
def test_what_a_person_or_a_machine_made_up_is_a_credential(value: bytes) -> None:
    assert looks_like_credential(value)


@pytest.mark.parametrize("value", WORDS)
def test_a_placeholder_a_label_or_a_name_is_none(value: bytes) -> None:
    assert not looks_like_credential(value)
