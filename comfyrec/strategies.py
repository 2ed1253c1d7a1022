"""chance -> examples: hypothesis strategies for graphs, events, legal streams and faulty ones.

Being built up into a package by the strategies room; see docs/fuzzing.md.
"""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ["malformed_messages"]


def malformed_messages() -> st.SearchStrategy[str | bytes]:
    """Messages that are no ComfyUI message at all: ``decode`` raises DecodeError for each."""
    texts = st.sampled_from(["", "{", "null", "[]", "{}", '{"data": {}}', '{"type": 1}'])
    torn = st.sampled_from([b"", b"\x00", b"\x00\x00\x00", b"\x00\x00\x00\x63abc"])
    return st.one_of(texts, torn)
