"""bytes -> their BLAKE3 hash, by which ComfyUI names the content of assets.

Clients compute it themselves and compare, so nothing else can stand for it. Written from the
specification of BLAKE3 (2020), sections 2.1 to 2.5, without keys and longer outputs. It takes some
tens of microseconds for 64 bytes: uploads of tests are small. The package ``blake3`` does the same
in a thousandth of the time, and is used where it is installed.
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

__all__ = ["blake3", "plain_blake3"]

_IV: Final = (
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
)  # fmt: skip
_PERMUTED: Final = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
# Columns, then diagonals: the four words of the state that each mixes, and its two of the message.
_MIXES: Final = (
    (0, 4, 8, 12, 0, 1), (1, 5, 9, 13, 2, 3), (2, 6, 10, 14, 4, 5), (3, 7, 11, 15, 6, 7),
    (0, 5, 10, 15, 8, 9), (1, 6, 11, 12, 10, 11), (2, 7, 8, 13, 12, 13), (3, 4, 9, 14, 14, 15),
)  # fmt: skip
_CHUNK_START: Final = 1
_CHUNK_END: Final = 2
_PARENT: Final = 4
_ROOT: Final = 8
_BLOCK_BYTES: Final = 64
_CHUNK_BYTES: Final = 1024
_WORD: Final = 0xFFFFFFFF
_WORDS: Final = struct.Struct("<16I")


def _rounds() -> tuple[tuple[tuple[int, ...], ...], ...]:
    """The mixes of all seven rounds, with the permuted places of the message in them."""
    order, rounds = list(range(16)), []
    for _ in range(7):
        rounds.append(tuple((*mix[:4], order[mix[4]], order[mix[5]]) for mix in _MIXES))
        order = [order[place] for place in _PERMUTED]
    return tuple(rounds)


_ROUNDS: Final = _rounds()


def blake3(data: bytes) -> str:
    """The hash of some bytes as 64 hexadecimal digits."""
    library = _library()
    if library is not None:
        digest: str = library(data).hexdigest()
        return digest
    return plain_blake3(data)


@cache
def _library() -> Callable[[bytes], Any] | None:
    try:
        found: Callable[[bytes], Any] = importlib.import_module("blake3").blake3
    except ImportError:
        return None
    return found


def plain_blake3(data: bytes) -> str:
    """The same without the package."""
    if len(data) <= _CHUNK_BYTES:
        words = _chunk(data, 0, _ROOT)
    else:
        left, right = _halves(data, 0)
        words = _compressed(_IV, (*left, *right), 0, _BLOCK_BYTES, _PARENT | _ROOT)
    return struct.pack("<8I", *words).hex()


def _halves(data: bytes, first: int) -> tuple[Sequence[int], Sequence[int]]:
    """The chaining values of both subtrees: the left one has the greatest power of two chunks that
    leaves something for the right one."""
    chunks = (len(data) - 1) // _CHUNK_BYTES
    left = 1 << (chunks.bit_length() - 1)
    cut = left * _CHUNK_BYTES
    return _subtree(data[:cut], first), _subtree(data[cut:], first + left)


def _subtree(data: bytes, first: int) -> Sequence[int]:
    if len(data) <= _CHUNK_BYTES:
        return _chunk(data, first, 0)
    left, right = _halves(data, first)
    return _compressed(_IV, (*left, *right), 0, _BLOCK_BYTES, _PARENT)


def _chunk(data: bytes, number: int, flags: int) -> Sequence[int]:
    chaining: Sequence[int] = _IV
    starts = range(0, max(len(data), 1), _BLOCK_BYTES)
    for start in starts:
        block = data[start : start + _BLOCK_BYTES]
        mark = _CHUNK_START if start == 0 else 0
        if start == starts[-1]:
            mark |= _CHUNK_END | flags
        words = _WORDS.unpack(block.ljust(_BLOCK_BYTES, b"\0"))
        chaining = _compressed(chaining, words, number, len(block), mark)
    return chaining


def _compressed(
    chaining: Sequence[int], message: Sequence[int], counter: int, length: int, flags: int
) -> Sequence[int]:
    """The first eight words of the compression of a block."""
    state = [*chaining, *_IV[:4], counter & _WORD, counter >> 32, length, flags]
    for mixes in _ROUNDS:
        for one, two, three, four, x, y in mixes:
            a, b, c, d = state[one], state[two], state[three], state[four]
            a = (a + b + message[x]) & _WORD
            d ^= a
            d = (d >> 16) | (d << 16) & _WORD
            c = (c + d) & _WORD
            b ^= c
            b = (b >> 12) | (b << 20) & _WORD
            a = (a + b + message[y]) & _WORD
            d ^= a
            d = (d >> 8) | (d << 24) & _WORD
            c = (c + d) & _WORD
            b ^= c
            state[one], state[three], state[four] = a, c, d
            state[two] = (b >> 7) | (b << 25) & _WORD
    return [state[at] ^ state[at + 8] for at in range(8)]
