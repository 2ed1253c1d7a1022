"""Servers that are ComfyUI but for one thing: that thing is named, and no other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
import pytest

from comfyrec.conform.rules import RULES
from comfyrec.conform.server import LiveServer
from comfyrec.conform.verdict import Verdict, judge, look_at
from comfyrec.versions import era_of
from fake_server.nodes.catalogue import Catalogue
from fake_server.options import ServerOptions
from fake_server.server.thread import serve
from fake_server.simulated_server import SimulatedServer
from fake_server.simulator.node_plan import NodePlans, always
from fake_server.source import (
    Action,
    Happened,
    Request,
    RequestReceived,
    Respond,
    Response,
    Send,
    Source,
    UpgradeRequested,
    Wrapper,
)

Answers = Callable[[Request, Response], Response]
Frames = Callable[[dict[str, Any]], list[dict[str, Any]]]


class Departing(Wrapper):
    """A server of which one thing is otherwise.

    Args:
        answers: what comes of each answer.
        frames: what comes of each text frame.
        asks: what comes of each request before it is answered.
    """

    def __init__(
        self,
        inner: Source,
        *,
        answers: Answers | None = None,
        frames: Frames | None = None,
        asks: Callable[[Request], Request] | None = None,
    ) -> None:
        super().__init__(inner)
        self._answers, self._frames, self._asks = answers, frames, asks
        self._open: dict[int, Request] = {}

    def handle(self, happened: Happened, now: int) -> Iterable[Action]:
        """As the inner source, but for that one thing."""
        if isinstance(happened, RequestReceived):
            request = happened.request
            self._open[happened.exchange] = request
            if self._asks is not None:
                happened = msgspec.structs.replace(happened, request=self._asks(request))
        for action in self.inner.handle(happened, now):
            yield from self._changed(action)

    def _changed(self, action: Action) -> Iterator[Action]:
        if isinstance(action, Respond) and self._answers is not None:
            request = self._open.pop(action.exchange, None)
            if request is not None:
                changed = self._answers(request, action.answer)
                action = msgspec.structs.replace(action, answer=changed)
            yield action
        elif isinstance(action, Send) and self._frames and isinstance(action.message, str):
            for frame in self._frames(json.loads(action.message)):
                yield msgspec.structs.replace(action, message=json.dumps(frame))
        else:
            yield action


class ForAll(Wrapper):
    """Sends every frame to all sockets."""

    def __init__(self, inner: Source) -> None:
        super().__init__(inner)
        self._sockets: dict[int, None] = {}

    def handle(self, happened: Happened, now: int) -> Iterable[Action]:
        """As the inner source, to all that ever came."""
        if isinstance(happened, UpgradeRequested):
            self._sockets[happened.socket] = None
        for action in self.inner.handle(happened, now):
            if isinstance(action, Send) and '"prompt_id"' in str(action.message):
                action = msgspec.structs.replace(action, sockets=tuple(self._sockets))
            yield action


class LastFirst(Wrapper):
    """Puts each prompt before those that wait."""

    def handle(self, happened: Happened, now: int) -> Iterable[Action]:
        """As the inner source, with ``front`` in each prompt."""
        if isinstance(happened, RequestReceived) and happened.request.parts.path == "/prompt":
            request = happened.request
            if request.method == "POST" and b'"prompt"' in request.body:
                body = json.dumps({**json.loads(request.body), "front": True}).encode()
                changed = msgspec.structs.replace(request, body=body)
                happened = msgspec.structs.replace(happened, request=changed)
        return self.inner.handle(happened, now)


# --- what departs ----------------------------------------------------------------------------


def on(path: str, change: Callable[[Response], Response], method: str = "GET") -> Answers:
    """A change of the answers of one route."""

    def answers(request: Request, answer: Response) -> Response:
        asked = request.parts.path.startswith(path) and request.method == method
        return change(answer) if asked else answer

    return answers


def status(wanted: int, instead_of: int) -> Callable[[Response], Response]:
    return lambda answer: (
        msgspec.structs.replace(answer, status=wanted) if answer.status == instead_of else answer
    )


def in_json(change: Callable[[Any], Any]) -> Callable[[Response], Response]:
    def changed(answer: Response) -> Response:
        try:
            value = json.loads(answer.body)
        except ValueError:
            return answer
        return msgspec.structs.replace(answer, body=json.dumps(change(value)).encode())

    return changed


def without(*path: str) -> Callable[[Response], Response]:
    """The JSON less one key; ``*`` stands for each."""

    def drop(value: Any, path: tuple[str, ...]) -> Any:
        if not isinstance(value, dict | list):
            return value
        first, *rest = path
        if isinstance(value, list):
            return [drop(one, path) for one in value]
        if not rest:
            return {key: one for key, one in value.items() if key != first}
        return {
            key: drop(one, tuple(rest)) if first in ("*", key) else one
            for key, one in value.items()
        }

    return in_json(lambda value: drop(value, path))


def text_for(old: bytes, new: bytes) -> Callable[[Response], Response]:
    return lambda answer: msgspec.structs.replace(answer, body=answer.body.replace(old, new))


def without_header(name: str) -> Callable[[Response], Response]:
    return lambda answer: msgspec.structs.replace(
        answer, headers=tuple(field for field in answer.headers if field[0].lower() != name)
    )


def frames(kind: str, change: Callable[[Any], list[Any]]) -> Frames:
    """A change of the data of one type of frame."""
    return lambda frame: (
        [{**frame, "data": data} for data in change(frame["data"])]
        if frame["type"] == kind
        else [frame]
    )


def late(kind: str, until: str) -> Frames:
    """The frames of a type come only after the next one of another type."""
    kept: list[dict[str, Any]] = []

    def sent(frame: dict[str, Any]) -> list[dict[str, Any]]:
        if frame["type"] == kind:
            kept.append(frame)
            return []
        if frame["type"] == until and kept:
            return [frame, kept.pop()]
        return [frame]

    return sent


def overwriting(request: Request) -> Request:
    """Every upload says that it may overwrite."""
    if request.parts.path != "/upload/image":
        return request
    line = b'Content-Disposition: form-data; name="type"'
    overwrite = b'Content-Disposition: form-data; name="overwrite"\r\n\r\ntrue\r\n'
    boundary = request.body.partition(b"\r\n")[0]
    body = request.body.replace(line, overwrite + boundary + b"\r\n" + line, 1)
    headers = tuple(
        (name, str(len(body)) if name.lower() == "content-length" else value)
        for name, value in request.headers
    )
    return msgspec.structs.replace(request, body=body, headers=headers)


def beyond(data: Any) -> list[Any]:
    nodes = {key: {**one, "value": one["max"] + 1} for key, one in data["nodes"].items()}
    return [{**data, "nodes": nodes}]


def as_empty(answer: Response) -> Response:
    return msgspec.structs.replace(answer, status=200, body=b"{}")


DEPARTURES: dict[str, tuple[str, Callable[[Source], Source]]] = {
    name: (rule, lambda inner, more=more: Departing(inner, **more))  # type: ignore[misc]
    for name, (rule, more) in {
        "a device without vram_free": (
            "system_stats", {"answers": on("/system_stats", without("devices", "vram_free"))},
        ),
        "a queue without queue_pending": (
            "queue", {"answers": on("/queue", without("queue_pending"))},
        ),
        "classes without output_node": (
            "object_info", {"answers": on("/object_info/", without("*", "output_node"))},
        ),
        "404 for an unknown class of object_info": (
            "object_info_unknown",
            {"answers": on("/object_info/ComfyrecNo", status(404, 200))},
        ),
        "404 for a wrong method": (
            "wrong_method", {"answers": on("/system_stats", status(404, 405), "POST")},
        ),
        "200 for unknown paths": (
            "unknown_path", {"answers": on("/comfyrec/no", status(200, 404))},
        ),
        "404 for an invalid prompt": (
            "missing_input small_value wrong_type no_outputs no_prompt unknown_class",
            {"answers": on("/prompt", status(404, 400), "POST")},
        ),
        "another word for a missing input": (
            "missing_input",
            {"answers": on("/prompt", text_for(b"required_input_missing", b"missing"), "POST")},
        ),
        "another word for a small value": (
            "small_value", {"answers": on("/prompt", text_for(b"smaller_than", b"below"), "POST")},
        ),
        "another word for a wrong type": (
            "wrong_type", {"answers": on("/prompt", text_for(b"invalid_input_", b"bad_"), "POST")},
        ),
        "another word for no outputs": (
            "no_outputs",
            {"answers": on("/prompt", text_for(b'"prompt_no_outputs', b'"no_outputs'), "POST")},
        ),
        "accepted without a number": (
            "accepted", {"answers": on("/prompt", without("number"), "POST")},
        ),
        "a greeting without the id": (
            "greeting",
            {"frames": frames("status", lambda data: [{"status": data["status"]}])},
        ),
        "no status but the greeting": (
            "status", {"frames": frames("status", lambda data: [data] if "sid" in data else [])},
        ),
        "execution_cached after executing": (
            "order_of_frames", {"frames": late("execution_cached", "executing")},
        ),
        "executing twice": (
            "order_of_frames",
            {"frames": frames("executing", lambda data: [data] * (2 if data["node"] else 1))},
        ),
        "progress beyond its end": ("progress", {"frames": frames("progress_state", beyond)}),
        "executed without subfolder": (
            "executed",
            {"frames": lambda frame: [json.loads(json.dumps(frame).replace("subfolder", "dir"))]},
        ),
        "cached nodes not listed": (
            "cached_nodes", {"frames": frames("execution_cached", lambda d: [{**d, "nodes": []}])},
        ),
        "history without status": ("history", {"answers": on("/history", without("*", "status"))}),
        "404 for the history of an unknown id": (
            "history_unknown", {"answers": on("/history/00000000-", status(404, 200))},
        ),
        "jobs without pages": ("jobs_page", {"answers": on("/jobs", without("pagination"))}),
        "other words for the status of jobs": (
            "job", {"answers": on("/jobs/", text_for(b'"completed"', b'"done"'))},
        ),
        "view without Content-Type": (
            "view", {"answers": on("/view", without_header("content-type"))},
        ),
        "an empty answer for a file that is not there": (
            "view_missing",
            {"answers": on("/view", lambda one: as_empty(one) if one.status == 404 else one)},
        ),
        "uploads that overwrite": ("upload", {"asks": overwriting}),
    }.items()
}  # fmt: skip
DEPARTURES["frames of others"] = ("private_frames", ForAll)


def verdict_of(source: Source, speed: float | None = None) -> Verdict:
    more = {} if speed is None else {"speed": speed}
    with serve(source, **more) as handle:
        return judge(look_at(LiveServer(handle.url), "here"))


@pytest.mark.slow
@pytest.mark.parametrize("rules, departing", DEPARTURES.values(), ids=DEPARTURES)
def test_what_departs_is_named(rules: str, departing: Callable[[Source], Source]) -> None:
    verdict = verdict_of(departing(SimulatedServer()))

    assert sorted(one.rule for one in verdict.broken) == sorted(rules.split())
    assert all(one.saw for one in verdict.broken)
    assert verdict.departures == []


@pytest.mark.slow
@pytest.mark.parametrize("wrapped, broken", [(LastFirst, ["queue_order"]), (Wrapper, [])])
def test_prompts_that_overtake_are_seen_where_prompts_wait(
    wrapped: Callable[[Source], Source], broken: list[str]
) -> None:
    slowly = always(NodePlans({"1": {"seconds": 0.1}}))

    verdict = verdict_of(wrapped(SimulatedServer(plan_for=slowly)), speed=1)

    assert [one.rule for one in verdict.broken] == broken
    assert "queue_order" not in verdict.unseen


@pytest.mark.slow
def test_a_server_without_the_classes_that_are_asked_for_breaks_no_rule_by_that() -> None:
    catalogue = Catalogue.from_object_info({"PreviewImage": Catalogue.core().entry("PreviewImage")})
    verdict = verdict_of(SimulatedServer(ServerOptions(catalogue=catalogue)))

    assert [one.rule for one in verdict.broken] == ["object_info"]
    assert {"no_outputs", "small_value", "order_of_frames", "upload"} <= {*verdict.unseen}


STEPS_TAKE_TIME = always(NodePlans(classes={"ImageScale": {"seconds": 0.02}}))


def ignoring_interrupts(request: Request) -> Request:
    if request.parts.path != "/interrupt":
        return request
    return msgspec.structs.replace(request, method="GET", target="/features", body=b"")


@pytest.mark.slow
@pytest.mark.parametrize(
    "version, asks, broken",
    [
        ("0.33.0", None, []),
        ("0.3.10", None, []),
        ("0.33.0", ignoring_interrupts, ["interrupt"]),
    ],
)
def test_an_interrupt_that_is_ignored_is_seen_where_steps_take_time(
    version: str, asks: Callable[[Request], Request] | None, broken: list[str]
) -> None:
    source = SimulatedServer(ServerOptions(era=era_of(version)), plan_for=STEPS_TAKE_TIME)

    verdict = verdict_of(Departing(source, asks=asks), speed=1)

    assert [one.rule for one in verdict.broken] == broken
    assert verdict.departures == []
    assert "interrupt" not in verdict.unseen
    assert ("targeted_interrupt" in verdict.unseen) == bool(broken)


def test_every_rule_has_a_departure() -> None:
    named = {rule for rules, _ in DEPARTURES.values() for rule in rules.split()}

    assert named | {"queue_order", "interrupt"} == {rule.name for rule in RULES}
