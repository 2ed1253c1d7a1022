"""How much the random tests try: the fast lane on every run, the deep one on request.

``COMFYREC_FUZZ=deep`` chooses the deep lane. Tests that take long whatever the lane are marked
``slow`` or ``long`` instead; ``pytest -m "not slow"`` leaves both out.
"""

from __future__ import annotations

import os
from typing import Final

__all__ = ["DEEP", "PROFILE", "examples"]

PROFILE: Final = "deep" if os.environ.get("COMFYREC_FUZZ") == "deep" else "fast"
"""The name of the hypothesis profile, which ``tests/conftest.py`` loads."""
DEEP: Final = PROFILE == "deep"


def examples(fast: int, deep: int) -> int:
    """The number of examples that a test tries in this lane."""
    return deep if DEEP else fast
