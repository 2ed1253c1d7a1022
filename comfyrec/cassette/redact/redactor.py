"""record -> the same record without what the chosen classes of redaction hide."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

from comfyrec.cassette.records import AnyRecord, HttpPart, Side
from comfyrec.cassette.redact.address import hide_in_url
from comfyrec.cassette.redact.secret_redactor import SecretRedactor
from comfyrec.errors import UsageError

__all__ = ["CLASSES", "Redactor", "check_classes", "hide_in_url", "kinds_of"]

CLASSES: Final = {
    "secret": "keys, tokens, passwords, cookies: always",
    "identity": "hosts, users, paths, ids, devices: stand-ins, the same all through",
    "content": "prompts, titles, file names, texts, pixels",
}
"""Classes of redaction."""


def check_classes(names: Iterable[str]) -> tuple[str, ...]:
    """The classes to apply, ``secret`` among them, in one order.

    Args:
        names: of classes, or several of them with commas between.

    Raises:
        UsageError: a class that is unknown.
    """
    wanted = {"secret"}
    for name in (one.strip() for listed in names for one in listed.split(",")):
        if name not in CLASSES:
            raise UsageError(f"--redact {name}: there is no such class; give {', '.join(CLASSES)}")
        wanted.add(name)
    return tuple(name for name in CLASSES if name in wanted)


def kinds_of(classes: Collection[str], keep: Iterable[str] = ()) -> frozenset[str]:
    """The kinds of values that classes hide.

    Args:
        classes: of redaction.
        keep: classes and kinds that stay.

    Raises:
        UsageError: what is to be kept is not known, or a secret.
    """
    from comfyrec.cassette.redact.pseudonyms.telling import KINDS

    kept = {one.strip() for listed in keep for one in listed.split(",")}
    known = {*KINDS, *CLASSES} - {"secret"}
    for name in sorted(kept - known):
        why = "secrets are never kept" if name == "secret" else "there is no such class or kind"
        raise UsageError(f"--keep {name}: {why}; there are {', '.join(sorted(known))}")
    return frozenset(
        kind
        for kind, redaction in KINDS.items()
        if redaction in classes and not kept & {kind, redaction}
    )


class Redactor:
    """Redacts records in the order in which they were recorded.

    It remembers what it meets, so use one redactor for one recording.

    Args:
        known_secrets: what must not stand in any record, besides what the rules find.
        classes: of redaction; secrets are always taken out.
        keep: classes and kinds that stay all the same.
        headers: names of header fields whose values are secret, besides those that the rules know.

    Raises:
        UsageError: a class that is unknown, or cannot be kept.
    """

    record: Callable[[AnyRecord], AnyRecord]
    """The record redacted; the very same object when there is nothing in it."""
    is_clean_text: Callable[[bytes], bool]
    """Whether a whole text holds nothing to hide, told quickly; False is 'look closer'."""

    def __init__(
        self,
        known_secrets: Iterable[str | bytes] = (),
        *,
        classes: Iterable[str] = ("secret",),
        keep: Iterable[str] = (),
        headers: Iterable[str] = (),
    ) -> None:
        self.classes = check_classes(classes)
        self.kept = sorted({one.strip() for listed in keep for one in listed.split(",")})
        """Classes and kinds that stay."""
        self._secrets = SecretRedactor(known_secrets, headers)
        self.pseudonymizer = None
        kinds = kinds_of(self.classes, keep)
        if not kinds:
            # Nothing stands between: secrets alone must not be slower for what others choose.
            self.record, self.is_clean_text = self._secrets.record, self._secrets.is_clean_text
            return
        from comfyrec.cassette.redact.pseudonyms.pseudonymizer import Pseudonymizer

        self.pseudonymizer = Pseudonymizer(kinds)
        self.record, self.is_clean_text = self._both, _never

    def _both(self, record: AnyRecord) -> AnyRecord:
        assert self.pseudonymizer is not None, "this is used with other classes only"
        return self.pseudonymizer.record(self._secrets.record(record))

    @property
    def known(self) -> tuple[bytes, ...]:
        """The secrets met or given so far."""
        return self._secrets.known

    def knows_secrets(self) -> bool:
        """Whether anything was met or given that may stand in records before."""
        others = self.pseudonymizer is not None and bool(self.pseudonymizer.substitutes.known)
        return others or self._secrets.knows_secrets()

    def rescan(self) -> None:
        """The same records come once more, from the first on, for what was met since."""
        self._secrets.rescan()
        if self.pseudonymizer is not None:
            self.pseudonymizer.rescan()

    def take_unread(self) -> list[tuple[int, str]]:
        """What was not looked into since this was asked last: connection and why, each once."""
        unread = self._secrets.take_unread()
        if self.pseudonymizer is not None and self.pseudonymizer.unread:
            unread += [one for one in self.pseudonymizer.unread if one not in unread]
            self.pseudonymizer.unread.clear()
        return unread

    def later(self) -> Redactor:
        """One that looks through finished records for what is known now, while this goes on."""
        later = Redactor(self.known)
        if self.pseudonymizer is not None:
            later.pseudonymizer = self.pseudonymizer.later()
            later.record, later.is_clean_text = later._both, _never
        return later

    def begin_again(self) -> None:
        """All records come once more, from the first on: what is known now holds from there on."""
        self._secrets.rescan()
        if self.pseudonymizer is not None:
            self.pseudonymizer.forget_messages()

    def take_held(self, conn: int, side: Side) -> list[HttpPart]:
        """The piece of a body that was kept until it is whole, when its connection ends before."""
        return [] if self.pseudonymizer is None else self.pseudonymizer.take_held(conn, side)

    def take_all_held(self) -> list[HttpPart]:
        """The same of all connections: the recording ends."""
        return [] if self.pseudonymizer is None else self.pseudonymizer.take_all_held()


def _never(payload: bytes) -> bool:
    return False
