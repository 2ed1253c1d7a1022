"""``/__fake__/``: the control plane, for tests in any language.

Nothing here has a name that the real server uses. Answers are JSON; what cannot be done is answered
with 400 and ``{"error": sentence}``.
"""

from __future__ import annotations

import ipaddress
import json
import math
from collections.abc import Callable
from typing import Any, Final, TypeGuard
from urllib.parse import urlsplit

from comfyrec import __version__
from comfyrec.errors import ComfyrecError, UsageError
from comfyrec.wording import did_you_mean, nearest
from fake_server.server.clock import MAX
from fake_server.server.server import CONTROL_PATH, Server
from fake_server.source import PARTS, Request, Response, Source

__all__ = ["RESETS", "Control", "ScenarioMaker"]

ScenarioMaker = Callable[[str, dict[str, Any]], Source]
"""Scenario name and parameters -> the source that plays it."""
RESETS: Final = (*PARTS, "scenario", "journal")
_JSON: Final = (("Content-Type", "application/json; charset=utf-8"),)
ADVANCE_S_MAX: Final = 10 * 365 * 24 * 3_600
"""Ten years; a larger number was meant in another unit."""


class Control:
    """The control plane of one server.

    Args:
        server: which one.
        make: gives the source that the server was started with, fresh.
        make_scenario: gives the source of a scenario; None when scenarios cannot be set.
        about: what ``GET /__fake__/`` says besides the state.
    """

    def __init__(
        self,
        server: Server,
        *,
        make: Callable[[], Source],
        make_scenario: ScenarioMaker | None = None,
        about: dict[str, Any] | None = None,
    ) -> None:
        self._server, self._make, self._make_scenario = server, make, make_scenario
        self._about = about or {}
        self._scenario: dict[str, Any] | None = None
        self._resume_speed = server.clock.speed or 1.0
        # Workflows that a client had this server learn; a source that takes its place knows them.
        self._learned: list[dict[str, Any]] = []

    def answer(self, request: Request) -> Response:
        """Answer one request below ``/__fake__``."""
        if _is_foreign(request):
            return _plain({"error": "a page of another origin cannot use the control plane"}, 403)
        path = request.path.removeprefix(CONTROL_PATH).rstrip("/")
        by_method = _ROUTES.get(path)
        if by_method is None:
            return _plain({"error": _no_such_path(path)}, 404)
        method = "GET" if request.method == "HEAD" else request.method
        if method not in by_method:
            allow = ", ".join(by_method)
            said = f"{CONTROL_PATH}{path} takes {allow}, not {method}"
            return _plain({"error": said}, 405, (("Allow", allow),))
        try:
            return _plain(by_method[method](self, request))
        except (ComfyrecError, ValueError) as error:
            return _plain({"error": str(error)}, 400)

    # --- state -----------------------------------------------------------------------------------

    def _state(self, request: Request) -> dict[str, Any]:
        return {
            "what": "a simulated ComfyUI server; this is its control plane, not a part of ComfyUI",
            "comfyrec": __version__,
            **self._about,
            "scenario": self._scenario or self._about.get("scenario"),
            "time": self._time(request),
            "facts": dict(self._server.source.facts()),
            "routes": {f"{CONTROL_PATH}{path}/".replace("//", "/") if not path else
                       f"{CONTROL_PATH}{path}": list(methods)
                       for path, methods in _ROUTES.items()},
        }  # fmt: skip

    def _put_scenario(self, request: Request) -> dict[str, Any]:
        body = _object(request, {"name", "params"})
        if self._make_scenario is None:
            raise UsageError("this server replays a cassette; scenarios cannot be set")
        if not isinstance(body.get("name"), str):
            raise UsageError('a scenario needs a "name", such as {"name": "success"}')
        params = body.get("params") or {}
        if not isinstance(params, dict):
            raise UsageError('"params" must be an object of parameters')
        self._replace(self._make_scenario(body["name"], params))
        self._scenario = {"name": body["name"], "params": params}
        return {"scenario": self._scenario}

    def _replace(self, source: Source) -> None:
        if self._learned:
            source.learn(self._learned)
        self._server.replace(source)

    def _reset(self, request: Request) -> dict[str, Any]:
        what = _object(request, {"what"}).get("what", list(RESETS))
        if not isinstance(what, list) or not all(name in RESETS for name in what):
            raise UsageError(f'"what" must be a list out of {", ".join(RESETS)}')
        if "scenario" in what:
            self._replace(self._make())
            self._scenario = None
        else:
            self._server.source.reset([name for name in what if name in PARTS])
        if "journal" in what:
            self._server.journal.clear()
        return {"reset": what}

    def _catalogue(self, request: Request) -> dict[str, Any]:
        body = _object(request, {"workflow", "workflows"})
        if len(body) != 1:
            raise UsageError('give {"workflow": a workflow} or {"workflows": [several]}')
        workflows = body.get("workflows", [body.get("workflow")])
        if not isinstance(workflows, list) or not all(isinstance(one, dict) for one in workflows):
            raise UsageError('"workflow" must be an object, and "workflows" a list of objects')
        learned = self._server.source.learn(workflows)
        self._learned += workflows
        return {"learned": dict(learned)}

    # --- journal and sockets --------------------------------------------------------------------

    def _requests(self, request: Request) -> dict[str, Any]:
        journal = self._server.journal
        after = int(request.first("after") or "-1")
        what = request.first("what") or ""
        entries = list(journal.entries(after=after, what=what))
        return {"entries": entries, "forgotten": journal.forgotten}

    def _sockets(self, request: Request) -> dict[str, Any]:
        return {
            "sockets": [
                {"socket": number, "target": asked.target, "peer": asked.peer}
                for number, asked in self._server.open_sockets().items()
            ]
        }

    def _drop(self, request: Request) -> dict[str, Any]:
        body = _object(request, {"socket", "code", "reason"})
        chosen = [body["socket"]] if "socket" in body else list(self._server.open_sockets())
        code, reason = body.get("code"), body.get("reason", "")
        if code is not None and not (isinstance(code, int) and 1000 <= code <= 4999):
            raise UsageError(
                '"code" is a close code from 1000 to 4999; without one the socket is cut'
            )
        if not isinstance(reason, str) or len(reason.encode()) > 123:
            raise UsageError('"reason" is a text of at most 123 bytes')
        dropped = [number for number in chosen if self._server.drop(number, code, reason)]
        if "socket" in body and not dropped:
            raise UsageError(
                f"there is no open socket {body['socket']!r}; GET {CONTROL_PATH}/sockets"
            )
        return {"dropped": dropped}

    # --- time ------------------------------------------------------------------------------------

    def _time(self, request: Request) -> dict[str, Any]:
        clock = self._server.clock
        speed = "max" if clock.speed == MAX else clock.speed
        return {"now_us": clock.now(), "speed": speed, "next_us": clock.next_moment}

    def _pause(self, request: Request) -> dict[str, Any]:
        self._resume_speed = self._server.clock.speed or self._resume_speed
        self._server.clock.set_speed(0.0)
        return self._time(request)

    def _resume(self, request: Request) -> dict[str, Any]:
        if self._server.clock.speed == 0:
            self._server.clock.set_speed(self._resume_speed)
        return self._time(request)

    def _step(self, request: Request) -> dict[str, Any]:
        return {"stepped": self._server.clock.step() is not None, **self._time(request)}

    def _advance(self, request: Request) -> dict[str, Any]:
        seconds = _object(request, {"seconds"}).get("seconds")
        if not _is_number(seconds) or not 0 <= seconds <= ADVANCE_S_MAX:
            raise UsageError('advance takes {"seconds": a number, not negative}')
        self._server.clock.advance(round(seconds * 1_000_000))
        return self._time(request)

    def _speed(self, request: Request) -> dict[str, Any]:
        speed = _object(request, {"speed"}).get("speed")
        number = MAX if speed == "max" else speed
        if not _is_number(number) or number < 0:
            raise UsageError('speed takes {"speed": a number from 0, or "max"}')
        self._server.clock.set_speed(float(number))
        return self._time(request)


