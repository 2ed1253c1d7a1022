"""Every error we raise on purpose, as one tree.

::

    ComfyrecError
    ├── DecodeError           a message that is no ComfyUI message at all
    ├── UsageError            a flag, argument or name that cannot be used
    ├── CassetteError         something about one cassette file
    │   ├── NotACassette
    │   ├── NewerFormat
    │   ├── DamagedRecord
    │   ├── CutOff
    │   ├── CassetteExists
    │   └── CassetteInUse
    ├── ProxyError            the recording proxy cannot start or reach its upstream
    ├── ScenarioError         a scenario, parameter or plan that does not fit
    └── ReplayError           a cassette that cannot answer what was asked

Facts are attributes; the sentence is made from them: which file, flag or field, what is wrong, how
to mend it. Wrong calls by a programmer are ``TypeError`` or ``ValueError`` instead.
"""

from __future__ import annotations


class ComfyrecError(Exception):
    """Base of all errors that comfyrec raises on purpose."""


class DecodeError(ComfyrecError, ValueError):
    """A message that is none of ComfyUI: not JSON, no ``type``, a torn binary header."""

    def __init__(self, why: str, message: str | bytes | bytearray | memoryview = b"") -> None:
        super().__init__(why, message)
        self.why, self.message = why, message

    def __str__(self) -> str:
        return self.why


class UsageError(ComfyrecError):
    """Something a person gave cannot be used; the sentence says which and how to mend it."""


class CassetteError(ComfyrecError):
    """Something is wrong with one cassette file."""


class ProxyError(ComfyrecError):
    """The recording proxy cannot start, or cannot reach its upstream."""


class ScenarioError(ComfyrecError):
    """A scenario, a parameter or a plan does not fit."""


class ReplayError(ComfyrecError):
    """A cassette cannot answer what was asked of it."""
