"""Recordings that were redacted: values stand for others there, of the same form.

A client that has the real values is still served: where nothing fits to the letter, what has the
same form stands for it.
"""

from __future__ import annotations

import json
from typing import Final

from comfyrec.cassette.redact.pseudonyms.standins import comparable
from comfyrec.timeline import Timeline
from fake_server.replay.recorded.request_key import RequestKey

__all__ = ["is_pseudonymous", "manner_form", "place_form", "same_form_of_body"]

_CLASSES: Final = frozenset(("identity", "content"))
_USER: Final = "Comfy-User: "


def is_pseudonymous(timeline: Timeline) -> bool:
    """Whether values of a recording may be stand-ins."""
    return any(_CLASSES & set(session.redacted) for session in timeline.sessions)


def place_form(request_key: RequestKey) -> tuple[object, ...]:
    """Method, path and query, as far as stand-ins have them too."""
    query = tuple((name, comparable(value)) for name, value in request_key.query)
    return request_key.method, comparable(request_key.path), query


def manner_form(request_key: RequestKey) -> tuple[str, ...]:
    """How it was asked, but for who asked."""
    return tuple(word for word in request_key.manner if not word.startswith(_USER))


def same_form_of_body(one: RequestKey, other: RequestKey) -> bool:
    """Whether two bodies differ in nothing but values of the same form."""
    if one.json is not None or other.json is not None:
        return _json_form(one) == _json_form(other)
    if one.body_bytes != other.body_bytes:
        return False
    return list(map(comparable, one.body_form)) == list(map(comparable, other.body_form))


def _json_form(request_key: RequestKey) -> str:
    return comparable(json.dumps(request_key.json, sort_keys=True))
