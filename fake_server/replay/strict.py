"""A strict replay's complaints: what was not recorded, what comes closest, what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from fake_server.replay.recorded.recorded_answers import RecordedAnswers
from fake_server.replay.recorded.request_key import RequestKey
from fake_server.replay.rewrite_response import json_answer
from fake_server.source import Response

__all__ = ["StrictMode"]

COMPLAINTS_MAX: Final = 1_000
STATUS: Final = 500


class StrictMode:
    """Refuses what was not recorded, and remembers it.

    Args:
        answers: what was recorded.
        mend: the end of each sentence: what can be done about it.
        notify: gets each sentence when it first comes up.

    Attributes:
        complaints: one sentence each.
    """

    def __init__(
        self, answers: RecordedAnswers, mend: str = "", notify: Callable[[str], None] | None = None
    ) -> None:
        self._answers, self._mend, self._notify = answers, mend, notify
        self.complaints: list[str] = []

    def refuse_request(self, request_key: RequestKey) -> Response:
        """A request that nobody made while recording."""
        exchanges = self._answers.closest(request_key)
        found = list(_differences(request_key, exchanges[0].request_key)) if exchanges else []
        closest = [str(recorded.request_key) for recorded in exchanges]
        return self.refuse(f"{request_key} was not recorded", closest, found)

    def refuse(
        self, what: str, closest: Sequence[str], found: Sequence[str], mend: str = ""
    ) -> Response:
        """The error answer.

        Args:
            what: was asked.
            closest: recorded requests, the nearest first.
            found: in what it differs from the nearest one.
            mend: how it gets into the recording, if that is another way than for other requests.
        """
        nearest = f"; closest: {closest[0]}" if closest else ""
        detail = f" ({'; '.join(found)})" if found else ""
        if len(self.complaints) < COMPLAINTS_MAX:
            complaint = f"{what}{nearest}{detail}{mend or self._mend}"
            if self._notify is not None and complaint not in self.complaints:
                self._notify(complaint)
            self.complaints.append(complaint)
        error = {
            "type": "not_recorded",
            "message": what,
            "details": "; ".join(found),
            "extra_info": {"closest": list(closest), "differences": list(found)},
        }
        return json_answer({"error": error, "node_errors": {}}, STATUS, "strict")


def _differences(asked: RequestKey, recorded: RequestKey) -> Iterator[str]:
    if asked.method != recorded.method:
        yield f"method {asked.method}, recorded was {recorded.method}"
    if asked.path != recorded.path:
        yield f"path {asked.path}, recorded was {recorded.path}"
    ours, theirs = dict(asked.query), dict(recorded.query)
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            yield f"query {name}={ours.get(name)}, recorded was {theirs.get(name)}"
    if asked.manner != recorded.manner:
        yield f"asked as {_words(asked.manner)}, recorded was {_words(recorded.manner)}"
    if not asked.has_body_of(recorded):
        yield "the body differs"


def _words(manner: tuple[str, ...]) -> str:
    return ", ".join(word for word in manner if word)
