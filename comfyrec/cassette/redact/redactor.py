"""record -> the same record without what the chosen classes of redaction hide."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from comfyrec.cassette.redact.address import hide_in_url
from comfyrec.cassette.redact.secret_redactor import SecretRedactor
from comfyrec.errors import UsageError

__all__ = ["CLASSES", "Redactor", "check_classes", "hide_in_url"]

CLASSES: Final = {
    "secret": "keys, tokens, passwords, cookies: always",
}
"""Classes of redaction that this version applies. ``identity`` (stable stand-ins for ids, hosts and
paths) and ``content`` (prompts, names, pixels) join here with the rules that they need."""

_LATER: Final = ("identity", "content")


def check_classes(names: Iterable[str]) -> tuple[str, ...]:
    """The classes to apply, ``secret`` among them.

    Raises:
        UsageError: a class that is unknown, or not available yet.
    """
    wanted = tuple(dict.fromkeys(("secret", *names)))
    for name in wanted:
        if name in _LATER:
            raise UsageError(
                f"--redact {name} is not supported yet; omit it and do not share the cassette"
            )
        if name not in CLASSES:
            raise UsageError(f"--redact {name}: there is no such class; give {', '.join(CLASSES)}")
    return wanted


class Redactor(SecretRedactor):
    """Redacts records in the order in which they were recorded.

    It remembers what it meets, so use one redactor for one recording.

    Args:
        known_secrets: what must not stand in any record, besides what the rules find.
        classes: of redaction; secrets are always taken out.

    Raises:
        UsageError: a class that is unknown.
    """

    def __init__(
        self, known_secrets: Iterable[str | bytes] = (), *, classes: Iterable[str] = ("secret",)
    ) -> None:
        super().__init__(known_secrets)
        self.classes = check_classes(classes)
