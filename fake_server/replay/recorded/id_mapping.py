"""recorded ids -> live ids, wherever a message, a body or a URL holds one.

Ids of prompts and clients are of two sorts. One that cannot be anything else (a UUID, 32 hex
digits) is replaced wherever it stands. A short one (``client-a``, ``1``) might be a word or a node
id, so it is replaced only where ComfyUI puts a client or prompt id: behind certain keys, as key of
a history, second in a queue item.

Ids of other kinds (jobs, assets, uploads) are long words with a digit, and are replaced as whole
words. So are addresses, ``http://host:port``, wherever a scheme stands before them. Both are found
in links that stand percent-encoded inside others as well: ``?from=http%3A%2F%2Fhost%3Aport``.

One that is a number (``{"id": 17}``) is replaced behind keys that name an id and as part of a path,
and only in what is about it: a 17 may be anything.

A message is looked through once, whoever gets it and how often; what is found is a template.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote

__all__ = [
    "NAMES_ID",
    "UNMISTAKABLE",
    "WORD",
    "WORD_OR_CODE",
    "IdTemplate",
    "RecordedIds",
    "deep_renamed",
]

_SAFE: Final = re.compile(
    r"(?:\b|(?<=%[0-9a-fA-F]{2}))[0-9a-fA-F]{8}(?:(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{24})\b"
)
_STRING: Final = r'"((?:[^"\\]|\\.)*+)"'
# Where a client or prompt id stands in ComfyUI's JSON (protocol.md, sections 2, 6 to 9).
_PLACED: Final = re.compile(
    rf'"(?:client_id|clientId|sid|prompt_id|id)"\s*:\s*{_STRING}'
    rf"|\[\s*-?[0-9.e+]+\s*,\s*{_STRING}\s*,\s*\{{"
    rf'|{_STRING}\s*:\s*\{{\s*"prompt"\s*:\s*\['
)

# Those of clients and prompts are replaced by what they are.
NAMES_ID: Final = re.compile(
    r"(?!(?:client_id|clientId|prompt_id|promptId|sid)$)(?:id|.*(?:_id|Id|_ids))"
)
UNMISTAKABLE: Final = 1_000_000
"""A number from here on is hardly another one: no size, no limit of a list."""
# A number behind such a key, or in a path behind a word.
_NUMBER: Final = re.compile(
    r'"(?:id|[^"\\]*(?:_id|Id))"\s*:\s*(\d+)(?![\d.eE])'
    r'|(?:^|["/])[\d%.-]*+[A-Za-z_][\w%.-]*+/(\d+)(?![\w.%-])'
)

WORD: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")
WORD_OR_CODE: Final = re.compile(rf"%[0-9a-fA-F]{{2}}|{WORD.pattern}")

_FEW: Final = 16
"""Up to so many ids it is quicker to look for each of them than for their shape."""

Rename = Callable[[str], str]


class IdTemplate:
    """A text with gaps where ids stood."""

    __slots__ = ("_ids", "_words")

    def __init__(self, words: list[str], ids: list[str]) -> None:
        self._words, self._ids = words, ids

    def filled(self, rename: Rename) -> str:
        """The text with each recorded id renamed."""
        pieces = [self._words[0]]
        for recorded, words in zip(self._ids, self._words[1:], strict=True):
            pieces += (_escaped(rename(recorded)), words)
        return "".join(pieces)


class RecordedIds:
    """All ids that a recording holds.

    Args:
        ids: of prompts and clients.
        words: ids of other kinds.
        authorities: ``host:port`` whose place the replay's own takes.
    """

    def __init__(
        self, ids: Iterable[str], words: Iterable[str] = (), authorities: Iterable[str] = ()
    ) -> None:
        known = {i for i in ids if i}
        self._safe = frozenset(i for i in known if _SAFE.fullmatch(i))
        self._placed = frozenset(known - self._safe)
        # As they stand in JSON: most messages hold none of them, which is quickly seen.
        self._quoted = tuple(json.dumps(i) for i in self._placed)
        self._words = frozenset(words) - known
        self._authorities = tuple(sorted(authorities, key=len, reverse=True))
        self._encoded = tuple(quote(host, safe="").lower() for host in self._authorities)
        hosts = "|".join(map(re.escape, self._authorities))
        encoded = "|".join(map(re.escape, self._encoded))
        before = r"(?:\b|(?<=%[0-9a-f]{2}))"
        self._address = re.compile(
            rf"(?:{before}(?P<scheme>https?|wss?)://|:\\/\\/)(?P<host>{hosts})(?![\w.:-])"
            rf"|{before}(?:https?|wss?)%3a%2f%2f(?:{encoded})(?![\w.-]|%3a\d)",
            re.IGNORECASE,
        )

    def __contains__(self, word: str) -> bool:
        return word in self._safe or word in self._placed or word in self._words

    def template(self, text: str, numbers: Collection[str] = ()) -> IdTemplate | None:
        """Where ids stand in the text; None when there are none and it can be used as it is.

        Args:
            text: of a message, a body or a header.
            numbers: ids that are numbers, of what the text is about.
        """
        found = self._found_by_shape(text)
        if any(quoted in text for quoted in self._quoted):
            found = sorted(found + self._found_by_place(text))
        if numbers:
            found += _numbers_in(text, numbers)
        if self._words or self._authorities or numbers:
            found = _apart(sorted([*found, *self._found_words(text), *self._found_addresses(text)]))
        if not found:
            return None
        words, ids, behind = [], [], 0
        for start, end, recorded in found:
            words.append(text[behind:start])
            ids.append(recorded)
            behind = end
        return IdTemplate([*words, text[behind:]], ids)

    def _found_by_shape(self, text: str) -> list[tuple[int, int, str]]:
        if len(self._safe) <= _FEW and not any(i in text for i in self._safe):
            return []
        return [(m.start(), m.end(), m[0]) for m in _SAFE.finditer(text) if m[0] in self._safe]

    def _found_by_place(self, text: str) -> list[tuple[int, int, str]]:
        found = []
        at = 0
        while match := _PLACED.search(text, at):
            group = match.lastindex or 1
            word = _unescaped(match[group])
            if word in self._placed:
                found.append((match.start(group), match.end(group), word))
            # One place may begin inside the other: [3, "id", {"prompt_id": ...
            at = match.end(group)
        return found

    def _found_words(self, text: str) -> Iterator[tuple[int, int, str]]:
        if len(self._words) <= _FEW and not any(i in text for i in self._words):
            return
        for match in WORD_OR_CODE.finditer(text):
            if match[0] in self._words:
                yield match.start(), match.end(), match[0]

    def _found_addresses(self, text: str) -> Iterator[tuple[int, int, str]]:
        if not any(slash in text for slash in ("//", "\\/", "%2F", "%2f")):
            return
        folded = text.lower()
        if not any(host in folded for host in (*self._authorities, *self._encoded)):
            return
        for match in self._address.finditer(text):
            if match["scheme"] or match["host"] is None:
                yield match.start(), match.end(), match[0]
            else:
                # Slashes that are escaped stay as they are.
                yield match.start("host"), match.end("host"), f"//{match['host']}"

    def renamed(self, text: str, rename: Rename, numbers: Collection[str] = ()) -> str:
        """The text with each recorded id renamed, for texts that are looked at once."""
        template = self.template(text, numbers)
        return text if template is None else template.filled(rename)


def _numbers_in(text: str, numbers: Collection[str]) -> Iterator[tuple[int, int, str]]:
    for match in _NUMBER.finditer(text):
        group = match.lastindex or 1
        if match[group] in numbers:
            yield match.start(group), match.end(group), match[group]


def _apart(found: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Those that do not begin inside another one."""
    apart: list[tuple[int, int, str]] = []
    for start, end, recorded in found:
        if not apart or start >= apart[-1][1]:
            apart.append((start, end, recorded))
    return apart


