"""The body of a form -> its fields, by the rules of aiohttp's ``request.post()``."""

from __future__ import annotations

import binascii
import quopri
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl, unquote

import msgspec

from comfyrec.http.large_body import STORED_MIN, StoredBody, find_in

__all__ = ["FIELDS_MAX", "BadForm", "FormField", "fields_of", "fields_of_stored", "parameters"]

FIELDS_MAX: Final = 1_000
"""More parts than any client sends."""
_CRLF: Final = b"\r\n"
_IDENTITY: Final = ("", "binary", "8bit", "7bit")
_PART_HEAD_MAX: Final = 1 << 16
# One parameter of a header: token, "=", then a quoted text or a token.
_PARAMETER: Final = re.compile(r';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;\s]*)')
# RFC 5987: charset, language, percent-encoded text.
_EXTENDED: Final = re.compile(r"([\w.:-]*)'[^']*'(.*)", re.DOTALL)


class BadForm(Exception):
    """The body is not what its Content-Type says."""


class FormField(msgspec.Struct, frozen=True):
    """One part of a form."""

    name: str
    value: bytes
    filename: str | None = None
    content_type: str | None = None
    stored: StoredBody | None = None
    """The value, when it stands in a file; ``value`` is empty then."""

    @property
    def size(self) -> int:
        """Bytes of the value."""
        return len(self.value) if self.stored is None else self.stored.size


def parameters(value: str) -> tuple[str, dict[str, str]]:
    """A header like ``form-data; name="image"`` -> its first word and its parameters.

    Raises:
        BadForm: a parameter that is not in the charset it names, or an unknown charset.
    """
    kind = value.partition(";")[0].strip().lower()
    found = {}
    for name, written in _PARAMETER.findall(value):
        if written.startswith('"'):
            # aiohttp takes leading slashes off a quoted value, whatever it means.
            written = re.sub(r"\\(.)", r"\1", written[1:-1].lstrip("\\/"))
        found[name.lower()] = written
    for name in [name for name in found if name.endswith("*")]:
        extended = _EXTENDED.fullmatch(found.pop(name))
        if extended is not None:
            try:
                found[name[:-1]] = unquote(extended[2], extended[1] or "utf-8", "strict")
            except (LookupError, UnicodeDecodeError) as error:
                raise BadForm(str(error)) from None
    return kind, found


def fields_of(content_type: str, body: bytes) -> list[FormField]:
    """The fields of a form in their order; none for a Content-Type that is not a form's.

    Raises:
        BadForm: no boundary, no name, an end that is missing, an unknown encoding.
    """
    kind, found = parameters(content_type)
    if kind == "multipart/form-data":
        if not found.get("boundary"):
            raise BadForm("boundary missing")
        return list(_parts(found["boundary"].encode(), body))
    if kind == "application/x-www-form-urlencoded":
        return list(_urlencoded(body, found.get("charset", "utf-8")))
    return []


def fields_of_stored(content_type: str, body: StoredBody) -> list[FormField]:
    """The same for a body that stands in a file; large values stay there.

    Raises:
        BadForm: as ``fields_of``.
    """
    kind, found = parameters(content_type)
    if kind != "multipart/form-data" or not found.get("boundary"):
        return fields_of(content_type, body.read(0, body.size))
    line = b"--" + found["boundary"].encode()
    behind = _start_in(body, line)
    fields: list[FormField] = []
    while not body.read(behind, 2).startswith(b"--"):
        end = find_in(body, _CRLF + line, behind)
        if end < 0:
            raise BadForm("the last boundary is missing")
        if len(fields) >= FIELDS_MAX:
            raise BadForm("too many fields")
        fields.append(_stored_part(body.part(behind, end - behind)))
        behind = end + len(_CRLF + line)
    return fields


def _start_in(body: StoredBody, line: bytes) -> int:
    """What stands behind the first boundary."""
    if body.read(0, len(line)) == line:
        return len(line)
    at = find_in(body, _CRLF + line)
    if at < 0:
        raise BadForm("could not find the starting boundary")
    return at + len(_CRLF + line)


def _stored_part(piece: StoredBody) -> FormField:
    gap = piece.read(0, _PART_HEAD_MAX).find(_CRLF + _CRLF)
    content = gap + len(_CRLF + _CRLF)
    if gap < 0 or piece.size - content < STORED_MIN:
        return _part(piece.read(0, piece.size))
    head = piece.read(0, content)
    field = _part(head)
    encoding = dict(_headers(head[:gap])).get("content-transfer-encoding", "").lower()
    if encoding not in _IDENTITY:
        return _part(piece.read(0, piece.size))
    stored = piece.part(content, piece.size - content)
    return msgspec.structs.replace(field, stored=stored)


def _urlencoded(body: bytes, charset: str) -> Iterator[FormField]:
    try:
        text = body.rstrip().decode(charset)
        pairs = parse_qsl(text, keep_blank_values=True, encoding=charset, max_num_fields=FIELDS_MAX)
    except (LookupError, ValueError) as error:
        raise BadForm(str(error)) from None
    for name, value in pairs:
        yield FormField(name, value.encode())


def _parts(boundary: bytes, body: bytes) -> Iterator[FormField]:
    line = b"--" + boundary
    begin = 0 if body.startswith(line) else body.find(_CRLF + line)
    if begin < 0:
        raise BadForm("could not find the starting boundary")
    # One CRLF in front lets every boundary be found in the same way.
    pieces = (_CRLF + body[begin:].removeprefix(_CRLF)).split(_CRLF + line)
    if len(pieces) > FIELDS_MAX + 2:
        raise BadForm("too many fields")
    for piece in pieces[1:]:
        if piece.startswith(b"--"):
            return
        yield _part(piece)
    raise BadForm("the last boundary is missing")


# As in the head of a request (RFC 9110 sections 5.1 and 5.5).
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def _part(piece: bytes) -> FormField:
    head, gap, content = piece.partition(_CRLF + _CRLF)
    if not gap:
        raise BadForm("a part without a blank line after its headers")
    headers = dict(_headers(head))
    found = parameters(headers.get("content-disposition", ""))[1]
    if "name" not in found:
        raise BadForm("multipart field missing name")
    kind = headers.get("content-type")
    if kind is not None and kind.startswith("multipart/"):
        raise BadForm("a form within the form")
    return FormField(
        found["name"],
        _decoded(content, headers.get("content-transfer-encoding", "").lower()),
        found.get("filename"),
        kind,
    )


def _headers(head: bytes) -> Iterator[tuple[str, str]]:
    for line in head.split(_CRLF)[1:]:  # the first is the rest of the boundary's own
        name, colon, value = line.decode("utf-8", "surrogateescape").partition(":")
        value = value.strip(" \t")
        if not colon or not _TOKEN.fullmatch(name) or _FORBIDDEN.search(value):
            raise BadForm("a line in the head of a part is not a header")
        yield name.lower(), value


def _decoded(content: bytes, encoding: str) -> bytes:
    if encoding in _IDENTITY:
        return content
    if encoding == "quoted-printable":
        return quopri.decodestring(content)
    if encoding == "base64":
        try:
            return binascii.a2b_base64(content)
        except binascii.Error as error:
            raise BadForm(str(error)) from None
    raise BadForm(f"unknown content transfer encoding: {encoding}")
