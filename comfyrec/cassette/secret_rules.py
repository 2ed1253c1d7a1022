"""bytes -> where secrets stand in them: by name, by shape, by place.

All functions give spans (start, stop) of the bytes they were given and change nothing. Costs matter
here: a node list of 1.5 MB is full of harmless keys. So patterns never run over a whole text; plain
searches find the few places where a suspicious word stands, and patterns look at those.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Final
from urllib.parse import unquote_to_bytes

__all__ = [
    "ESCAPE",
    "NUMBER",
    "SUSPICIOUS",
    "SUSPICIOUS_IN_HEAD",
    "Span",
    "TextScan",
    "has_name_in_binary",
    "head_spans",
    "url_spans",
]

Span = tuple[int, int]

# --- names -----------------------------------------------------------------------------------

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_WORDS: Final = frozenset(
    {
        "secret", "secrets", "password", "passwd", "passphrase", "pwd", "token", "apikey",
        "authorization", "auth", "credential", "credentials", "bearer", "cookie", "cookies",
        "civitai", "jwt", "session", "sessionid", "signature",
    }
)  # fmt: skip
_SECRET_ENDS: Final = (
    "token", "password", "passwd", "passphrase", "secret", "apikey", "credentials", "sessionid",
)  # fmt: skip
_BEFORE_KEY: Final = frozenset(
    {
        "api", "access", "private", "secret", "auth", "client", "signing", "encryption", "license",
        "service", "account", "x",
    }
)  # fmt: skip
_HARMLESS_BESIDE: Final = frozenset(
    {
        "count", "limit", "max", "min", "num", "type", "length", "size", "normalization", "index",
        "merge", "merging", "ratio", "mode", "weight", "weights", "interpretation", "tokenizer",
        "n", "per",
    }
)  # fmt: skip

_NO, _WEAK, _STRONG = 0, 1, 2


@lru_cache(maxsize=4096)
def _suspicion(name: bytes) -> int:
    """How much a JSON key, parameter or field of this name tells of a secret."""
    text = _unescaped(name).decode("utf-8", "replace")
    words = [word.lower() for word in _WORD.findall(text)]
    joined = "".join(words)
    pairs = pairwise(words)
    if any(second == "key" and first in _BEFORE_KEY for first, second in pairs):
        return _STRONG
    if _SECRET_WORDS & set(words) or joined.endswith(_SECRET_ENDS):
        return _WEAK if _HARMLESS_BESIDE & set(words) else _STRONG
    return _WEAK if {"key", "keys", "tokens"} & set(words) else _NO


def _find_all(data: bytes, word: bytes) -> Iterator[int]:
    at = data.find(word)
    while at >= 0:
        yield at
        at = data.find(word, at + len(word))


ESCAPE: Final = re.compile(rb"\\u00([2-7][0-9a-fA-F])")
"""A letter of ASCII written as an escape: legal, and one way to hide a name."""


def _unescaped(data: bytes) -> bytes:
    return ESCAPE.sub(lambda match: binascii.unhexlify(match[1]), data)


_KEY_WORDS: Final = (
    b"key", b"token", b"secret", b"pass", b"pwd", b"auth", b"cookie", b"cred", b"bearer",
    b"session", b"civitai", b"jwt", b"signature",
)  # fmt: skip
_SHAPE_STARTS: Final = (
    b"sk-", b"hf_", b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_", b"comfyui-",
    b"akia", b"aiza", b"eyj",
)  # fmt: skip
_OTHER_WORDS: Final = (b"basic ", b"sig=", b"policy=", b"amz-", b"goog-", b"://")
SUSPICIOUS: Final = (*_KEY_WORDS, *_SHAPE_STARTS, *_OTHER_WORDS)
"""In lower case: what every suspicious name, shape or address contains. There are no digits in it,
so a text can be judged without its digits."""

SUSPICIOUS_IN_HEAD: Final = (
    *_KEY_WORDS, b"sig", b"policy", b"amz", b"goog", b"expires", b"location", b"protocol", b"@",
    b"cf-access",
)  # fmt: skip
"""In lower case: what a start line with fields contains whenever ``head_spans`` finds something."""

_TOKENLIKE: Final = re.compile(rb"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[\w\-./+=:~]{16,}")
_SHAPES: Final = re.compile(
    rb"(?<![A-Za-z0-9])(?:sk-[\w-]{16,}|hf_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{20,}"
    rb"|github_pat_\w{20,}|comfyui-[0-9a-f]{32,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}"
    rb"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*)"
)
_SCHEME: Final = re.compile(rb"(?i)\b(?:bearer|basic)[ ]+([\w.~+/=-]{8,})")
_WORD_BYTES_MAX: Final = 24
"""No word of prose is longer."""
_NAME_BEFORE: Final = re.compile(rb"(?<![\w.\-%\[\]])[\w.\-%\[\]]{1,64}\Z")
_PARAMETER_VALUE: Final = re.compile(rb"=([^&;\s\"'<>\\]+)")
_USERINFO: Final = re.compile(rb"://([^/\s\"'@\\]{1,256})@")
_FIELD: Final = re.compile(
    rb'(?i)name="?([^"\r\n;]{1,64})"?[^\r\n]*\r\n(?:[^\r\n]+\r\n){0,8}\r\n([^\r\n]*)'
)
_FLAG: Final = re.compile(rb'"--?([\w-]{1,64})"\s*,\s*"((?:[^"\\]|\\.)+)"')
_PLAIN: Final = re.compile(
    rb"([\w\-]{1,64})(?:[ ]*[=:][ ]*|(?<=[\w\-])[ ]+(?=[^=:\s]))([^\s\"',;&\\{}\[\]()<>=:]{6,})"
)
_SIGNED: Final = re.compile(rb"(?i)[?&](?:sig|signature|x-amz-signature|x-goog-signature)=")
_QUERY_NAMES: Final = frozenset(
    b"token api_key apikey key access_token auth sig signature policy key-pair-id".split()
)


# --- URLs and forms --------------------------------------------------------------------------


def _parameter_is_secret(name: bytes, *, signed: bool) -> bool:
    name = unquote_to_bytes(name).lower()
    if name in _QUERY_NAMES or name.startswith((b"x-amz-", b"x-goog-")):
        return True
    return _suspicion(name) == _STRONG or (signed and name == b"expires")


def _parameters(data: bytes, *, every: bool = False) -> Iterator[Span]:
    """Values of a query or a form: behind ``?`` or ``&``, or at the very start."""
    signed = _SIGNED.search(data) is not None if b"=" in data else False
    for at in _find_all(data, b"="):
        name = _NAME_BEFORE.search(data, max(0, at - 65), at)
        value = _PARAMETER_VALUE.match(data, at)
        if name is None or value is None:
            continue
        before = data[max(0, name.start() - 1) : name.start()]
        if before not in (b"", b"?", b"&", b";") and not name[0].startswith(b"u0026"):
            continue
        if every or _parameter_is_secret(name[0].removeprefix(b"u0026"), signed=signed):
            yield value.span(1)


def url_spans(data: bytes) -> Iterator[Span]:
    """User, password and secret parameters of all addresses in these bytes."""
    yield from _parameters(data)
    for at in _find_all(data, b"://"):
        match = _USERINFO.match(data, at)
        if match:
            yield match.span(1)


# --- heads --------------------------------------------------------------------------------------

_LINE: Final = re.compile(rb"(?m)^([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128})[ \t]*:[ \t]*([^\r\n]*)")
_HEADER_WORDS: Final = re.compile(
    rb"key|token|secret|auth|session|cookie|jwt|password|credential|cf-access"
)
_HARMLESS_HEADERS: Final = frozenset({b"sec-websocket-key", b":authority"})
_PROTOCOL_SECRET: Final = re.compile(rb"(?i)(?:bearer|token|auth|key|secret|jwt|password)")


def _header_spans(name: bytes, value: bytes) -> Iterator[Span]:
    """Where the secrets stand in the value of one header."""
    name = name.lower()
    if name == b"sec-websocket-protocol":
        yield from _protocol_spans(value)
    elif name == b"location":
        yield from _parameters(value, every=True)
    elif name in (b"cookie", b"set-cookie"):
        yield from _cookie_spans(value, first_only=name == b"set-cookie")
    elif name in (b"www-authenticate", b"proxy-authenticate", b"authentication-info"):
        for match in re.finditer(rb'=[ ]*(?:"([^"]*)"|([^",\s]+))', value):
            yield match.span(1) if match[1] is not None else match.span(2)
    elif (
        name not in _HARMLESS_HEADERS
        and not name.startswith(b"access-control-")
        and _HEADER_WORDS.search(name)
    ):
        scheme = re.match(rb"[A-Za-z][\w-]*[ ]+(?=\S)", value) if b"authorization" in name else None
        yield (scheme.end() if scheme else 0), len(value)


def _cookie_spans(value: bytes, *, first_only: bool) -> Iterator[Span]:
    for match in re.finditer(rb"=([^;]*)", value):
        yield match.span(1)
        if first_only:
            return


def _protocol_spans(value: bytes) -> Iterator[Span]:
    """Tokens that clients smuggle through the one header that a browser's WebSocket can set."""
    after_name = False
    for match in re.finditer(rb"[^,\s]+", value):
        item, start = match[0], match.start()
        named = re.match(
            rb"(?i)(?:[a-z0-9]*[.\-_:])*(?:bearer|token|auth|authorization|jwt|key)"
            rb"(?:[.\-_:=][a-z0-9.]*?)??[.\-_:=](?=[\w\-.~+/=]{8,}$)",
            item,
        )
        if named:
            yield start + named.end(), match.end()
        elif after_name or (len(item) >= 20 and re.search(rb"[0-9]", item)):
            yield match.span()
        after_name = bool(_PROTOCOL_SECRET.fullmatch(item)) or bool(
            re.fullmatch(rb"(?i)(?:access|auth|api|x)?[-_.]?(?:token|key|authorization)", item)
        )


