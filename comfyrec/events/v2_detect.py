"""An answer -> whether a server of Comfy API v2 gave it."""

from __future__ import annotations

from typing import Final

import msgspec

from comfyrec.events.v2 import ErrorEnvelope

__all__ = ["ASKING", "is_v2_answer"]

ASKING: Final = "/api/v2/jobs/00000000-0000-4000-8000-000000000000"
"""A question that changes nothing: a job that cannot be there. All servers of version 2.0.0 answer
it with their envelope of errors, with a key or without; a ComfyUI server has no such route."""

_envelope: Final = msgspec.json.Decoder(ErrorEnvelope)


def is_v2_answer(status: int, body: bytes) -> bool:
    """Whether this is what a server of Comfy API v2 says to a GET of ``ASKING``."""
    if not 400 <= status < 600:
        return False
    try:
        return bool(_envelope.decode(body).error.code)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
