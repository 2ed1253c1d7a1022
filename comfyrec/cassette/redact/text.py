"""A text -> where secrets stand in it, by name and by shape; in as many pieces as it comes in.

JSON, what is written like it (Python's repr, YAML, settings), JSON inside JSON strings, addresses
and plain words are all walked the same way: ``WAKE`` gives the few spots where a rule may hold, and
what stands around such a spot says which kind of name it is and where its value begins.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from typing import Final

from comfyrec.cassette.redact.address import parameters, userinfo
from comfyrec.cassette.redact.rules import (
    STARTS,
    WAKE,
    Need,
    Place,
    holds_credentials,
    is_credential_in,
    is_secret,
    need_of,
)
from comfyrec.cassette.redact.search.unescaped import View, holds_text, percent_undone, unescaped
from comfyrec.cassette.redact.shapes import KEY_PAIR
from comfyrec.cassette.redact.spans import Found, Learn
from comfyrec.cassette.redact.values import is_random, looks_like_credential, stands_out
from comfyrec.cassette.redact.writing.binary_values import FIRST_BYTES, text_behind
from comfyrec.cassette.redact.writing.commands import FLAGS, password_behind
from comfyrec.cassette.redact.writing.members import texts_in
from comfyrec.cassette.redact.writing.open_value import (
    END_OF_KEY,
    QUOTE,
    OpenValue,
    slashes_before,
    string_end,
)
from comfyrec.cassette.redact.writing.signs import BARE, ELEMENTS, sign_behind

__all__ = ["TextWalk", "found_in"]

_CARRY_BYTES: Final = 768
"""How much of the text before is looked at again: a name, a sign and the beginning of a value."""
_NAME_BYTES: Final = 64
_TEXT_BYTES_MIN: Final = 16
"""No name, sign and credential together are shorter."""

_NAME: Final = re.compile(rb"[\w.\-]+")
_QUOTED_NAME: Final = re.compile(rb"([\"'])((?:[^\"'\\\n]|\\u[0-9a-fA-F]{4}){1,120}?)(\\*)\1")
_BEFORE_PARAMETER: Final = frozenset((b"?", b"&", b";", b"#"))
_MAY_FOLLOW: Final = frozenset(bytes((one,)) for one in b"\"'=: \t\r\n\\\0>]<") | {b""}
"""What can stand behind a name that has a value, but for binary encodings."""
_NAME_LIKE: Final = re.compile(rb"[\w .\-\\/$\[\]():*]+")
"""In quotes: not a whole line with a sign and a value in it."""
_WORD_BEFORE: Final = re.compile(rb"(?<![\w.\-])(?:(?<=\\)[nrt])?([A-Za-z]+) \Z")
_WORD_BYTES_MAX: Final = 24
_COLON: Final = re.compile(rb"\s*(?::|=>)\s*")
_COMMA: Final = re.compile(rb"\s*,\s*")
_SPACES: Final = re.compile(rb"\s*")
_SCHEME_WORD: Final = re.compile(rb"(?i)(?:bearer|basic|token|digest|key|apikey|api-key)[ \t]+")
# Name and value apart: os.environ["HF_TOKEN"] = "S", <add key="ApiKey" value="S">.
_NAMED_BEFORE: Final = re.compile(
    rb"(?i)\][ \t]{0,8}=[ \t]{0,8}|(?:\s|\\[nr]){1,40}"
    rb"(?:[\w-]{1,20}=\\?(?:\"[^\"<>]{0,60}\"|'[^'<>]{0,60}')[ \t]{1,8}){0,6}"
    rb"(?:value|content)[ \t]{0,8}[=:][ \t]{0,8}"
)
_IN_ELEMENT: Final = re.compile(rb"[^<>\s]+")
_SCHEME: Final = re.compile(rb"(?i)(bearer|basic)[ ]+([\w.~+/=:-]{8,})")
_LOGIN: Final = re.compile(rb"[ ]*\\*[\"']?[\w.@+-]+:([^\s\"'\\]+)")
_PRIVATE_KEY: Final = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----")
_BEFORE_SHAPE: Final = re.compile(rb"[A-Za-z0-9]")

# An object that says name and value apart: {"name": "HF_TOKEN", "value": "S"}.
_NAMING: Final = re.compile(
    rb"(?i)\\*[\"'](?:name|key|id|k|field|header|var|variable|env|param|parameter|setting|label)\\*[\"']"
    rb"\s*:\s*\\*\Z"
)
_MEMBER: Final = (
    rb"\\*[\"'][^\"'\\]{1,40}\\*[\"']\s*:\s*(?:\\*[\"'][^\"'\\]{0,200}\\*[\"']|[\w.+\-]{1,40})"
)
_VALUE_NAME: Final = rb"\\*[\"'](?:value|val|v|secret|content|data|current|default)\\*[\"']\s*:\s*"
_VALUE_AHEAD: Final = re.compile(rb"(?i)(?:\s*,\s*" + _MEMBER + rb"){0,4}?\s*,\s*" + _VALUE_NAME)
_VALUE_BEHIND: Final = re.compile(rb"(?i)" + _VALUE_NAME)
_REST_BEHIND: Final = re.compile(rb"(?:\s*,\s*" + _MEMBER + rb"){0,4}\s*,\s*\Z")
# A value in a wrapper: {"api_key": {"__value__": "S"}}, ["STRING", {"default": "S"}].
_WRAPPED: Final = re.compile(
    rb"\{[^{}\[\]]{0,400}?\\*[\"'](?:__value__|value|default|plain|current)\\*[\"']\s*:\s*\[?\s*"
)
_LIST_STRINGS_MAX: Final = 256
_OBJECT: Final = re.compile(rb"\[\s*\{")

_DIGIT: Final = re.compile(rb"[0-9]")
_ENOUGH_BYTES: Final = 32

_Test = Callable[[bytes], bool]


_UNICODE: Final = re.compile(rb"\\+u([0-9a-fA-F]{4})")


def _read(content: bytes) -> bytes:
    """A text as its reader sees it, as far as letters go."""
    if b"\\" not in content:
        return content
    return _UNICODE.sub(lambda m: chr(int(m[1], 16)).encode("utf-8", "replace"), content)


def _is_enough(begun: bytes) -> bool:
    """Whether the beginning of a value says what it is: "Passw" may become a label."""
    return len(begun) >= _ENOUGH_BYTES or _DIGIT.search(begun) is not None


def _text(name: bytes) -> str:
    """A name as its reader sees it."""
    view = unescaped(name)
    return (name if view is None else view.data).decode("utf-8", "replace")


class TextWalk:
    """One body or message, in as many pieces as it comes in."""

    def __init__(self) -> None:
        self._open: OpenValue | None = None
        self._carry = b""
        self.learned: list[bytes] = []
        """Secrets that were put together from pieces."""

    @property
    def is_open(self) -> bool:
        """Whether the next piece begins inside a secret."""
        return self._open is not None

    def feed_bytes(self, piece: bytes) -> list[Found]:
        """The same as ``feed``, of bytes that are seldom a text."""
        if self.is_open or holds_text(self._carry + piece, _TEXT_BYTES_MIN):
            return self.feed(piece)
        self._skip(piece)
        return []

    def _skip(self, piece: bytes) -> None:
        """Pass over a piece in which nothing can stand, together with the seam before it."""
        self._carry = (self._carry + piece[-_CARRY_BYTES:])[-_CARRY_BYTES:]

    def feed(self, piece: bytes) -> list[Found]:
        """Where secrets stand in this piece."""
        found: list[Found] = []
        begin = 0
        if self._open is not None:
            end = self._open.end(piece)
            found.append(Found(0, len(piece) if end is None else end[0], Learn.NEVER))
            if end is None:
                self._carry = piece[-_CARRY_BYTES:]
                return found
            begin = end[1]
            self.learned.append(self._open.begun)
            self._open, self._carry = None, b""
        data = self._carry + piece[begin:]
        offset = len(self._carry) - begin
        walk = _Walk(data)
        walk.everything()
        self._open = walk.open
        self._carry = data[-_CARRY_BYTES:]
        found += [
            Found(max(begin, start - offset), stop - offset, learn)
            for start, stop, learn in walk.found
            if stop - offset > begin
        ]
        # What began in the piece before is learnt as the whole that it is; what is known for a
        # secret only now, though all of it came before, is taken out when the recording is closed.
        self.learned += [
            data[start:stop]
            for start, stop, learn in walk.found
            if learn and start - offset < begin
        ]
        return found


def found_in(view: View) -> list[Found]:
    """Where secrets stand in a text, by what it says when its escapes are undone."""
    walk = _Walk(view.data)
    walk.everything()
    return [Found(*view.back(f.start, f.stop), f.learn) for f in walk.found if f.stop > f.start]


class _Walk:
    """One pass over one text."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.found: list[Found] = []
        self.open: OpenValue | None = None
        self._has_quotes = b'"' in data or b"'" in data
        self._behind = 0  # a name that stands before this is a part of a value that is blanked

    def everything(self) -> None:
        """Find all that there is."""
        self._spots()
        for view in (unescaped(self.data), percent_undone(self.data)):
            if view is not None:
                self._in_view(view)

    def _in_view(self, view: View) -> None:
        """Names that are written with escapes."""
        walk = _Walk(view.data)
        walk._spots()
        for start, stop, learn in walk.found:
            if stop > start:
                self.found.append(Found(*view.back(start, stop), learn))
        if walk.open is not None and self.open is None:
            self.open = walk.open

    def _spots(self) -> None:
        data = self.data
        self.found += [
            Found(pair.start() + 1, pair.end(), Learn.IF_DISTINCTIVE)
            for pair in KEY_PAIR.finditer(data)
        ]
        last = -1
        for at, literal in WAKE.all_in(data.lower()):
            if literal in STARTS:
                self._shape(at, literal)
            if literal == b"://":
                self.found += userinfo(data, at)
            elif literal in FLAGS:
                span = password_behind(data, at)
                self.found += [Found(*span)] if span else []
            elif literal == b"-----begin":
                self._private_key(at)
            elif at >= self._behind:
                if literal in (b"bearer", b"basic "):
                    self._scheme(at)
                if literal in (b" -u ", b"--user ", b"--user="):
                    self._login(at + len(literal))
                else:
                    last = self._name(at, last)

    # --- shapes ----------------------------------------------------------------------------

    def _shape(self, at: int, literal: bytes) -> None:
        shape, start = STARTS[literal], at + len(literal)
        written = self.data[at:start]
        if written not in shape.starts:
            return
        head = shape.before.search(self.data, max(0, at - 64), at) if shape.before else None
        if shape.before is not None and head is None:
            return
        if (
            head is None
            and shape.starts_with_key
            and _BEFORE_SHAPE.match(self.data, max(0, at - 1), at)
        ):
            return
        match = shape.rest.match(self.data, start)
        if match and (not shape.must_be_random or is_random(match[0])):
            begin = (head.start() if head else at) if shape.starts_with_key else start
            self.found.append(Found(begin, match.end(), Learn.IF_DISTINCTIVE))

    def _scheme(self, at: int) -> None:
        match = _SCHEME.match(self.data, at)
        if match and _is_credential(match[1].lower(), match[2]):
            self.found.append(Found(*match.span(2)))

    def _login(self, at: int) -> None:
        """User and password behind a flag, as curl takes them."""
        match = _LOGIN.match(self.data, at)
        if match and stands_out(match[1]):
            self.found.append(Found(*match.span(1)))

    def _private_key(self, at: int) -> None:
        begin = _PRIVATE_KEY.match(self.data, at)
        if begin is None:
            return
        end = self.data.find(END_OF_KEY, begin.end())
        stop = end if end >= 0 else len(self.data)
        self.found.append(Found(begin.end(), stop))
        self._behind = stop
        if end < 0:
            self.open = OpenValue(b"", 0, self.data[begin.end() :])

    # --- names -----------------------------------------------------------------------------

    def _name(self, at: int, last: int) -> int:
        """The name around a spot, unless it is the one that began at ``last``; where it begins."""
        data = self.data
        run = _NAME.match(data[max(0, at - _NAME_BYTES) : at][::-1])
        start = at - run.end() if run else at
        if start == last:
            return last
        name = _NAME.match(data, start)
        if name is None:  # a key may begin with a sign
            return last
        stop = name.end()
        following = data[stop : stop + 1]
        if following in FIRST_BYTES or data[stop - 1] in b"xy":
            self._behind_size(start, stop)
        if following in _MAY_FOLLOW:
            self._in_context(name, start, stop)
        return start

    def _behind_size(self, start: int, stop: int) -> None:
        """A name and a value as binary encodings write them."""
        found = text_behind(self.data, start, stop)
        if found is None:
            return
        end, begin, behind = found
        name = self.data[start + (end < stop) : end].decode("utf-8", "replace")
        if is_secret(name, self.data[begin:behind], Place.MEMBER):
            self.found.append(Found(begin, behind))

    def _in_context(self, name: re.Match[bytes], start: int, stop: int) -> None:
        data = self.data
        if self._has_quotes:
            low = max(0, start - _NAME_BYTES)
            quote = max(data.rfind(b'"', low, start), data.rfind(b"'", low, start))
            quoted = _QUOTED_NAME.match(data, quote) if quote >= 0 else None
            if quoted is not None and quoted.end(2) >= stop and self._quoted(quoted):
                return
        before = data[start - 1 : start] if start else b""
        if before in _BEFORE_PARAMETER and data[stop : stop + 1] == b"=":
            self.found += parameters(data, start)
        else:
            self._plain(name)

    def _quoted(self, name: re.Match[bytes]) -> bool:
        """A name in quotes: a key, an item of a list, the value of a member ``name``."""
        data = self.data
        level = slashes_before(data, name.start())
        if level != len(name[3]) or _NAME_LIKE.fullmatch(name[2]) is None:
            return False
        written = _text(name[2])
        need = need_of(written, Place.MEMBER)
        if need is None:
            return False
        colon = _COLON.match(data, name.end()) or _NAMED_BEFORE.match(data, name.end())
        if colon:
            self._value(colon.end(), written, need)
            return True
        before = name.start() - level
        if _NAMING.search(data, max(0, before - 60), before):
            self._named_apart(written, before, name.end())
            return True
        comma = _COMMA.match(data, name.end())
        if comma:
            self._item(name, written, comma.end(), before)
        return bool(comma)

    def _value(self, at: int, name: str, need: Need) -> None:
        """The value of a member: a text, a list of texts, a text in a wrapper; nothing else."""
        data = self.data
        string = QUOTE.match(data, at)
        if string:
            self._string(string, lambda text: is_secret(name, text, Place.MEMBER))
        elif data[at : at + 1] in (b"{", b"[") and holds_credentials(name):
            self._members(at, name)
            self._in_brackets(at, need)
        else:
            self._in_brackets(at, need)

    def _in_brackets(self, at: int, need: Need) -> None:
        if self.data[at : at + 1] == b"[":
            self._list(at + 1, need)
        elif self.data[at : at + 1] == b"{":
            self._wrapped(at)

    def _members(self, at: int, container: str) -> None:
        """What is in an object of credentials."""
        if self.data[at : at + 1] == b"[" and not _OBJECT.match(self.data, at):
            return
        for name, string in texts_in(self.data, at):
            written = _text(name)
            self._string(string, lambda text, n=written: is_credential_in(container, n, text))  # type: ignore[misc]

    def _wrapped(self, at: int) -> None:
        wrapped = _WRAPPED.match(self.data, at)
        string = QUOTE.match(self.data, wrapped.end()) if wrapped else None
        if string:
            self._string(string, lambda text: is_random(text) or stands_out(text))

    def _list(self, at: int, need: Need) -> None:
        """Texts in a list, as far as nothing else stands before them. What is random is secret; a
        type with its options may have a secret for a default."""
        data = self.data
        for number in range(_LIST_STRINGS_MAX):
            spaces = _SPACES.match(data, at)
            at = spaces.end() if spaces else at
            string = QUOTE.match(data, at)
            if string is None:
                if number == 1 and data[at : at + 1] == b"{":
                    self._wrapped(at)
                return
            end = self._string(string, is_random)
            comma = _COMMA.match(data, end) if end is not None else None
            if comma is None:
                return
            at = comma.end()

    def _string(self, opening: re.Match[bytes], secret: _Test) -> int | None:
        """Take out a text that passes the test; where it ends, None if it goes on."""
        data, level, quote = self.data, len(opening[1]), opening[2]
        begin = opening.end()
        end = string_end(data, begin, quote, level)
        if end is None:
            content = data[begin:]
            if _is_enough(content) and secret(_read(content)):
                self.found.append(Found(begin, len(data), Learn.NEVER))
                self.open = OpenValue(quote, level, content)
                self._behind = len(data)
            return None
        stop = end - 1 - level if data[end - 1 - level : end - 1] == b"\\" * level else end - 1
        content = data[begin:stop]
        if secret(_read(content)):
            self.found.append(Found(begin, stop))
            self._behind = max(self._behind, stop)
        return end

    def _named_apart(self, name: str, before: int, behind: int) -> None:
        data = self.data
        ahead = _VALUE_AHEAD.match(data, behind)
        if ahead:
            string = QUOTE.match(data, ahead.end())
            if string:
                self._string(string, lambda text: is_secret(name, text, Place.MEMBER))
            return
        low = max(0, before - 600)
        naming = _NAMING.search(data, max(0, before - 60), before)
        limit = naming.start() if naming else before
        for value in _VALUE_BEHIND.finditer(data, low, limit):
            string = QUOTE.match(data, value.end())
            end = string_end(data, string.end(), string[2], len(string[1])) if string else None
            if string and end and _REST_BEHIND.fullmatch(data, end, limit):
                self._string(string, lambda text: is_secret(name, text, Place.MEMBER))

    def _item(self, name: re.Match[bytes], written: str, at: int, before: int) -> None:
        """A flag and its value in a list of arguments, or a list of two: name and value."""
        string = QUOTE.match(self.data, at)
        if string is None:
            return
        if written.startswith("-"):
            self._string(string, looks_like_credential)
            return
        opened = self.data[:before][-16:].rstrip()[-1:]
        end = string_end(self.data, string.end(), string[2], len(string[1]))
        closed = self.data[end : end + 16].lstrip()[:1] if end is not None else b""
        if opened in (b"[", b"(") and closed in (b"]", b")", b""):
            is_field = "-" in written or written.lower() in ("authorization", "cookie")
            self._string(string, looks_like_credential if is_field else is_random)

    def _plain(self, name: re.Match[bytes]) -> None:
        """A name without quotes, a sign, and a value."""
        data = self.data
        sign = sign_behind(data, name)
        if sign is None:
            return
        written = self._with_word_before(name)
        if need_of(written, Place.WORDS) is None:
            return
        at = sign.end()
        scheme = _SCHEME_WORD.match(data, at)
        at = scheme.end() if scheme else at
        string = QUOTE.match(data, at)
        if string:
            self._string(string, lambda text: is_secret(written, text, Place.WORDS))
            return
        bare = (_IN_ELEMENT if sign.re in ELEMENTS else BARE).match(data, at)
        if bare:
            value = bare[0].rstrip(b".!?:")
            if is_secret(written, value, Place.WORDS):
                self.found.append(Found(at, at + len(value)))

    def _with_word_before(self, name: re.Match[bytes]) -> str:
        """A name with the word before it, which may say of what it is: "cache key", "API key"."""
        start = name.start()
        before = _WORD_BEFORE.search(self.data, max(0, start - _WORD_BYTES_MAX), start)
        written = _text(name[0])
        return f"{before[1].decode()} {written}" if before else written


def _is_credential(scheme: bytes, value: bytes) -> bool:
    """Whether it is more than a word of prose: a workflow may have a group "Basic Sampling"."""
    if scheme == b"bearer":
        return stands_out(value)
    try:
        named = binascii.a2b_base64(value + b"=" * (-len(value) % 4)).decode()
    except ValueError:
        return False
    return ":" in named and named.isprintable()