def head_spans(head: bytes) -> list[Span]:
    """Where the secrets stand in a start line with header fields."""
    spans = list(url_spans(head))
    for match in _LINE.finditer(head):
        at = match.start(2)
        spans += [(at + start, at + stop) for start, stop in _header_spans(match[1], match[2])]
    return spans


# --- JSON, also inside strings, also cut anywhere --------------------------------------------

_QUOTE: Final = re.compile(rb"(\\*)([\"'])")
_KEY: Final = re.compile(
    rb"([\"'])((?:[^\"'\\]|\\u[0-9a-fA-F]{4}){1,120}?)(\\*)\1[ \t\r\n]*:[ \t\r\n]*"
)
_TOKEN: Final = re.compile(rb"(\\*)([\"'])|([\[{])|([\]}])|(?<![\w.])-?[0-9][0-9.eE+-]{3,}")
_LINK: Final = re.compile(rb"\[\s*\\*[\"'][^\"'\\]{1,64}\\*[\"']\s*,\s*[0-9]{1,4}\s*\]")
_INPUT_SPEC: Final = re.compile(
    rb"\[\s*\\*(?:[\"'](?:[A-Z][A-Z0-9_]*|\*)\\*[\"']\s*(?:,\s*\{|\])|\[)"
)
# What follows on "key" in an option of a dynamic choice: its name, then the inputs it brings.
_OPTION: Final = re.compile(rb"\s*\\*\"[^\"\\]{1,256}\\*\"\s*,\s*\\*\"inputs\\*\"\s*:\s*\{")
NUMBER: Final = re.compile(rb"-?[0-9][0-9.eE+-]{3,}")
_CARRY_BYTES: Final = 256
"""A key and its colon may be cut by the end of a piece; names are shorter than this."""
_VALUE_BYTES_MAX: Final = 8192
"""A longer value is blanked all the same, but no longer looked for elsewhere."""
_COLON: Final = re.compile(rb"\s*:")
_DEFAULTS: Final = (b"default", b"value", b"placeholder")


