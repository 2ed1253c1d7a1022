"""The answers of Comfy Cloud: errors as ``{code, message}``, times in its forms."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from comfyrec.http.request import loads_or_none
from comfyrec.wording import shortened
from fake_server.http.responses import json_response, text
from fake_server.source import Response

__all__ = [
    "Refused",
    "bad_request",
    "in_plain_text",
    "iso_time",
    "milliseconds",
    "not_found",
    "translated",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CODES: Final[Mapping[int, str]] = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    402: "PAYMENT_REQUIRED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    413: "BAD_REQUEST",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "UNPROCESSABLE_ENTITY",
    429: "TOO_MANY_REQUESTS",
    503: "SERVICE_UNAVAILABLE",
}
_MESSAGE_MAX: Final = 500


class Refused(Exception):
    """A request that is answered with an error.

    Args:
        status: of the answer.
        message: for a person.
        headers: besides the type of the body.
    """

    def __init__(
        self, status: int, message: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(status, message)
        code = _CODES.get(status, "INTERNAL_ERROR")
        answer = json_response({"code": code, "message": message}, status)
        self.answer = msgspec.structs.replace(answer, headers=(*answer.headers, *headers))


def bad_request(message: str) -> Refused:
    """Something that was sent cannot be used."""
    return Refused(400, message)


def not_found(what: str) -> Refused:
    """There is no such thing, or not for this user."""
    return Refused(404, f"{what} not found")


def translated(answer: Response) -> Response:
    """An answer of the server behind, with its errors as Comfy Cloud writes them."""
    if answer.status < 400:
        return answer
    value = loads_or_none(answer.body)
    # A body that is too large is a bad request there.
    status = 400 if answer.status == 413 else answer.status
    return Refused(status, _message(value, answer)).answer


def in_plain_text(answer: Response) -> Response:
    """An error as the routes of user data have it: its words alone."""
    if answer.status < 400:
        return answer
    value = loads_or_none(answer.body)
    told = value.get("message") if isinstance(value, dict) else None
    return text(told if isinstance(told, str) else _message(value, answer), answer.status)


def _message(value: Any, answer: Response) -> str:
    error = value.get("error") if isinstance(value, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    if isinstance(message, str) and message:
        return message
    words = "" if isinstance(value, dict) else answer.body.decode("utf-8", "replace").strip()
    return shortened(words, _MESSAGE_MAX) or f"the request failed with {answer.status}"


def iso_time(unix_us: int) -> str:
    """A moment, from Unix time in microseconds, as ``2026-01-01T00:00:00.000Z``."""
    moment = _EPOCH + timedelta(microseconds=unix_us)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1_000:03}Z"


def milliseconds(unix_us: int) -> int:
    """Unix time in milliseconds."""
    return unix_us // 1_000
