"""a text -> the text without the secrets that this client was given (K9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from comfyrec.client.address import Address
from comfyrec.client.result import Result

__all__ = ["SECRET_VARIABLES", "Redaction"]

SECRET_VARIABLES = (
    "COMFY_API_KEY",
    "COMFY_CLOUD_API_KEY",
    "COMFY_ORG_API_KEY",
    "HEURIST_API_KEY",
    "XALORA_API_KEY",
)

_LENGTH_MIN = 4
"""Shorter values would hide half of an ordinary sentence."""


class Redaction(msgspec.Struct, frozen=True):
    """Hides known secrets in what a person is shown."""

    secrets: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        address: Address,
        headers: Mapping[str, str],
        extra_data: Mapping[str, Any],
        environment: Mapping[str, str],
    ) -> Redaction:
        """That of a client: password, header values, keys for partner nodes."""
        values = [address.password]
        for value in headers.values():
            # ``Bearer abc``: the scheme is not a secret, the rest is.
            values += [value, *value.split()[1:]]
        values += [value for value in extra_data.values() if isinstance(value, str)]
        values += [environment.get(name, "") for name in SECRET_VARIABLES]
        return cls.over(values)

    @classmethod
    def over(cls, values: Iterable[str]) -> Redaction:
        """Hide these values, in plain and percent-encoded form, longest first."""
        found = {form for v in values for form in (v, quote(v, safe="")) if len(v) >= _LENGTH_MIN}
        return cls(tuple(sorted(found, key=len, reverse=True)))

    def __call__(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text

    def result(self, result: Result) -> Result:
        """The result without secrets in the words that are shown."""
        if not self.secrets:
            return result
        failure = result.failure
        if failure is not None:
            failure = msgspec.structs.replace(
                failure,
                message=self(failure.message),
                traceback=tuple(map(self, failure.traceback)),
            )
        return msgspec.structs.replace(
            result,
            reason=self(result.reason),
            failure=failure,
            warnings=tuple(map(self, result.warnings)),
        )