def _ends_string(slashes: int, level: int) -> bool:
    """Whether a quote behind so many backslashes ends a string whose own quotes have ``level``."""
    while level:
        if slashes % 2 == 0:
            return True  # the string around it ends
        slashes, level = (slashes - 1) // 2, (level - 1) // 2
    return slashes % 2 == 0


class _Value:
    """The value behind a secret name, as far as it has come: blanks its strings and numbers."""

    def __init__(self, level: int, quote: bytes, suspicion: int) -> None:
        self.level, self.quote, self.suspicion = level, quote, suspicion
        self.depth = 0
        self.started = False
        self.in_string = False
        self.blank = True
        self.only_defaults = False
        self.key = b""
        self.begun = b""
        self.learned: list[bytes] = []

    def feed(self, data: bytes, at: int, spans: list[Span]) -> int | None:
        """Go on at ``at``; where the value ends, or None when it goes on behind ``data``."""
        if not self.started:
            begun = self._begin(data, at, spans)
            if begun is None or begun >= 0:
                return begun
            at = ~begun
        while True:
            if self.in_string:
                stop = self._string_end(data, at)
                content_end = len(data) if stop is None else stop - 1 - self.level
                if self.blank:
                    spans.append((at, content_end))
                    self._collect(data[at:content_end], whole=stop is not None)
                if stop is None:
                    return None
                self.in_string = False
                at = stop
                if not self.depth:
                    return at
            token = _TOKEN.search(data, at)
            if token is None:
                return None
            at = token.end()
            if token[2] == self.quote:
                self._open_string(data, at)
            elif token[3]:
                self.depth += 1
            elif token[4]:
                self.depth -= 1
                if self.depth <= 0:
                    return at
            elif not token[2] and not self.only_defaults:
                spans.append(token.span())

    def _collect(self, content: bytes, *, whole: bool) -> None:
        """Put a value together that was cut by the end of a piece."""
        self.begun = (self.begun + content)[:_VALUE_BYTES_MAX]
        if whole:
            self.learned.append(self.begun)
            self.begun = b""

    def _begin(self, data: bytes, at: int, spans: list[Span]) -> int | None:
        """The first bytes of the value: an end, None for 'more', or ``~at`` to go on inside it."""
        while at < len(data) and data[at] in b" \t\r\n":
            at += 1
        if at >= len(data):
            return None
        self.started = True
        quote = _QUOTE.match(data, at)
        if quote:
            if quote[2] != self.quote:
                return at
            stop = self._string_end(data, quote.end())
            if self.suspicion == _WEAK:
                content = data[quote.end() : stop - 1 - self.level] if stop else b""
                if not _TOKENLIKE.fullmatch(content):
                    return quote.end()
            self.in_string = True
            return ~quote.end()
        scalar = NUMBER.match(data, at)
        if scalar and self.suspicion == _STRONG:
            spans.append(scalar.span())
            return scalar.end()
        if data[at] not in b"[{" or self.suspicion == _WEAK or _LINK.match(data, at):
            return at
        self.only_defaults = _INPUT_SPEC.match(data, at) is not None
        self.depth = 1
        return ~(at + 1)

    def _open_string(self, data: bytes, at: int) -> None:
        """A string inside a container: keys stay, values go."""
        self.in_string = True
        stop = self._string_end(data, at)
        is_key = stop is not None and _COLON.match(data, stop) is not None
        if is_key and stop is not None:
            self.key = data[at : stop - 1 - self.level]
        self.blank = not is_key and (not self.only_defaults or self.key in _DEFAULTS)

    def _string_end(self, data: bytes, at: int) -> int | None:
        """Behind the closing quote of a string whose content begins at ``at``."""
        for match in _QUOTE.finditer(data, at):
            if match[2] == self.quote and _ends_string(len(match[1]), self.level):
                return match.end()
        return None


