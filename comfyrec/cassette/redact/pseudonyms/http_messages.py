"""Heads and bodies of HTTP, whole -> the same without what they tell of somebody."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from comfyrec.cassette.redact.body import code_type, type_of
from comfyrec.cassette.redact.form import boundary_of
from comfyrec.cassette.redact.pseudonyms.json_values import Mode
from comfyrec.cassette.redact.pseudonyms.known_values import edited
from comfyrec.cassette.redact.pseudonyms.media import is_media, media
from comfyrec.cassette.redact.pseudonyms.substitutes import Substitutes
from comfyrec.cassette.redact.pseudonyms.telling import is_file_name
from comfyrec.cassette.redact.pseudonyms.vocabulary import is_vocabulary
from comfyrec.cassette.redact.pseudonyms.written import in_address, plain
from comfyrec.cassette.redact.rules import Place, told_by_name
from comfyrec.http.routes import FIRST_SEGMENTS

__all__ = ["Asked", "asked_by", "body_hidden", "head_hidden"]

_LINE: Final = re.compile(rb"([A-Z]+) ([^ \r\n]+)( HTTP/[0-9.]+)")
_FIELD: Final = re.compile(
    rb"(?m)^[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128})[ \t]*:[ \t]*([^\r\n]*)"
)
_FILE_PARAMETER: Final = re.compile(
    rb"(?i)(?<![a-z*])filename(?:\*=(?:[\w\-]*'[\w\-]*')?(?P<star>[^;\s\"]+)|=\"(?P<quoted>(?:[^\"\\]|\\.)*)\""
    rb"|=(?P<bare>[^;\s\"]+))"
)
_FIELD_NAME: Final = re.compile(rb"(?i)[;\s]name=(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;\"]+))")
_PREFIXES: Final = frozenset(("api", "v1", "v2"))
_BY_ID: Final = frozenset(("history", "jobs", "job", "task", "tasks", "result", "results"))
_ACTIONS: Final = frozenset(("cancel", "status", "clear", "list", "delete", "outputs"))
_CODE_FOLDERS: Final = frozenset(
    ("assets", "extensions", "scripts", "locales", "fonts", "lib", "templates", "docs", "cursor",
     "workflow_templates", "object_info", "i18n")
)  # fmt: skip
_MODES: Final = {
    "object_info": Mode.CLASSES,
    "extensions": Mode.CLASSES,
    "embeddings": Mode.NAMES,
    "userdata": Mode.TOLD,
    "users": Mode.USERS,
    "view_metadata": Mode.TOLD,
    "logs": Mode.LOG,
}
_BINARY: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_KEPT_BYTES: Final = 12
"""Of a file of another format: what says which it is."""
_ADDRESSES: Final = frozenset(
    (b"location", b"content-location", b"referer", b"origin", b"link", b"refresh", b"destination")
)


class Asked(NamedTuple):
    """What a request asks for, as far as it says what stands in its body and its answer."""

    method: str = ""
    route: str = ""
    """The first word of the path."""
    rest: int = 0
    """How many words follow it."""

    @property
    def mode(self) -> Mode:
        """What is in the JSON that goes to and fro there."""
        if self.route == "models" and self.rest:
            return Mode.NAMES
        if self.route not in _MODES and self.route and self.route not in FIRST_SEGMENTS:
            return Mode.TOLD  # of an extension, or another API
        return _MODES.get(self.route, Mode.PLAIN)


def asked_by(head: bytes) -> Asked:
    """What the request with this head asks for."""
    line = _LINE.match(head)
    if line is None:
        return Asked()
    path = line[2].partition(b"?")[0].decode("latin-1")
    words = [word for word in path.split("/") if word and word not in _PREFIXES]
    if "logs" in words:
        return Asked(line[1].decode(), "logs")
    return Asked(line[1].decode(), words[0] if words else "", max(0, len(words) - 1))


# --- heads ---------------------------------------------------------------------------------------


def head_hidden(head: bytes, substitutes: Substitutes) -> bytes:
    """A start line with fields, or trailers; of the same size."""
    out = bytearray(head)
    if not substitutes.known_only:
        line = _LINE.match(head)
        if line:
            out[line.start(2) : line.end(2)] = _target(line[2], substitutes)
        for field in _FIELD.finditer(head):
            if line and field.start() < line.end():
                continue
            out[field.start(2) : field.end(2)] = _field(field[1], field[2], substitutes)
    done = bytes(out)
    if len(done) != len(head):
        return head
    return edited(done, substitutes.anywhere(done, skip=("path",)))


def _target(raw: bytes, substitutes: Substitutes) -> bytes:
    if b"://" in raw.partition(b"?")[0]:
        written = plain(raw)
        return written.written(substitutes.text("url", written.text))
    path, mark, query = raw.partition(b"?")
    pieces = path.split(b"/")
    words = [piece.decode("latin-1") for piece in pieces]
    at = next((n for n, word in enumerate(words) if word and word not in _PREFIXES), len(words))
    route = words[at] if at < len(words) else ""
    for number in range(at + 1, len(pieces)):
        pieces[number] = _segment(pieces[number], route, number - at, substitutes)
    pairs = [
        name + equals + substitutes.parameter(_name(name), value) if equals else name
        for name, equals, value in (pair.partition(b"=") for pair in query.split(b"&"))
    ]
    return b"/".join(pieces) + mark + b"&".join(pairs)


def _name(raw: bytes) -> str:
    return in_address(raw).text


def _segment(raw: bytes, route: str, place: int, substitutes: Substitutes) -> bytes:
    written = in_address(raw)
    text = written.text
    if not text or is_vocabulary(text) or route in _CODE_FOLDERS:
        return raw
    if route == "userdata" or is_file_name(text):
        return _noted(written.written(substitutes.text("name", text)), raw, "name", substitutes)
    if route in _BY_ID and place == 1 and text not in _ACTIONS:
        return _noted(written.written(substitutes.text("id", text)), raw, "id", substitutes)
    return raw


def _noted(new: bytes, old: bytes, kind: str, substitutes: Substitutes, name: str = "") -> bytes:
    if new != old:
        substitutes.note(kind, in_address(old).text, name)
    return new


def _field(name: bytes, value: bytes, substitutes: Substitutes) -> bytes:
    written, lowered = name.decode("latin-1"), name.lower()
    if lowered == b"content-disposition":
        return disposition_hidden(value, substitutes)
    kind = "url" if lowered in _ADDRESSES else told_by_name(written, Place.HEADER)
    if not kind or not value.strip():
        return value
    text = plain(value)
    return _noted(
        text.written(substitutes.text(kind, text.text)), value, kind, substitutes, written
    )


def disposition_hidden(value: bytes, substitutes: Substitutes) -> bytes:
    """A field Content-Disposition without the name of its file."""
    out = bytearray(value)
    for match in _FILE_PARAMETER.finditer(value):
        group = match.lastgroup or "bare"
        raw = match[group]
        written = in_address(raw) if group == "star" else plain(raw)
        new = written.written(substitutes.text("name", written.text))
        out[match.start(group) : match.end(group)] = _noted(
            new, raw, "name", substitutes, "filename"
        )
    return bytes(out)


# --- bodies --------------------------------------------------------------------------------------


def body_hidden(
    body: bytes, head: bytes, asked: Asked, substitutes: Substitutes, *, name: str = ""
) -> bytes:
    """A body without its coding; of the same size.

    Args:
        body: all of it.
        head: of its message, or of its part of a form.
        asked: by its request.
        substitutes: the stand-ins.
        name: of the field of a form that it is.
    """
    if not body:
        return body
    kind = type_of(head)
    if code_type(kind):
        return edited(body, list(substitutes.known.edits(body)))
    boundary = boundary_of(head, body) if b"multipart" in kind or body[:2] == b"--" else b""
    if boundary:
        return _multipart(body, boundary, asked, substitutes)
    if b"urlencoded" in kind:
        return _form(body, substitutes)
    if is_media(body):
        return media(body, substitutes)
    start = body.lstrip()[:1]
    if start not in (b"{", b"[", b'"') and _BINARY.search(body, 0, 4096):
        return _opaque(body, substitutes)
    return _text(body, kind, asked, substitutes, name)


def _text(body: bytes, kind: bytes, asked: Asked, substitutes: Substitutes, name: str) -> bytes:
    is_json = body.lstrip()[:1] in (b"{", b"[", b'"')
    if not is_json and not substitutes.known_only:
        whole = "log" if asked.route == "logs" else "text" if asked.route == "userdata" else ""
        if whole and whole in substitutes.kinds:
            written = plain(body)
            return _noted(
                written.written(substitutes.text(whole, written.text)), body, whole, substitutes
            )
    return edited(body, substitutes.edits(body, asked.mode, name))


def _opaque(body: bytes, substitutes: Substitutes) -> bytes:
    """A file that nobody here can read."""
    if "bytes" in substitutes.kinds and not substitutes.known_only:
        substitutes.seen["bytes", substitutes.place, ""] += 1
        return body[:_KEPT_BYTES] + bytes(max(0, len(body) - _KEPT_BYTES))
    return edited(body, substitutes.edits(body))


def _form(body: bytes, substitutes: Substitutes) -> bytes:
    pairs = (pair.partition(b"=") for pair in body.split(b"&"))
    new = b"&".join(
        name + sign + substitutes.parameter(_name(name), value, plus=True)
        for name, sign, value in pairs
    )
    new = new if len(new) == len(body) else body
    return edited(new, substitutes.anywhere(new, skip=()))


def _multipart(body: bytes, boundary: bytes, asked: Asked, substitutes: Substitutes) -> bytes:
    pieces = body.split(b"--" + boundary)
    for number, piece in enumerate(pieces):
        head, blank, content = piece.partition(b"\r\n\r\n")
        if number and blank:
            pieces[number] = _part(head, content, asked, substitutes)
    return (b"--" + boundary).join(pieces)


def _part(head: bytes, content: bytes, asked: Asked, substitutes: Substitutes) -> bytes:
    tail = b"\r\n" if content.endswith(b"\r\n") else b""
    content = content[: len(content) - len(tail)]
    named = _FIELD_NAME.search(head)
    name = (named[1] or named[2] or b"").decode("utf-8", "replace") if named else ""
    is_file = _FILE_PARAMETER.search(head) is not None
    new_head = disposition_hidden(head, substitutes) if is_file else head
    if is_file or content.lstrip()[:1] in (b"{", b"["):
        new = body_hidden(content, head, asked, substitutes, name=name)
        if is_file and new == content and not is_media(content):
            new = _file(content, substitutes)
    else:
        new = _value(name, content, substitutes)
    return new_head + b"\r\n\r\n" + new + tail


def _file(content: bytes, substitutes: Substitutes) -> bytes:
    """An uploaded file in which no rule found anything: it is told as a whole."""
    if "bytes" not in substitutes.kinds or substitutes.known_only or len(content) <= _KEPT_BYTES:
        return content
    substitutes.seen["bytes", substitutes.place, ""] += 1
    return content[:_KEPT_BYTES] + b"x" * (len(content) - _KEPT_BYTES)


def _value(name: str, content: bytes, substitutes: Substitutes) -> bytes:
    """A field of a form: written as it is, unlike in an address."""
    written = plain(content)
    kind = told_by_name(name, Place.QUERY) or ("name" if is_file_name(written.text) else "")
    if kind and not substitutes.known_only:
        new = written.written(substitutes.text(kind, written.text))
        if new != content:
            return _noted(new, content, kind, substitutes, name)
    return edited(content, substitutes.edits(content))
