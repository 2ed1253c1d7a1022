"""Every operator does the same to the simulated server and to the replay of a recording."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import pytest

from comfyrec.cassette.files import open_cassette
from comfyrec.timeline import Timeline
from fake_server.replay import Player
from fake_server.scenarios import Operator, Stage
from fake_server.scenarios import kit as k
from fake_server.scenarios.kit import (
    connect_ops,
    frames_ops,
    history_ops,
    http_ops,
    other_users,
    socket_ops,
)
from fake_server.scenarios.kit.dry_run import DryRunLine, dry_run
from fake_server.simulated_server import SimulatedServer
from fake_server.simulator.node_plan import NodePlans, always
from fake_server.source import Request, Response, Source, UpgradeRequested
from tests.support.paths import ROOT

CASSETTE = ROOT / "cassettes" / "image-only.jsonl"
START, SUCCESS = k.event("execution_start"), k.event("execution_success")
LATER = 60_000_000
"""Microseconds far behind the end of either run."""


@cache
def recording() -> tuple[Timeline, Mapping[str, Any]]:
    with open_cassette(CASSETTE) as records:
        timeline = Timeline.build(list(records))
    post = next(one for one in timeline.exchanges if one.method == "POST")
    graph: Mapping[str, Any] = json.loads(post.request.body)["prompt"]
    return timeline, graph


def simulated() -> tuple[Callable[[], Source], Mapping[str, Any]]:
    return lambda: SimulatedServer(plan_for=always(NodePlans({"2": {"seconds": 0.05}}))), k.PLAIN


def recorded() -> tuple[Callable[[], Source], Mapping[str, Any]]:
    timeline, graph = recording()
    return lambda: Player(timeline), graph


SOURCES = {"simulated": simulated, "recorded": recorded}


class Run:
    """What a polite client was told, in words."""

    def __init__(self, lines: list[DryRunLine], complaints: list[str]) -> None:
        self.lines, self.complaints = lines, complaints
        self.texts = [line.text for line in lines]
        self.frames = [line.text for line in lines if line.to_client and is_frame(line)]

    def count(self, beginning: str) -> int:
        return sum(text.startswith(beginning) for text in self.texts)

    def at(self, beginning: str) -> int:
        return next(line.t for line in self.lines if line.text.startswith(beginning))

    def without(self, beginning: str) -> list[str]:
        return [text for text in self.frames if not text.startswith(beginning)]

    def upto(self, beginning: str) -> list[str]:
        found = [n for n, text in enumerate(self.frames) if text.startswith(beginning)]
        return self.frames[: found[0] + 1]


def is_frame(line: DryRunLine) -> bool:
    return isinstance(line.message, str) or line.text.startswith("binary")


def played(source: str, made: Iterable[Operator]) -> Run:
    make, graph = SOURCES[source]()
    stage = Stage(make, list(made), seed=3)
    lines = list(dry_run(stage, graph))
    return Run(lines, [str(complaint) for complaint in stage.finish()])


def only(operator: Operator) -> list[Operator]:
    return [operator]


def no_client_id(knocked: UpgradeRequested, observer: k.Observer) -> UpgradeRequested:
    return UpgradeRequested(knocked.socket, knocked.request.with_query(clientId=None))


def quiet(request: Request, observer: k.Observer) -> Request:
    body = json.loads(request.body)
    del body["client_id"]
    return Request(request.method, request.target, request.headers, json.dumps(body).encode())


def odd_answer(answer: Response, request: Request, observer: k.Observer) -> Response:
    return Response(418, body=b"a teapot")


def interruption(prompt: k.ObservedPrompt) -> Request:
    return Request("POST", "/interrupt")


TROUBLE = k.text_response("trouble", 500)
POST, QUEUE = k.route("POST /prompt"), k.route("GET /queue")
Promise = Callable[[Run, Run], bool]
# operator -> how to make it, what it does to any run (the plain one, the one under it).
OPERATORS: dict[str, tuple[Callable[[], list[Operator]], Promise]] = {
    # frames
    "drop": (
        lambda: only(k.drop(k.event("executed"), "x")),
        lambda plain, run: run.frames == plain.without("executed"),
    ),
    "delay": (
        lambda: only(k.delay(SUCCESS, "x", ms=LATER // 1000)),
        lambda plain, run: (
            run.at("execution_success") == plain.at("execution_success") + LATER
            and run.frames[-1] == "execution_success"
        ),
    ),
    "duplicate": (
        lambda: only(k.duplicate(SUCCESS, "x", n=3)),
        lambda plain, run: (
            run.count("execution_success") == 3
            and run.without("execution_success") == plain.without("execution_success")
        ),
    ),
    "reorder": (
        lambda: only(k.reorder(START, SUCCESS, "x")),
        lambda plain, run: (
            run.upto("execution_start")[-2:] == ["execution_success", "execution_start"]
        ),
    ),
    "mutate": (
        lambda: only(k.mutate(START, "x", lambda data: {**data, "node": 7})),
        lambda plain, run: run.count("execution_start node=7") == 1,
    ),
    "inject": (
        lambda: only(k.inject([k.dump("extra", {"node": 1})], "x", at=START)),
        lambda plain, run: (
            run.upto("extra")[-2] == "execution_start" and run.without("extra") == plain.frames
        ),
    ),
    "coalesce": (
        lambda: only(k.coalesce(START, "x")),
        lambda plain, run: len(run.frames) == len(plain.frames) - 1,
    ),
    "fragment": (
        lambda: only(k.fragment(START, "x", parts=2)),
        lambda plain, run: (
            run.frames == plain.without("execution_start")
            and "bytes of WebSocket frames" in "".join(run.texts)
        ),
    ),
    "flood": (
        lambda: only(k.flood("x", k.dump("extra", {"a": 1}), at=START, rate_hz=1000, n=5)),
        lambda plain, run: run.count("extra") == 5 and run.without("extra") == plain.frames,
    ),
    "throttle": (
        lambda: only(
            k.throttle(k.event("progress_state"), "x", least_ms=3_600_000, last=k.no_node)
        ),
        lambda plain, run: (
            run.count("progress_state") == 1
            and run.without("progress_state") == plain.without("progress_state")
        ),
    ),
    # sockets
    "cut": (
        lambda: only(k.cut("x", at=START)),
        lambda plain, run: (
            run.frames[: len(run.upto("execution_start"))] == plain.upto("execution_start")
            and run.count("the connection of the socket is cut") == 1
            and run.count("GET /ws") == 2
        ),
    ),
    "hold": (
        lambda: only(k.hold("x")),
        lambda plain, run: (
            run.frames == plain.frames
            and run.count("GET /history/{id}") > plain.count("GET /history/{id}")
        ),
    ),
    "stall": (
        lambda: only(k.stall("x", at=START, for_ms=LATER // 1000)),
        lambda plain, run: (
            run.frames == plain.frames
            and LATER <= run.at("execution_success") - run.at("execution_start") < 2 * LATER
        ),
    ),
    "mute_socket": (
        lambda: only(k.mute_socket("x", connection=1)),
        lambda plain, run: run.frames == plain.frames[:1],
    ),
    "freeze": (
        lambda: only(k.freeze("x", at=START)),
        lambda plain, run: (
            run.frames == plain.upto("execution_start")
            and run.count("the connection goes dead") == 1
        ),
    ),
    "refuse": (
        lambda: only(k.refuse("x", n=1, how=403, fits=k.is_upgrade)),
        lambda plain, run: run.texts[1] == "403: 403: refused" and run.count("GET /ws") == 2,
    ),
    "deny": (
        lambda: only(k.deny("x", k.is_upgrade, TROUBLE)),
        lambda plain, run: run.frames == [] and run.count("500: trouble") == run.count("GET /ws"),
    ),
    "delay_upgrade": (
        lambda: only(k.delay_upgrade("x", ms=LATER // 1000)),
        lambda plain, run: run.at("101") == plain.at("101") + LATER,
    ),
    "send_with_handshake": (
        lambda: only(k.send_with_handshake()),
        lambda plain, run: run.frames == plain.frames[1:],
    ),
    "change_message": (
        lambda: only(k.change_message("x", lambda said, observer: ())),
        lambda plain, run: (
            run.frames == plain.frames and run.complaints == ["the client never came to 'change x'"]
        ),
    ),
    "change_upgrade": (
        lambda: only(k.change_upgrade("x", no_client_id)),
        lambda plain, run: run.count("executed") == 0,
    ),
    "crash": (
        lambda: only(k.crash("x", at=START)),
        lambda plain, run: (
            run.frames == plain.upto("execution_start")
            and run.count("connections are refused") == 1
        ),
    ),
    "under_prefix": (
        lambda: only(k.under_prefix("/somewhere/")),
        lambda plain, run: run.frames == [] and run.count("404") >= 2,
    ),
    # HTTP
    "respond": (
        lambda: only(k.respond(POST, "x", TROUBLE)),
        lambda plain, run: (
            run.count("500 to POST /prompt: trouble") == 1 and run.count("execution_start") == 0
        ),
    ),
    "hang": (
        lambda: only(k.hang(QUEUE, "x")),
        lambda plain, run: run.count("GET /queue") >= 1 and run.count("200 to GET /queue") == 0,
    ),
    "delay_response": (
        lambda: only(k.delay_response(QUEUE, "x", ms=LATER // 1000)),
        lambda plain, run: run.at("200 to GET /queue") == plain.at("200 to GET /queue") + LATER,
    ),
    "truncate": (
        lambda: only(k.truncate(QUEUE, "x", first=3)),
        lambda plain, run: run.count('200 to GET /queue: {"q, and the connection is cut') == 1,
    ),
    "change_response": (
        lambda: only(k.change_response(QUEUE, "x", odd_answer)),
        lambda plain, run: run.count("418 to GET /queue: a teapot") == 1,
    ),
    "patch_json": (
        lambda: only(k.patch_json(QUEUE, "x", lambda value, request, observer: [])),
        lambda plain, run: run.count("200 to GET /queue: []") == 1,
    ),
    "change_request": (
        lambda: only(k.change_request(POST, "x", quiet)),
        lambda plain, run: run.count("executed") == 0 and run.count("200 to POST /prompt") == 1,
    ),
    # history and queue
    "delay_history": (
        lambda: k.delay_history("x", reads=1),
        lambda plain, run: (
            run.count("200 to GET /history/{id}: {}") == 1 and run.frames == plain.frames
        ),
    ),
    "evict_history": (
        lambda: k.evict_history("x", reads=0),
        lambda plain, run: (
            run.count("200 to GET /history/{id}: {}") == run.count("GET /history/{id}")
            and run.frames == plain.frames
        ),
    ),
    "never_start": (
        lambda: only(k.never_start("x")),
        lambda plain, run: (
            run.count("200 to POST /prompt") == 1 and run.count("execution_start") == 0
        ),
    ),
    "patch_history": (
        lambda: only(k.patch_history("x", lambda entry, prompt: {"odd": 1})),
        lambda plain, run: run.count('200 to GET /history/{id}: {"{id}": {"odd": 1}}') == 1,
    ),
    "patch_queue": (
        lambda: only(k.patch_queue("x", lambda value, observer: {"odd": 1})),
        lambda plain, run: run.count('200 to GET /queue: {"odd": 1}') == 1,
    ),
    "patch_outputs": (
        lambda: k.patch_outputs("x", lambda node, output: {"odd": [node]}),
        lambda plain, run: (
            run.count("executed")
            == plain.count("executed")
            == sum('output={"odd":' in text for text in run.texts)
        ),
    ),
    "rename_files": (
        lambda: k.rename_files("x", lambda item: {**item, "subfolder": "elsewhere"}),
        lambda plain, run: (
            run.count("200 to GET /view")
            == plain.count("200 to GET /view")
            == sum(
                "GET /view" in text and "=elsewhere&" in text and not text.startswith("GET")
                for text in run.texts
            )
        ),
    ),
    # other users: a recording goes on as it was recorded, whoever else asks
    "prerun": (
        lambda: only(k.prerun()),
        lambda plain, run: (
            run.count("somebody else: POST /prompt") == 1 and run.count("execution_success") == 1
        ),
    ),
    "queued_before": (
        lambda: only(k.queued_before("x", n=2)),
        lambda plain, run: (
            run.count("somebody else: POST /prompt") == 2 and run.count("execution_success") == 1
        ),
    ),
    "third_party_request": (
        lambda: only(k.third_party_request("x", interruption, at=k.no_node)),
        lambda plain, run: (
            run.count("somebody else: POST /interrupt") == 1 and run.frames == plain.frames
        ),
    ),
    "second_client": (
        lambda: only(k.second_client("x", at=k.no_node)),
        lambda plain, run: run.count("somebody else: GET /ws") == 1 and run.frames == plain.frames,
    ),
    "foreign_frames": (
        lambda: only(k.foreign_frames("x", lambda who: who.success(), at=START)),
        lambda plain, run: (
            run.count("execution_success (another prompt's)") == 1
            and run.count("execution_success") == 2
        ),
    ),
    "foreign_prompt": (
        lambda: k.foreign_prompt(
            "x", (START, lambda who: who.output()), (SUCCESS, lambda who: who.gone())
        ),
        lambda plain, run: sum(text.endswith("(another prompt's)") for text in run.texts) == 2,
    ),
}
NEVER_MET = {"change_message"}
"""What this client gives no occasion for: it says nothing on its socket."""


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_does_the_same_to_both_sources(name: str, source: str) -> None:
    make, promise = OPERATORS[name]

    plain, run = played(source, []), played(source, make())

    assert promise(plain, run), "\n".join(run.texts)
    assert name in NEVER_MET or run.complaints == []


def test_the_table_has_every_operator() -> None:
    helpers = {
        "HISTORY", "VIEW", "OtherUser", "html_page", "is_poll_or_upgrade", "is_request_or_upgrade",
        "is_upgrade", "per_frame", "per_response", "refusal", "small_post", "text_response",
    }  # fmt: skip
    modules = (connect_ops, frames_ops, history_ops, http_ops, other_users, socket_ops)

    assert {name for one in modules for name in one.__all__} - helpers == set(OPERATORS)
