"""BLAKE3: the hash of bytes as its reference implementation gives it."""

from __future__ import annotations

import pytest

from fake_server.storage.blake3 import blake3, plain_blake3


def pattern(size: int) -> bytes:
    """The input of the official test vectors: bytes that count to 250 again and again."""
    return bytes(i % 251 for i in range(size))


@pytest.mark.parametrize(
    "size, expected",
    [
        (0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
        (1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"),
        (64, "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98"),
        (1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"),
        (1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"),
        (3072, "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2"),
        (3073, "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3"),
        (31744, "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47"),
    ],
)
def test_bytes_of_every_kind_of_tree_have_their_hash(size: int, expected: str) -> None:
    assert plain_blake3(pattern(size)) == expected
    assert blake3(pattern(size)) == expected  # by the package, where it is installed
