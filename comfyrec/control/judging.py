"""Operations that judge what a client did: how often it requested what, and the assertions."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, Final

from comfyrec.control.controlled import Controlled
from comfyrec.control.operation import Operation
from comfyrec.control.seen import body_of
from comfyrec.control.shapes import AssertBody, RequestPattern, Verdict, Verified, VerifyBody
from comfyrec.errors import UsageError
from comfyrec.testing import assertions
from comfyrec.testing.handle import WaitedTooLong
from comfyrec.testing.observed import SeenRequest
from comfyrec.wording import plural, shortened_list

__all__ = ["JUDGING"]

NEAR_MAX: Final = 5


def _verify(controlled: Controlled, body: VerifyBody) -> Verified:
    least, most = _bounds(body)
    seen = controlled.server.requests
    why = [list(_misfits(one, body.request)) for one in seen]
    count = sum(not misfits for misfits in why)
    if least <= count and (most is None or count <= most):
        return Verified(ok=True, count=count, near=[])
    near = [
        f"{one}: {'; '.join(misfits)}"
        for one, misfits in sorted(zip(seen, why, strict=True), key=lambda pair: len(pair[1]))
        if misfits
    ]
    wanted = f"{least}" if most == least else f"{least} to {'any number' if most is None else most}"
    said = f"{plural(count, 'request')} of that kind came, expected {wanted}"
    return Verified(ok=False, message=said, count=count, near=shortened_list(near, NEAR_MAX))


def _bounds(body: VerifyBody) -> tuple[int, int | None]:
    if body.count is not None:
        if body.at_least is not None or body.at_most is not None:
            raise UsageError('give either "count", or "at_least" and "at_most"')
        return body.count, body.count
    least = body.at_least if body.at_least is not None else 0 if body.at_most is not None else 1
    if body.at_most is not None and body.at_most < least:
        raise UsageError(f'"at_most" is {body.at_most}, which is below "at_least", {least}')
    return least, body.at_most


def _misfits(seen: SeenRequest, wanted: RequestPattern) -> Iterator[str]:
    """In what a request is not like the pattern."""
    if wanted.method not in (None, seen.method):
        yield f"its method is {seen.method}, not {wanted.method}"
    if wanted.path is not None and not fnmatchcase(seen.path, wanted.path):
        yield f"its path is {seen.path}, not {wanted.path}"
    if wanted.status not in (None, seen.status):
        yield f"its status is {seen.status}, not {wanted.status}"
    for name, value in wanted.query.items():
        if value not in seen.query.get(name, []):
            yield f"its query has {name}={seen.query.get(name)}, not {value!r}"
    for name, value in wanted.headers.items():
        values = [own for header, own in seen.headers if header.lower() == name.lower()]
        if value not in values:
            yield f"its header {name} is {values}, not {value!r}"
    if wanted.json is not None:
        yield from _lacks(body_of(seen), wanted.json, "")


def _lacks(found: Any, wanted: Any, place: str) -> Iterator[str]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name, value in wanted.items():
            below = f"{place}/{name}" if place else name
            if name not in found:
                yield f"its body has no {below}"
            else:
                yield from _lacks(found[name], value, below)
    elif found != wanted or type(found) is not type(wanted):
        yield f"its body is {found!r} at {place or 'the top'}, not {wanted!r}"


async def _assert(controlled: Controlled, body: AssertBody) -> Verdict:
    try:
        await _judge(controlled, body)
    except (AssertionError, WaitedTooLong) as failed:
        return Verdict(ok=False, message=str(failed))
    return Verdict(ok=True)


async def _judge(controlled: Controlled, body: AssertBody) -> None:
    seen = controlled.server.seen()
    match body.name:
        case "one_terminal_event":
            assertions.one_terminal_event(seen, body.prompt_id)
        case "interrupted":
            assertions.interrupted(seen, body.prompt_id)
        case "no_foreign_prompt_used":
            assertions.no_foreign_prompt_used(seen)
        case "socket_before_post":
            assertions.socket_before_post(seen)
        case "all_closed":
            server = controlled.server
            what = "the client to close its WebSockets"
            await controlled.until(lambda: server.all_closed, what, body.timeout_s)
        case "prompt":
            if body.expected is None:
                raise UsageError('the assertion "prompt" takes {"expected": the graph}')
            assertions.prompt_equals(seen, body.expected)


JUDGING: Final = (
    Operation(
        "verify", "POST", "/verify",
        "Whether so many such requests came; if not, which ones all but fit.",
        _verify, Verified, VerifyBody,
        example={"request": {"method": "POST", "path": "/prompt"}, "count": 1},
    ),
    Operation(
        "assert", "POST", "/assert", "Whether an assertion of the pytest fixture holds.",
        _assert, Verdict, AssertBody, example={"name": "one_terminal_event"},
    ),
)  # fmt: skip
