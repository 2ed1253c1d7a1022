"""Operators on requests and responses: other ones by route, and late, cut or missing ones.

They are about the client under test only; the scenario's other users always get the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from fake_server.scenarios.kit.observer import MILLISECOND, Observer
from fake_server.scenarios.kit.operator import DoLater, Operator, Step, Tally
from fake_server.scenarios.kit.requests import read_json, route, write_json
from fake_server.source import (
    Action,
    Happened,
    Request,
    RequestAborted,
    RequestReceived,
    Respond,
    Response,
    UpgradeRequested,
    Woke,
)

__all__ = [
    "VIEW",
    "change_request",
    "change_response",
    "delay_response",
    "hang",
    "html_page",
    "patch_json",
    "per_response",
    "respond",
    "text_response",
    "truncate",
]

VIEW = route("GET /view")

Fits = Callable[[Request], bool]

ResponseChange = Callable[[Respond, Request, Observer], Iterator[Step] | None]
"""A response on its way to the client -> what is done in its place; None lets it pass."""


def text_response(text: str, status: int) -> Response:
    """A plain text response, as aiohttp gives its errors."""
    return Response(status, (("Content-Type", "text/plain; charset=utf-8"),), text.encode())


def html_page(status: int, title: str) -> Response:
    """What a proxy shows in place of the server behind it."""
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Response(status, (("Content-Type", "text/html; charset=utf-8"),), page.encode())


# --- in place of the source ----------------------------------------------------------------------


def respond(
    fits: Fits,
    name: str,
    response: Response | Callable[[Request, Observer], Response],
    *,
    times: int | None = None,
    when: Callable[[Request, Observer], bool] | None = None,
    needed: bool = False,
) -> Operator:
    """Requests that never reach the source and get this response, ``times`` times."""
    tally = Tally(f"respond to {name}", needed=needed)

    def fitting(request: Request, observer: Observer) -> bool:
        return fits(request) and not tally.spent(times) and (not when or when(request, observer))

    def hear(happened: Happened, observer: Observer) -> Iterator[Step]:
        if isinstance(happened, RequestReceived) and fitting(happened.request, observer):
            tally.hit()
            made = response(happened.request, observer) if callable(response) else response
            yield Respond(happened.exchange, made)
        else:
            yield happened

    return Operator(tally, hear)


def hang(
    fits: Fits,
    name: str,
    *,
    times: int | None = None,
    sockets: bool = False,
    needed: bool = False,
) -> Operator:
    """Requests, and with ``sockets`` upgrades, that are never answered."""
    tally = Tally(f"hang {name}", needed=needed)
    kinds = (RequestReceived, UpgradeRequested) if sockets else RequestReceived

    def hear(happened: Happened, observer: Observer) -> Iterator[Step]:
        if isinstance(happened, kinds) and not tally.spent(times) and fits(happened.request):
            tally.hit()
        else:
            yield happened

    return Operator(tally, hear)


def change_request(
    fits: Fits, name: str, change: Callable[[Request, Observer], Request], *, needed: bool = True
) -> Operator:
    """Requests that reach the source as others; one that stays the same is not counted."""
    tally = Tally(f"change {name}", needed=needed)

    def hear(happened: Happened, observer: Observer) -> Iterator[Step]:
        if isinstance(happened, RequestReceived) and fits(happened.request):
            changed = change(happened.request, observer)
            if changed is not happened.request:
                tally.hit()
            happened = RequestReceived(happened.exchange, changed)
        yield happened

    return Operator(tally, hear)


# --- behind the source ---------------------------------------------------------------------------


def per_response(tally: Tally, fits: Fits, change: ResponseChange) -> Operator:
    """An operator that looks at the responses of some routes only."""
    responses = _Responses(tally, fits, change)
    return Operator(tally, responses.hear, responses.act)


class _Responses:
    def __init__(self, tally: Tally, fits: Fits, change: ResponseChange) -> None:
        self.tally, self.fits, self.change = tally, fits, change
        self.requests: dict[int, Request] = {}
        """Those that were not answered yet."""

    def hear(self, happened: Happened, observer: Observer) -> Iterator[Step]:
        if isinstance(happened, RequestReceived) and self.fits(happened.request):
            self.requests[happened.exchange] = happened.request
        elif isinstance(happened, RequestAborted):
            self.requests.pop(happened.exchange, None)
        if not isinstance(happened, Woke):  # an alarm of our own: only time had to get there
            yield happened

    def act(self, action: Action, observer: Observer) -> Iterator[Step]:
        steps = None
        if isinstance(action, Respond) and action.exchange in self.requests:
            whole = action.answer.in_memory()
            reply = msgspec.structs.replace(action, answer=whole)
            steps = self.change(reply, self.requests.pop(action.exchange), observer)
        if steps is None:
            yield action
            return
        self.tally.hit()
        yield from steps


def change_response(
    fits: Fits,
    name: str,
    change: Callable[[Response, Request, Observer], Response],
    *,
    needed: bool = False,
) -> Operator:
    """Responses that are changed on their way; one that stays the same object is not counted."""

    def patch(reply: Respond, request: Request, observer: Observer) -> Iterator[Step] | None:
        changed = change(reply.answer, request, observer)
        return (
            None
            if changed is reply.answer
            else iter((msgspec.structs.replace(reply, answer=changed),))
        )

    return per_response(Tally(f"change {name}", needed=needed), fits, patch)


def patch_json(
    fits: Fits,
    name: str,
    change: Callable[[Any, Request, Observer], Any],
    *,
    needed: bool = False,
) -> Operator:
    """JSON responses of status 200 with another value in them."""

    def patch(response: Response, request: Request, observer: Observer) -> Response:
        value = read_json(response.body)
        if response.status != 200 or value is None:
            return response
        body = write_json(change(value, request, observer))
        return response if body == response.body else msgspec.structs.replace(response, body=body)

    return change_response(fits, name, patch, needed=needed)


def delay_response(fits: Fits, name: str, *, ms: int, needed: bool = False) -> Operator:
    """Responses that take so much longer."""

    def wait(reply: Respond, request: Request, observer: Observer) -> Iterator[Step]:
        yield DoLater(observer.now + ms * MILLISECOND, reply)

    return per_response(Tally(f"delay {name}", needed=needed), fits, wait)


def truncate(fits: Fits, name: str, *, first: int, needed: bool = False) -> Operator:
    """Responses whose connection is cut after the ``first`` bytes of the body."""

    def shorten(response: Response, request: Request, observer: Observer) -> Response:
        if response.status != 200 or len(response.body) <= first:
            return response
        length = ("Content-Length", str(len(response.body)))
        headers = [pair for pair in response.headers if pair[0].lower() != "content-length"]
        return msgspec.structs.replace(
            response, headers=(*headers, length), body=response.body[:first], close=True
        )

    return change_response(fits, f"{name}: cut it off", shorten, needed=needed)
