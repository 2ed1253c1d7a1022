"""``/__fake__/``: the control plane, for tests in any language.

Nothing here has a name that the real server uses. Answers are JSON; what cannot be done is answered
with 400 and ``{"error": sentence}``, a wait in vain with 409.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, Final

import msgspec

from comfyrec import __version__
from comfyrec.control.controlled import UI_PATH, Controlled
from comfyrec.control.faults import FAULTS, time_of
from comfyrec.control.holds import HOLDS
from comfyrec.control.judging import JUDGING
from comfyrec.control.openapi import document
from comfyrec.control.operation import Answer, Empty, Operation, read_body, read_query
from comfyrec.control.seen import SEEN
from comfyrec.control.servers import SERVERS
from comfyrec.control.serving import SERVING, played_by
from comfyrec.control.shapes import Error, OpenApi, State
from comfyrec.errors import ComfyrecError
from comfyrec.http.origin import is_foreign
from comfyrec.http.request import Request
from comfyrec.testing.handle import WaitedTooLong
from comfyrec.wording import nearest
from fake_server.server.server import CONTROL_PATH
from fake_server.source import Response

if TYPE_CHECKING:
    from comfyrec.control.page import ServerPage

__all__ = ["OPERATIONS", "Plane", "openapi"]

_JSON: Final = (("Content-Type", "application/json; charset=utf-8"),)
_OF_A_CHILD: Final = re.compile(r"/servers/(\d{1,9})(/.*|$)")
_NUMBER: Final = re.compile(r"/(\d{1,9})$")


class Plane:
    """The control plane of one server and of those that it makes."""

    def __init__(self, controlled: Controlled) -> None:
        self._controlled = controlled
        self._page: ServerPage | None = None

    def answer(self, request: Request) -> Response | Coroutine[Any, Any, Response]:
        """Answer one request below ``/__fake__``."""
        if _is_foreign(request):
            return _failed("a page of another origin cannot use the control plane", 403)
        below = request.parts.raw_path.removeprefix(CONTROL_PATH)
        if below == UI_PATH or below.startswith(f"{UI_PATH}/"):
            return self._server_page().answer(request, below)
        path = below.rstrip("/")
        try:
            return _answer(self._controlled, request, path)
        except (ComfyrecError, ValueError) as error:
            return _failed(str(error), 400)

    def _server_page(self) -> ServerPage:
        if self._page is None:
            # Few servers are looked at; the others start without what draws pages.
            from comfyrec.control.page import ServerPage

            self._page = ServerPage(self._controlled)
        return self._page


def _answer(
    controlled: Controlled, request: Request, path: str
) -> Response | Coroutine[Any, Any, Response]:
    method = "GET" if request.method == "HEAD" else request.method
    below = _OF_A_CHILD.fullmatch(path)
    if below and (below[2] or method != "DELETE"):
        return _answer(controlled.child(int(below[1])), request, below[2])
    number = _NUMBER.search(path)
    by_method = ROUTES.get(_NUMBER.sub("/{id}", path))
    if by_method is None:
        return _failed(_no_such_path(path), 404)
    operation = by_method.get(method)
    if operation is None:
        allow = ", ".join(by_method)
        said = f"{CONTROL_PATH}{path} takes {allow}, not {method}"
        return _failed(said, 405, (("Allow", allow),))
    query, body = read_query(operation, request), read_body(operation, request)
    given = query if operation.body is Empty else body
    result = operation.act(controlled, given, *([int(number[1])] if number else []))
    return _told(result) if isinstance(result, Answer) else _told_later(result)


async def _told_later(answer: Awaitable[Answer]) -> Response:
    try:
        return _told(await answer)
    except WaitedTooLong as waited:
        return _failed(str(waited), 409)
    except (ComfyrecError, ValueError) as error:
        return _failed(str(error), 400)


def _told(answer: Answer) -> Response:
    return Response(200, _JSON, json.dumps(msgspec.to_builtins(answer)).encode())


def _failed(sentence: str, status: int, more: tuple[tuple[str, str], ...] = ()) -> Response:
    told = json.dumps(msgspec.to_builtins(Error(error=sentence)))
    return Response(status, (*_JSON, *more), told.encode())


def _no_such_path(path: str) -> str:
    near = nearest(path, [route for route in ROUTES if "{" not in route])
    hint = f"did you mean {CONTROL_PATH}{near}?" if near else f"GET {CONTROL_PATH}/ lists all"
    return f"there is no {CONTROL_PATH}{path}; {hint}"


def _is_foreign(request: Request) -> bool:
    """Whether a web page of another origin asks."""
    return is_foreign(
        request.header("Host"), request.header("Origin"), request.header("Sec-Fetch-Site")
    )


# --- what this is ----------------------------------------------------------------------------


def _state(controlled: Controlled, _: Empty) -> State:
    server, plays = controlled.server, played_by(controlled)
    held = server.held
    return State(
        what="a simulated ComfyUI server; this is its control plane, not a part of ComfyUI",
        comfyrec=__version__,
        url=server.url,
        ws_url=server.ws_url,
        seed=server.settings.seed,
        scenario=plays.scenario,
        scenarios=plays.scenarios,
        cassette=plays.cassette,
        time=time_of(controlled),
        held_at=None if held is None else str(held),
        facts=dict(server.handle.server.source.facts()),
        routes={
            f"{CONTROL_PATH}{path or '/'}": list(by_method) for path, by_method in ROUTES.items()
        },
    )


def openapi() -> OpenApi:
    """The OpenAPI document of the control plane."""
    return OpenApi(**document(OPERATIONS, CONTROL_PATH))


OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation("state", "GET", "", "What this is and does.", _state, State),
    Operation(
        "openapi",
        "GET",
        "/openapi.json",
        "This description, as an OpenAPI document.",
        lambda controlled, _: openapi(),
        OpenApi,
    ),
    *SERVERS,
    *SERVING,
    *SEEN,
    *HOLDS,
    *JUDGING,
    *FAULTS,
)
ROUTES: Final[dict[str, dict[str, Operation]]] = {}
for _operation in OPERATIONS:
    ROUTES.setdefault(_operation.path, {})[_operation.method] = _operation
