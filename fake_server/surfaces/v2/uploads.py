"""The form of ``POST /api/v2/assets`` -> what is to be kept."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from comfyrec.http.forms import BadForm, FormField
from fake_server.source import Request
from fake_server.surfaces.v2.answers import V2Error
from fake_server.surfaces.v2.assets import HASH, hash_of, placed

__all__ = ["Upload", "expiry", "read_upload"]

EXPIRES_MIN: Final = 60
EXPIRES_MAX: Final = 604_800
UPLOAD_MAX: Final = 100 * 1024 * 1024
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE: Final = re.compile(rf"{_TOKEN}/{_TOKEN}(\s*;[ -~]*)?")


class Upload(msgspec.Struct, frozen=True):
    """A file that a client sent."""

    data: bytes
    hash: str
    content_type: str
    file_path: str
    expires_in: int | None


def read_upload(request: Request, *, in_order: bool) -> Upload:
    """What a form says.

    Args:
        request: which has the form.
        in_order: whether the type has to come before the bytes, as Comfy Cloud wants it, which
            reads a form as it comes; a gateway of one's own takes any order.

    Raises:
        V2Error: it cannot be accepted.
    """
    if len(request.body) > UPLOAD_MAX:
        raise V2Error(413, "payload_too_large", f"an upload has at most {UPLOAD_MAX} bytes")
    try:
        fields = request.form()
    except BadForm as bad:
        raise V2Error(422, "invalid_body", f"the body is not a form: {bad}") from None
    if not request.header("Content-Type").lower().startswith("multipart/form-data"):
        raise V2Error(422, "invalid_body", "the body has to be multipart/form-data")
    file = next((one for one in fields if one.name == "file"), None)
    if file is None:
        raise V2Error(422, "invalid_body", "the form has no part 'file'")
    before = fields[: fields.index(file)] if in_order else fields
    content_type = _text(before, "content_type")
    if not content_type:
        raise V2Error(
            422,
            "invalid_body",
            "'content_type' is required" + (", and before 'file'" if in_order else ""),
        )
    if not _MEDIA_TYPE.fullmatch(content_type):
        raise V2Error(422, "invalid_body", "'content_type' is not a media type")
    path = _text(fields, "file_path")
    if not path:
        raise V2Error(422, "invalid_body", "'file_path' is required")
    placed(path)
    return _checked(file.value, fields, content_type, path)


def _checked(data: bytes, fields: list[FormField], content_type: str, path: str) -> Upload:
    expected = _text(fields, "expected_hash")
    if expected and not HASH.fullmatch(expected):
        raise V2Error(422, "invalid_request", "'expected_hash' has to be blake3:<64 hex digits>")
    found = hash_of(data)
    if expected and expected.lower() != found:
        raise V2Error(409, "hash_mismatch", "the bytes are not those of 'expected_hash'")
    expires_in = _text(fields, "expires_in")
    return Upload(data, found, content_type, path, expiry(expires_in or None))


def expiry(written: object) -> int | None:
    """Seconds that something is to be kept; None: it is not said.

    Raises:
        V2Error: too few, too many, or no number.
    """
    if written is None:
        return None
    if isinstance(written, str) and written.isascii() and written.isdigit():
        written = int(written[:20])
    if type(written) is not int or not EXPIRES_MIN <= written <= EXPIRES_MAX:
        raise V2Error(
            422, "invalid_request", f"'expires_in' is from {EXPIRES_MIN} to {EXPIRES_MAX} seconds"
        )
    return written


def _text(fields: list[FormField], name: str) -> str:
    found = next((one.value for one in fields if one.name == name), b"")
    return found.decode("utf-8", "replace").strip()
