"""What a value of a kind becomes: the stand-ins of one recording, wherever their values stand."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection
from typing import Final

from comfyrec.cassette.redact.pseudonyms.json_values import Mode, Value, values_in
from comfyrec.cassette.redact.pseudonyms.known_values import Edit, KnownValues, edited
from comfyrec.cassette.redact.pseudonyms.standins import StandIns, is_standin
from comfyrec.cassette.redact.pseudonyms.telling import ENDINGS, KINDS, is_file_name, kind_of
from comfyrec.cassette.redact.pseudonyms.vocabulary import (
    LOOPBACK,
    PRODUCTS,
    PUBLIC_HOSTS,
    is_harmless_stem,
    is_path_word,
    is_vocabulary,
)
from comfyrec.cassette.redact.pseudonyms.written import in_address, in_json
from comfyrec.cassette.redact.rules import Place, told_by_name

__all__ = ["Substitutes"]

_NESTED_MAX: Final = 8
_TOLD_BYTES_MIN: Final = 4
"""A shorter value of a parameter that nobody knows is a number or a choice."""
_COUNTED: Final = re.compile(
    r"(?P<stem>.*?)(?P<counter>(?:_[0-9]{5,}_?)?(?: \([0-9]+\))?)(?P<ending>\.[A-Za-z0-9]{1,11})?",
    re.DOTALL,
)
_MARKED: Final = re.compile(r"(.*?)( \[(?:input|output|temp)\])?", re.DOTALL)
_TEMPLATE: Final = re.compile(r"(%[^%/\\\s]{1,60}%)")
_SLASHES: Final = re.compile(r"([\\/]+)")
_CODE_ENDINGS: Final = frozenset(
    ("py", "pyc", "so", "pyd", "dll", "exe", "sh", "bat", "js", "toml")
)
_WORD: Final = re.compile(r"[^\W_]+")
_VERSION: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_HOST: Final = re.compile(
    r"(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}|[^\W_](?:[\w.\-]*[^\W_])?", re.UNICODE
)
_HOST_WORDS: Final = frozenset(("for", "by", "proto", "host", "unknown", "url", "rel", "null", "x"))
_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*://)(?P<login>[^/@\s\"']*@)?"
    r"(?P<host>\[[0-9a-fA-F:.%]+\]|[^/:?#\s\"'<>\\,;)\]}]*)(?P<port>:[0-9]+)?(?P<rest>[^\s\"'<>\\,;)\]}]*)"
)
_PAIR: Final = re.compile(r"([^=&;#]*=)([^&;#]*)")
_FLAG: Final = re.compile(r"-{1,2}[A-Za-z][A-Za-z0-9\-]*")

_ABSOLUTE_TEXT: Final = re.compile(r"(?:[A-Za-z]:[\\/]|/|~/)[^/\\]+[\\/]")

# What stands in any text, whatever its name.
_ID: Final = re.compile(
    rb"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    rb"|(?=[0-9]*[a-fA-F])[0-9a-fA-F]{32})"
    rb"(?![0-9A-Za-z])"
)
_IP: Final = re.compile(rb"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w.])")
_SITE: Final = re.compile(
    rb"://(?:[^/\s@\"'\\]*@)?([A-Za-z0-9_](?:[\w.\-]{0,253}\w)?)(?=[:/?#\s\"'\\<>)\],;]|\Z)"
)
_MAIL: Final = re.compile(rb"(?<![\w.+\-])[\w.+\-]{1,64}@(?:[\w\-]{1,63}\.)+[A-Za-z]{2,24}(?!\w)")
_PIECE: Final = rb"[\w.+@~,=()\-\x80-\xff]"
_ABSOLUTE: Final = re.compile(
    rb"(?<![\w.:/\\>\-])((?:[A-Za-z]:)(?:(?:\\\\?\\?\\?|/)" + _PIECE + rb"+)+|"
    rb"(?:\\?/" + _PIECE + rb"+){2,}|~(?:\\?/" + _PIECE + rb"+)+)"
)
_QUOTED_PATH: Final = re.compile(
    rb"(?<=[\"'])((?:[A-Za-z]:(?:\\\\?\\?\\?|/)|/(?=[\w.])[^\"'\\\n/]{1,100}/)[^\"'\n<>|*?]{1,400}?)(?=\\*[\"'])"
)
_NO_DRIVE: Final = re.compile(rb"[A-Za-z]:\\[bfnrtu]")
"""In JSON: a label and a line feed or the like; behind a drive two backslashes stand there."""
_VARIABLE: Final = re.compile(
    rb"(?<![A-Za-z])(?:HOSTNAME|COMPUTERNAME|USERNAME|LOGNAME|USER|HOST)="
    rb"([^\s\"'&;,\\/]{2,64})"
)
_ROUTES: Final = re.compile(
    rb"\\?/(?:api|ws|view|extensions|prompt|queue|history|object_info|upload|userdata|internal|"
    rb"templates|assets|scripts|docs|static|workflow_templates|jobs|models|embeddings)\b"
)


class Substitutes:
    """Stand-ins for one recording.

    Args:
        kinds: what shall be replaced (``KINDS``).
    """

    def __init__(self, kinds: Collection[str]) -> None:
        self.kinds = frozenset(kinds)
        self.table = StandIns()
        self.known = KnownValues()
        self.known_only = False
        """Replace nothing but what is known: the records have been through this before."""
        self.learns_only = False
        """Nothing of what comes out is used: only values are met."""
        self.seen: Counter[tuple[str, str, str]] = Counter()
        """(kind, place, name) of all that was replaced."""
        self.trusted: frozenset[str] = frozenset()
        """Kinds that were replaced before: what has the form of a stand-in is one."""
        self.place = ""
        """What is being looked through, in words."""
        self._first_time: int | None = None
        self._ways: dict[str, Callable[[str], str]] = {
            "host": self._host,
            "path": self._path,
            "device": self._device,
            "agent": self._agent,
            "argument": self._arguments,
            "name": self.name,
            "url": self._url,
            "time": self._time,
        }

    def take(self, rows: Collection[tuple[str, str, str]]) -> None:
        """Use these stand-ins (kind, value, stand-in) again.

        Raises:
            ValueError: one does not fit its value.
        """
        self.table.take(rows)
        for kind, value, standin in rows:
            self._learn(kind, value, standin)

    def note(self, kind: str, old: str | bytes, name: str = "") -> None:
        """Count what was replaced, but for stand-ins of an earlier redaction."""
        if kind in self.trusted:
            text = old if isinstance(old, str) else old.decode("utf-8", "replace")
            if is_standin(text):
                return
        self.seen[kind, self.place, name] += 1

    # --- values ----------------------------------------------------------------------------

    def text(self, kind: str, text: str) -> str:
        """What stands for a text of a kind; the text itself where it tells nothing."""
        if kind == "url":
            return self._url(text)
        if kind not in self.kinds or not text:
            return text
        way = self._ways.get(kind)
        new = way(text) if way is not None else self._whole(kind, text)
        if new != text:
            self._learn(kind, text, new)
        return new

    def _whole(self, kind: str, text: str) -> str:
        stripped = text.strip()
        if is_vocabulary(stripped) or not stripped:
            return text
        if kind == "user" and stripped.lower() in ("user", "admin", "root", "anonymous"):
            return text
        return text.replace(stripped, self.table.of(stripped, kind), 1)

    def _learn(self, kind: str, value: str, new: str) -> None:
        value, new = value.strip(), new.strip()
        if len(value) == len(new) and _is_distinctive(kind, value):
            self.known.add_pair(value, new, kind)

    def name(self, text: str) -> str:
        """A file, with or without its folders."""
        marked = _MARKED.fullmatch(text)
        assert marked is not None, "both groups may be empty"
        pieces = _SLASHES.split(marked[1])
        last = len(pieces) - 1
        out = [
            piece if at % 2 else self._file(piece) if at == last else self._folder(piece)
            for at, piece in enumerate(pieces)
        ]
        return "".join(out) + (marked[2] or "")

    def _folder(self, name: str) -> str:
        if not name.strip(". ") or is_harmless_stem(name) or is_vocabulary(name):
            return name
        return self._templates(name)

    def _file(self, name: str) -> str:
        match = _COUNTED.fullmatch(name)
        assert match is not None, "all groups may be empty"
        stem, ending = match["stem"], match["ending"] or ""
        counter = match["counter"]
        if ending and ending[1:].lower() not in ENDINGS:
            stem, counter, ending = name, "", ""
        if not stem.strip(". ") or is_harmless_stem(stem) or is_vocabulary(stem):
            return name
        return self._templates(stem) + counter + ending

    def _templates(self, stem: str) -> str:
        """``%date:yyyy%`` is filled in by the page, and tells nothing."""
        out = []
        for at, piece in enumerate(_TEMPLATE.split(stem)):
            if at % 2 or not piece or not any(char.isalnum() for char in piece):
                out.append(piece)
                continue
            new = self.table.of(piece, "name")
            self._learn("name", piece, new)
            out.append(new)
        return "".join(out)

    def _path(self, text: str) -> str:
        out: list[str] = []
        before = ""
        for at, piece in enumerate(_SLASHES.split(text)):
            if at % 2 or not piece or is_path_word(piece):
                out.append(piece)
            else:
                stem, dot, ending = piece.rpartition(".")
                if not stem or ending.lower() not in _CODE_ENDINGS | ENDINGS:
                    stem, dot, ending = piece, "", ""
                kind = "user" if before.lower() in ("home", "users") else "path"
                new = self.table.of(stem, kind)
                self._learn(kind, stem, new)
                out.append(new + dot + ending)
            before = before if at % 2 else piece
        return "".join(out)

    def _host(self, text: str) -> str:
        if "://" in text or text.startswith("/"):
            return self._url(text)
        return _HOST.sub(self._one_host, text)

    def _one_host(self, match: re.Match[str]) -> str:
        host = match[0]
        lowered = host.lower()
        if (
            lowered in LOOPBACK | PUBLIC_HOSTS | _HOST_WORDS
            or is_vocabulary(host)
            or (host.isdigit() and len(host) <= 5)
            or lowered.startswith("127.")
        ):
            return host
        new = self.table.of(host, "host")
        self._learn("host", host, new)
        return new

    def _device(self, text: str) -> str:
        version = _VERSION.match(text)
        front = version[0] if version else ""
        rest = text[len(front) :]
        return front + _WORD.sub(lambda m: self._part(m[0], "device", digits=1), rest)

    def _agent(self, text: str) -> str:
        return _WORD.sub(lambda m: self._part(m[0], "agent", digits=9), text)

    def _part(self, word: str, kind: str, *, digits: int) -> str:
        if word.lower() in PRODUCTS or (word.isdigit() and len(word) <= digits):
            return word
        return self.table.of(word, kind)

    def _arguments(self, text: str) -> str:
        return " ".join(map(self._argument, text.split(" ")))

    def _argument(self, text: str) -> str:
        flag, equals, value = text.partition("=")
        if _FLAG.fullmatch(flag):
            return flag + equals + self._argument(value) if equals else flag
        if not text or is_vocabulary(text) or re.fullmatch(r"[-+]?[0-9.,:]{1,12}|\*", text):
            return text if text.count(".") != 3 else self._host(text)
        if "://" in text:
            return self._url(text)
        if "/" in text or "\\" in text or is_path_word(text):
            return self._path(text)
        return _WORD.sub(lambda m: self._part(m[0], "argument", digits=5), text)

    def _time(self, text: str) -> str:
        """A time of which only the distance to others is left."""
        whole, dot, fraction = text.partition(".")
        now = int(whole)
        if self._first_time is None:
            self._first_time = now
        base = 15 * 10 ** (len(whole) - 2)
        written = str(base + now - self._first_time)
        return (written if len(written) == len(whole) else str(base)) + dot + fraction

    def _url(self, text: str) -> str:
        return _URL.sub(self._one_url, text) if "://" in text else self._target(text)

    def _one_url(self, match: re.Match[str]) -> str:
        host = match["host"]
        is_public = host.lower() in PUBLIC_HOSTS
        if "host" in self.kinds and not is_public:
            host = _HOST.sub(self._one_host, host)
        rest = self._target(match["rest"]) if match["rest"] else ""
        return "".join((match["scheme"], match["login"] or "", host, match["port"] or "", rest))

    def _target(self, text: str) -> str:
        """Path and query of an address."""
        path, mark, query = text.partition("?")
        out = "/".join(self._segment(piece) for piece in path.split("/"))
        return out + mark + (_PAIR.sub(self._pair, query) if query else "")

    def _segment(self, raw: str) -> str:
        written = in_address(raw.encode("utf-8", "surrogateescape"))
        text = written.text
        if "name" not in self.kinds or is_path_word(text) or is_vocabulary(text) or not text:
            return raw
        if text.isdigit() or not (is_file_name(text) or len(text) >= 6):
            return raw
        return written.written(self.name(text)).decode("utf-8", "surrogateescape")

    def _pair(self, match: re.Match[str]) -> str:
        raw = match[2].encode("utf-8", "surrogateescape")
        new = self.parameter(match[1][:-1], raw)
        if new == raw and len(raw) >= _TOLD_BYTES_MIN and "url" in self.kinds:
            written = in_address(raw)
            if not is_vocabulary(written.text) and not written.text.isdigit():
                new = written.written(self.table.of(written.text, "url"))
        return match[1] + new.decode("utf-8", "surrogateescape")

    def parameter(self, name: str, raw: bytes, *, plus: bool = False) -> bytes:
        """The value of a parameter of an address or of a field of a form, as it is written."""
        written = in_address(raw, plus=plus)
        text = written.text
        if text.lstrip()[:1] in ("{", "[") and (nested := self.nested(text)) is not None:
            return written.written(nested)
        kind = told_by_name(name, Place.QUERY)
        if not kind and is_file_name(text):
            kind = "name"
        if not kind and "://" in text:
            kind = "url"
        new = self.text(kind, text) if kind and not text.isdigit() else text
        if new == text and _ABSOLUTE_TEXT.match(text):
            kind, new = "path", self.text("path", text)
        if new != text:
            self.note(kind, text, name)
        return written.written(new)

    # --- texts -----------------------------------------------------------------------------

    def nested(
        self, text: str, mode: Mode = Mode.PLAIN, name: str = "", depth: int = 0
    ) -> str | None:
        """JSON in a text, with its values replaced; None where it is none."""
        data = text.encode("utf-8", "surrogateescape")
        if data.rstrip()[-1:] not in (b"}", b"]") or depth > _NESTED_MAX:
            return None
        new = edited(data, self._values(data, mode, name, depth + 1))
        made = new.decode("utf-8", "surrogateescape")
        return made if len(made) == len(text) else None

    def edits(self, data: bytes, mode: Mode = Mode.PLAIN, name: str = "") -> list[Edit]:
        """All that is to be replaced in a text, JSON or not."""
        found = [] if self.known_only else self._values(data, mode, name, 0)
        skip = ("path", "host", "user") if mode is Mode.CLASSES else ()
        return found + self.anywhere(data, skip, found)

    def _values(self, data: bytes, mode: Mode, name: str, depth: int) -> list[Edit]:
        found: list[Edit] = []
        for value in values_in(data, mode, name):
            raw = data[value.start : value.stop]
            new, kind = self._value(value, raw, depth)
            if new != raw:
                found.append(Edit(value.start, value.stop, new, kind, value.name))
                if kind != "JSON":
                    self.note(kind, in_json(raw).text, value.name)
        return found

    def _value(self, value: Value, raw: bytes, depth: int) -> tuple[bytes, str]:
        if value.is_number:
            return self.text("time", raw.decode()).encode(), "time"
        if value.is_key and value.mode is not Mode.USERS:
            return raw, ""
        written = in_json(raw)
        text = written.text
        if text.lstrip()[:1] in ("{", "["):
            nested = self.nested(text, value.mode, value.name, depth)
            if nested is not None:
                return written.written(nested), "JSON"
        kind = kind_of(value, text, self.kinds)
        return (written.written(self.text(kind, text)), kind) if kind else (raw, "")

    def anywhere(
        self, data: bytes, skip: Collection[str], done: Collection[Edit] = ()
    ) -> list[Edit]:
        """What stands in a text whatever its name: ids, addresses, paths, and what is known.

        Args:
            data: the text.
            skip: kinds that are not looked for.
            done: what is replaced already, in which nothing is looked for.
        """
        left = bytearray(data)
        for edit in done:
            left[edit.start : edit.stop] = bytes(edit.stop - edit.start)
        found: list[Edit] = []
        is_json = data.lstrip()[:1] in (b"{", b"[", b'"')
        for kind, pattern in () if self.known_only else _ANYWHERE:
            if kind not in self.kinds or kind in skip:
                continue
            for match in pattern.finditer(bytes(left)):
                group = match.lastindex or 0
                raw = match[group]
                if is_json and _NO_DRIVE.match(raw):
                    continue
                new = self._found_anywhere(kind, raw)
                if new != raw and len(new) == len(raw):
                    found.append(Edit(*match.span(group), new, kind))
                    left[slice(*match.span(group))] = bytes(len(raw))
        taken = bytearray(len(data))
        known = list(self.known.edits(bytes(left)))
        for edit in sorted(known, key=lambda one: one.start - one.stop):  # the longest first
            if taken.find(1, edit.start, edit.stop) < 0:
                taken[edit.start : edit.stop] = b"\1" * (edit.stop - edit.start)
                found.append(edit)
        for edit in found:
            self.note(edit.kind, data[edit.start : edit.stop])
        return found

    def _found_anywhere(self, kind: str, raw: bytes) -> bytes:
        text = raw.decode("utf-8", "surrogateescape")
        if self.table.is_given(text):
            return raw
        if kind == "path":
            return (
                raw if _ROUTES.match(raw) else self._path(text).encode("utf-8", "surrogateescape")
            )
        if kind == "host":
            if raw.count(b".") == 3 and any(int(n) > 255 for n in raw.split(b".") if n.isdigit()):
                return raw
            return _HOST.sub(self._one_host, text).encode("utf-8", "surrogateescape")
        if kind == "user" and text.partition("@")[2].lower() in PUBLIC_HOSTS:
            return raw
        new = self.table.of(text, kind)
        self._learn(kind, text, new)
        return new.encode("utf-8", "surrogateescape")


_ANYWHERE: Final = (
    ("id", _ID),
    ("path", _QUOTED_PATH),
    ("path", _ABSOLUTE),
    ("user", _MAIL),
    ("user", _VARIABLE),
    ("host", _SITE),
    ("host", _IP),
)


def _is_distinctive(kind: str, value: str) -> bool:
    """Whether a value may be replaced wherever it stands, without hitting ordinary words."""
    size = len(value)
    has_digit = any(char.isdigit() for char in value)
    if is_vocabulary(value) or is_path_word(value) or value.isdigit():
        return False
    if kind == "id":
        return size >= 8 or (size >= 5 and has_digit)
    if kind in ("user", "host"):
        return size >= 4 and value.lower() not in PRODUCTS
    if kind == "name":
        has_sign = any(not char.isalnum() for char in value)
        return size >= 10 or (size >= 6 and (has_digit or has_sign))
    if kind in ("text", "title", "device", "log"):
        return size >= 8 and (" " in value or has_digit or not value.isascii())
    return False


assert all(kind in KINDS for kind, _ in _ANYWHERE)
