"""One operation of the control plane: what it takes, what it gives, and how it says no."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from comfyrec.errors import UsageError
from comfyrec.http.request import Request
from comfyrec.wording import did_you_mean, kinds_in_words

__all__ = ["Answer", "Body", "Empty", "Operation", "read_body", "read_query"]

T = TypeVar("T", bound="Body")


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operation takes: a JSON body, or a query."""


class Empty(Body, frozen=True):
    """Nothing."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation gives, as JSON."""


class Operation(NamedTuple):
    """A method and a path below ``/__fake__``, and what is done there.

    ``act(plane, given)`` or, where the path has ``{id}``, ``act(plane, given, id)`` gives an
    ``Answer``, or one that is awaited.
    """

    name: str
    method: str
    path: str
    summary: str
    act: Callable[..., Any]
    gives: type[Answer]
    body: type[Body] = Empty
    query: type[Body] = Empty
    example: Mapping[str, Any] = {}
    """Of the body."""


def read_body(operation: Operation, request: Request) -> Body:
    """The body of a request; an empty one is an empty object.

    Raises:
        UsageError: it is not JSON, has other fields, or values that do not fit.
    """
    such = f"; write it as in {json.dumps(operation.example)}"
    try:
        raw = msgspec.json.decode(request.body) if request.body.strip() else {}
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise UsageError("the body is not valid JSON") from None
    if not isinstance(raw, dict):
        raise UsageError("the body must be a JSON object")
    _only_known(raw, operation.body, "the body has no field")
    return _converted(raw, operation.body, such if operation.example else "", strict=True)


def read_query(operation: Operation, request: Request) -> Body:
    """The query of a request; of a name that is given twice, the first value counts.

    Raises:
        UsageError: a name that is not understood, or a value that does not fit.
    """
    raw = {name: values[0] for name, values in request.query.items()}
    where = f"{operation.method} {operation.path or '/'} has no filter"
    _only_known(raw, operation.query, where)
    return _converted(raw, operation.query, "", strict=False)


def _only_known(raw: Mapping[str, Any], kind: type[Body], where: str) -> None:
    known = kind.__struct_fields__
    for name in raw:
        if name not in known:
            listed = f"it has {', '.join(known)}" if known else "leave it out"
            hint = did_you_mean(name, known, otherwise=listed)
            raise UsageError(f"{where} {name!r}; {hint}")


def _converted(raw: Mapping[str, Any], kind: type[T], such: str, *, strict: bool) -> T:
    try:
        return msgspec.convert(raw, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise UsageError(_sentence(str(error), kind, such)) from None


_PLACE: Final = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<place>.*)`)?", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")
_NO_CHOICE: Final = re.compile(r"Invalid enum value '(.*)'", re.DOTALL)


def _sentence(said: str, kind: type[Body], such: str) -> str:
    """What msgspec says, in the words of whoever wrote the JSON."""
    found = _PLACE.fullmatch(said)
    assert found is not None  # the expression matches any text
    missing = _MISSING.fullmatch(found["what"])
    if missing:
        return f'"{missing[1]}" is missing{such}'
    choice = _NO_CHOICE.fullmatch(found["what"])
    if choice:
        choices = _choices(kind, re.split(r"[.\[]", found["place"])[0])
        listed = f"it is one of {', '.join(choices)}"
        hint = did_you_mean(choice[1], choices, otherwise=listed)
        return f'"{found["place"]}" is {choice[1]!r}, which is unknown; {hint}'
    what = kinds_in_words(found["what"])
    return f'"{found["place"]}" is wrong: {what[:1].lower()}{what[1:]}{such}'


def _choices(kind: type[Body], field: str) -> list[str]:
    """The texts that a field may have, in the order of its type."""
    schema = msgspec.json.schema(kind)
    about = schema["$defs"][kind.__name__]["properties"].get(field, {})
    alternatives = [about, about.get("items", {}), *about.get("anyOf", ())]
    names = [name for one in alternatives for name in one.get("enum", ()) if name is not None]
    return [str(name) for name in names]