class TextScan:
    """One body or message, in as many pieces as it comes in."""

    def __init__(self) -> None:
        self._value: _Value | None = None
        self.carry = b""
        """The last bytes of the piece before: a name, a colon, a value may be cut."""
        self.learned: list[bytes] = []
        """Secret values that were put together from pieces."""
        self._start = b""

    def may_be_form(self, piece: bytes) -> bool:
        """Whether the body that goes on with this piece may be multipart; to be asked of each."""
        missing = _PREAMBLE_BYTES_MAX - len(self._start)
        if missing > 0:
            self._start += piece[:missing]
        return b"--" in self._start

    @property
    def is_open(self) -> bool:
        """Whether the next piece begins inside a secret."""
        return self._value is not None

    def skip(self, piece: bytes) -> None:
        """Pass over a piece that holds nothing suspicious."""
        self.carry = (self.carry + piece[-_CARRY_BYTES:])[-_CARRY_BYTES:]

    def feed(self, piece: bytes) -> list[Span]:
        """Where the secrets stand in this piece."""
        spans: list[Span] = []
        behind = 0
        data, offset = self.carry + piece, len(self.carry)
        if self._value is not None:
            data, offset = piece, 0
            end = self._value.feed(piece, 0, spans)
            self.learned += self._value.learned
            self._value.learned = []
            if end is None:
                return spans
            self._value, behind = None, end
        lowered = data.lower()
        self._names(data, lowered, spans, behind)
        _shapes(data, lowered, spans)
        spans += url_spans(data)
        self.carry = data[-_CARRY_BYTES:]
        return [(max(0, a - offset), b - offset) for a, b in spans if b > offset]

    def _names(self, data: bytes, lowered: bytes, spans: list[Span], behind: int) -> None:
        for start in _key_starts(data, lowered):
            if start < behind:
                continue
            end = self._pair(data, start, spans)
            if end is None:
                return
            behind = max(behind, end)

    def _pair(self, data: bytes, start: int, spans: list[Span]) -> int | None:
        """A name and its value, if they stand here; None when the value goes on behind the data."""
        quoted = data[start] in b"\"'"
        key = _KEY.match(data, start) if quoted else None
        if key is None:
            pattern = _FLAG if quoted else _PLAIN
            plain = pattern.match(data, start)
            if plain and _suspicion(plain[1]) == _STRONG and (quoted or _is_pair(data, plain)):
                spans.append(plain.span(2))
            return start
        level = _slashes_before(data, start)
        suspicion = _suspicion(key[2])
        if not suspicion or level != len(key[3]):
            return start
        if key[2] == b"key" and _OPTION.match(data, key.end()):
            return start
        value = _Value(level, key[1], suspicion)
        end = value.feed(data, key.end(), spans)
        if end is None:
            self._value = value
        return end