def _is_foreign(request: Request) -> bool:
    """Whether a web page of another origin asks: browsers say so, and tests are no browsers.

    A browser must also have reached the server by an address or as localhost. A page can have its
    own name lead to this machine, and is then of the same origin as the server.
    """
    origin, site = request.header("Origin"), request.header("Sec-Fetch-Site")
    if not origin and not site:
        return False
    host = request.header("Host").lower()
    if site and site not in ("same-origin", "none"):
        return True
    if origin and urlsplit(origin.lower()).netloc != host:
        return True
    return not _is_address(host)


def _is_address(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


_ROUTES: Final[dict[str, dict[str, Callable[[Control, Request], dict[str, Any]]]]] = {
    "": {"GET": Control._state},
    "/scenario": {"PUT": Control._put_scenario},
    "/catalogue": {"POST": Control._catalogue},
    "/reset": {"POST": Control._reset},
    "/requests": {"GET": Control._requests},
    "/sockets": {"GET": Control._sockets, "DELETE": Control._drop},
    "/sockets/drop": {"POST": Control._drop},
    "/time": {"GET": Control._time},
    "/time/pause": {"POST": Control._pause},
    "/time/resume": {"POST": Control._resume},
    "/time/step": {"POST": Control._step},
    "/time/advance": {"POST": Control._advance},
    "/time/speed": {"PUT": Control._speed, "POST": Control._speed},
}


def _plain(value: Any, status: int = 200, more: tuple[tuple[str, str], ...] = ()) -> Response:
    return Response(status, (*_JSON, *more), json.dumps(value).encode())


def _no_such_path(path: str) -> str:
    near = nearest(path, _ROUTES)
    hint = f"did you mean {CONTROL_PATH}{near}?" if near else f"GET {CONTROL_PATH}/ lists all"
    return f"there is no {CONTROL_PATH}{path}; {hint}"


def _object(request: Request, known: set[str]) -> dict[str, Any]:
    """The body, an object with no other keys; an empty body is an empty object."""
    if not request.body.strip():
        return {}
    try:
        body = request.read_json()
    except (ValueError, RecursionError):
        raise UsageError("the body is not valid JSON") from None
    if not isinstance(body, dict):
        raise UsageError("the body must be a JSON object")
    for name in body.keys() - known:
        hint = did_you_mean(name, known, otherwise=f"it has {', '.join(sorted(known))}")
        raise UsageError(f"the body has no field {name!r}; {hint}")
    return body


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
