"""Which ComfyUI does what: a table of facts, and the sets of them that are its versions."""

from comfyrec.versions.eras import (
    DEFAULT_VERSION,
    ERAS,
    NEWEST_KNOWN,
    RECORDED,
    Era,
    era_of,
    eras_between,
    generation_of,
    is_beyond_known,
    oldest_with,
)
from comfyrec.versions.facts import FACTS, FIRST_RELEASE, Fact

__all__ = [
    "DEFAULT_VERSION",
    "ERAS",
    "FACTS",
    "FIRST_RELEASE",
    "NEWEST_KNOWN",
    "RECORDED",
    "Era",
    "Fact",
    "era_of",
    "eras_between",
    "generation_of",
    "is_beyond_known",
    "oldest_with",
]
