"""What v2 requests are answered with: JSON, the error envelope, and dates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from fake_server.source import Response

__all__ = ["V2Error", "iso", "json_answer", "moment", "not_found", "upstream_error"]

_JSON: Final = (("Content-Type", "application/json; charset=utf-8"),)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def iso(unix_us: int) -> str:
    """A moment as RFC 3339 has it."""
    return moment(unix_us).isoformat(timespec="milliseconds")


def moment(unix_us: int) -> datetime:
    """A moment, from Unix time in microseconds."""
    return _EPOCH + timedelta(microseconds=unix_us)


def json_answer(
    value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    """An answer with a JSON body."""
    return Response(status, (*_JSON, *headers), msgspec.json.encode(value))


class V2Error(Exception):
    """A request is refused, in the envelope that all errors of v2 share.

    Args:
        status: of the answer.
        code: for programs.
        message: for people.
        retry_after: seconds.
        details: more, by code.
        headers: more header fields.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after: int | None = None,
        details: dict[str, Any] | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        error: dict[str, Any] = {"code": code, "message": message}
        if details is not None:
            error["details"] = details
        if retry_after is not None:
            headers = (*headers, ("Retry-After", str(retry_after)))
        self.answer = json_answer({"error": error}, status, headers)


def not_found(what: str = "there is nothing of that id") -> V2Error:
    """Unknown, somebody else's, or no longer kept: nobody is told which."""
    return V2Error(404, "not_found", what)


def upstream_error() -> V2Error:
    """The server behind has failed; of how, nothing is said."""
    return V2Error(500, "upstream_error", "an upstream service failed; try again later")