def _is_pair(data: bytes, match: re.Match[bytes]) -> bool:
    """Whether ``name value`` is more than two words of a sentence: by a sign, or as a flag."""
    between = data[match.end(1) : match.start(2)].strip()
    return bool(between) or match[1].startswith(b"--")


def _slashes_before(data: bytes, at: int) -> int:
    count = 0
    while at > count and data[at - 1 - count] == 0x5C:
        count += 1
    return count


_NAME_START: Final = re.compile(rb"(?<![\w\-])[\w\-]{0,64}\Z")


def _key_starts(data: bytes, lowered: bytes) -> Iterator[int]:
    """Where a name may begin that is worth a look: at its quote, or at its first letter."""
    if ESCAPE.search(data):
        yield from (match.start() for match in _KEY.finditer(data))
    hits: set[int] = set()
    for word in _KEY_WORDS:
        for at in _find_all(lowered, word):
            low = max(0, at - 120)
            hits.add(max(data.rfind(b'"', low, at), data.rfind(b"'", low, at)))
            plain = _NAME_START.search(data, max(0, at - 65), at)
            if plain:
                hits.add(plain.start())
    hits.discard(-1)
    yield from sorted(hits)


def _shapes(data: bytes, lowered: bytes, spans: list[Span]) -> None:
    for start in _SHAPE_STARTS:
        found = (_SHAPES.match(data, at) for at in _find_all(lowered, start))
        spans += [match.span() for match in found if match]
    for word in (b"bearer ", b"basic "):
        found = (_SCHEME.match(data, at) for at in _find_all(lowered, word))
        spans += [match.span(1) for match in found if match and _is_credential(word, match[1])]
    for at in _find_all(lowered, b"name="):
        match = _FIELD.match(data, at)
        if match and _suspicion(match[1]) == _STRONG:
            spans.append(match.span(2))


def _is_credential(scheme: bytes, value: bytes) -> bool:
    """Whether it is more than a word of prose: a workflow may have a group "Basic Sampling"."""
    if scheme == b"bearer ":
        return len(value) >= _WORD_BYTES_MAX or any(byte in b"0123456789" for byte in value)
    try:
        named = binascii.a2b_base64(value + b"=" * (-len(value) % 4)).decode()
    except ValueError:
        return False
    return ":" in named and named.isprintable()


_PREAMBLE_BYTES_MAX: Final = 1024
"""A form begins with its first boundary, behind a preamble at most (RFC 2046 section 5.1.1)."""
_NAME_END: Final = re.compile(rb'" ?:')
"""One pass of a pattern that begins with a rare byte is quicker here than plain searches."""


def has_name_in_binary(data: bytes, *, may_be_form: bool = True) -> bool:
    """Whether a quoted name with a colon stands somewhere between bytes that are no text, or that
    of a field of a form."""
    for match in _NAME_END.finditer(data):
        if _has_key_word(data[max(0, match.start() - 64) : match.start()]):
            return True
    if not may_be_form:
        return False
    form = (data[at : at + 96] for at in _find_all(data, b"form-data; name="))
    return any(map(_has_key_word, form))


def _has_key_word(data: bytes) -> bool:
    lowered = data.lower()
    return any(lowered.find(word) >= 0 for word in _KEY_WORDS)