def _escaped(word: str) -> str:
    return json.dumps(word)[1:-1]


def _unescaped(word: str) -> str:
    if "\\" not in word:
        return word
    try:
        return str(json.loads(f'"{word}"'))
    except ValueError:
        return word


_ID_KEYS: Final = frozenset(
    ("client_id", "clientId", "sid", "prompt_id", "id", "delete", "job_ids")
)


def _may_be_id(text: str) -> bool:
    if "://" in text:
        return True
    return _ID_MIN <= len(text) <= _ID_MAX and WORD.fullmatch(text) is not None


_ID_MIN: Final = 8
_ID_MAX: Final = 128


def deep_renamed(value: Any, rename: Rename, key: str = "") -> Any:
    """A JSON value with its ids renamed: what may be nothing else anywhere, others behind the keys
    for ids. Addresses, and ids in them, too."""
    if isinstance(value, int) and value >= UNMISTAKABLE and NAMES_ID.fullmatch(key):
        number = rename(str(value))
        return int(number) if number.isdecimal() else value
    if isinstance(value, str):
        return rename(value) if key in _ID_KEYS or _may_be_id(value) else value
    if isinstance(value, list):
        return [deep_renamed(item, rename, key) for item in value]
    if isinstance(value, dict):
        return {
            rename(name) if _SAFE.fullmatch(name) else name: deep_renamed(item, rename, name)
            for name, item in value.items()
        }
    return value
