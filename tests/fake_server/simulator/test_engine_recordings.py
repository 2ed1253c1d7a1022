"""The engine's streams against captures of a real 0.27.0: same frames, same order, same content.

Ids, times and the letters of temporary files are made equal first; everything else counts. The
prompts are the recorded ones, sent when the recording sent them.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest

from comfyrec.http.routes import ROUTES
from fake_server.simulator.node_plan import NodePlans, always
from tests.support.engine_bench import Rig, catalogue, entry
from tests.support.paths import SHARED

RECORDINGS = SHARED / "recordings"
pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="needs ../shared/recordings")

IMAGE, MASK, FLOAT, INT = ["IMAGE"], ["MASK"], ["FLOAT", {}], ["INT", {}]
TEXT, ANY = ["STRING", {}], ["*", {}]
STUB = {"height": INT, "width": INT, "batch_size": INT}
# The test nodes of the recorded servers, as far as validation has to know them.
CATALOGUE = catalogue(
    StubImage=entry({"content": [["WHITE", "BLACK", "NOISE"]], **STUB}),
    StubMask=entry({"value": FLOAT, **STUB}, ["MASK"]),
    TestLazyMixImages=entry(
        {"image1": ["IMAGE", {"lazy": True}], "image2": ["IMAGE", {"lazy": True}], "mask": MASK}
    ),
    TestMixedExpansionReturns=entry({"input1": FLOAT}, ["IMAGE", "IMAGE"]),
    TestVariadicAverage=entry(
        {"input1": IMAGE}, optional={f"input{n}": IMAGE for n in range(2, 9)}
    ),
    TestDynamicDependencyCycle=entry({"input1": IMAGE, "input2": IMAGE}),
    TestSleep=entry({"value": ANY, "seconds": FLOAT}, ["*"], hidden={"unique_id": "UNIQUE_ID"}),
    TestParallelSleep=entry(
        {
            f"{kind}{n}": IMAGE if kind == "image" else FLOAT
            for n in (1, 2, 3)
            for kind in ("image", "sleep")
        },
        hidden={"unique_id": "UNIQUE_ID"},
        output_node=True,
    ),
    TestAsyncError=entry({"value": ANY, "error_after": FLOAT}, ["*"]),
    TestExecutionBlocker=entry(
        {"input": ANY, "block": ["BOOLEAN", {}], "verbose": ["BOOLEAN", {}]}, ["*"]
    ),
    TestOutputNodeWithSocketOutput=entry({"image": IMAGE, "value": FLOAT}, output_node=True),
    TestCustomValidation5=entry({"input1": FLOAT, "input2": FLOAT}),
    GTWork=entry({"steps": INT, "seconds": FLOAT, "preview": TEXT, "tag": TEXT}),
    GTText=entry(
        {"text": TEXT},
        ["STRING"],
        optional={"any": ANY},
        hidden={"unique_id": "UNIQUE_ID"},
        output_node=True,
    ),
    GTBoom=entry({"kind": TEXT, "message": TEXT}, optional={"any": ANY}),
    GTNotify=entry({"text": TEXT}, (), output_node=True),
    GTSleepDeaf=entry({"seconds": FLOAT}, optional={"image": IMAGE}),
).with_models({"checkpoints": ["rnd-sd15-slim.safetensors"]})


def _node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


MIXED = {
    "graph": {
        "1": _node("StubMask", value=0.5, height=8, width=8, batch_size=1),
        "2": _node("StubImage", content="BLACK", height=8, width=8, batch_size=1),
        "3": _node("StubImage", content="WHITE", height=8, width=8, batch_size=1),
        "4": _node("TestLazyMixImages", image1=["2", 0], image2=["3", 0], mask=["1", 0]),
    },
    "result": [["4", 0], None],
}


class Case(msgspec.Struct, frozen=True):
    """What the nodes of a recording did, where the graph does not say it already."""

    plans: tuple[dict[str, Any], ...] = ({},)
    """By node id; the first for the first prompt, the last for all the rest."""
    settings: dict[str, Any] = {}
    lanes: bool = False
    """Outputs ran in an order that hashing gave: compare node by node."""
    without: tuple[str, ...] = ()
    """Kinds of frames that hang on milliseconds."""


def _works(*times: tuple[float, int], **more: Any) -> tuple[dict[str, Any], ...]:
    """Plans for prompts whose node 1 is a GTWork: seconds and steps of each."""
    return tuple(
        {"1": {"seconds": seconds, "steps": steps, "deaf": True, **more}}
        for seconds, steps in times
    )


def _sleeps(seconds: float) -> dict[str, Any]:
    return {"seconds": seconds, "async": True}


JPEG = {"format": "jpeg", "size": [512, 512]}
PROGRESS = ("progress", "progress_state", "binary")
LOOP = {
    "1": _node("StubMask", value=0.5, height=8, width=8, batch_size=1),
    "2": _node("TestLazyMixImages", image1=None, image2=["3", 0], mask=["1", 0]),
    "3": _node("TestLazyMixImages", image1=["2", 0], image2=None, mask=["1", 0]),
}
SLEEPERS = {
    **{str(n): _node("TestSleep", value=None, seconds=0.1) for n in (1, 2, 3)},
    "4": _node("TestVariadicAverage", input1=["1", 0], input2=["2", 0], input3=["3", 0]),
}
BOOM = {"3": {"raise": {"type": "ValueError", "message": "deliberate failure"}}}
INTERRUPTED = (
    {"1": {"seconds": 4.0, "steps": 40}},
    {"1": {"seconds": 2.0, "steps": 20}},
    {},
)

CASES: dict[str, Case] = {
    "image_only": Case(),
    "partial_execution_targets": Case(),
    "intermediate_output_node": Case(),
    "output_node_without_ui": Case(),
    "lazy_inputs": Case(
        (
            {"4": {"needs": ["image1"]}},
            {"4": {"needs": ["image1", "image2"]}},
            {"4": {"needs": ["image2"]}},
        )
    ),
    "cache_disjoint_prompts": Case(),
    "cache_classic": Case(settings={"cache": "classic"}),
    "cache_none_resubmit": Case(settings={"cache": "none"}, lanes=True),
    "free_memory": Case(),
    "execution_blocker_message": Case(({"2": {"block": "Blocked Execution"}},), lanes=True),
    "execution_error_value": Case((BOOM, BOOM, {}), lanes=True),
    "execution_error_async_two": Case(
        (
            {
                "2": _sleeps(0.6),
                "3": {
                    **_sleeps(0.2),
                    "raise": {"message": "Intentional async execution error for testing"},
                },
            },
        ),
        without=PROGRESS,
    ),
    "expansion_mixed": Case(
        ({}, {}, {"1": {"expand": MIXED}}),
    ),
    "expansion_parallel_async": Case(
        (
            {
                "3": {"expand": {"graph": SLEEPERS, "result": [["4", 0]]}},
                "3.0.0.1": _sleeps(0.3),
                "3.0.0.2": _sleeps(0.5),
                "3.0.0.3": _sleeps(0.2),
            },
        ),
        lanes=True,
        without=PROGRESS,
    ),
    "async_two_sleepers": Case(({"2": _sleeps(0.5), "3": _sleeps(0.3)},), without=PROGRESS),
    "dynamic_dependency_cycle": Case(
        ({"3": {"expand": {"graph": LOOP, "result": [["3", 0]]}}},), lanes=True
    ),
    "client_not_connected": Case(),
    "progress_text": Case(({"node-ü": {"text": "grüß 😀", "ui": {"text": ["grüß 😀"]}}},)),
    "save_image_websocket": Case(),
    "same_client_id_twice": Case(),
    "no_client_id": Case(_works((0.4, 3), previews=JPEG)),
    "two_clients": Case(({}, {}, *_works((0.4, 3))), without=("status",)),
    "custom_events": Case(
        (
            {
                "5": {
                    "events": [
                        ["gt.custom-broadcast", {"text": "ping", "node": "5"}, "all"],
                        ["gt.custom-addressed", {"text": "ping", "node": "5"}],
                    ]
                }
            },
        ),
        without=("binary",),
    ),
    "queue_order_front_number": Case(_works((1.5, 12), (0.1, 1)), without=("status", *PROGRESS)),
    "queue_delete_clear": Case(_works((1.5, 12)), without=("status", *PROGRESS)),
    "reconnect_midrun": Case(_works((2.5, 20)), without=PROGRESS),
    "interrupt_targeted": Case(_works((6.0, 60), (0.3, 3)), without=PROGRESS),
    "interrupt_global_running": Case(_works((5.0, 50), (0.3, 5)), without=PROGRESS),
    "many_quick_prompts": Case(without=("status",)),
    "feature_flags_negotiation": Case(_works((0.05, 1), previews=JPEG)),
    "txt2img_resubmit_identical": Case(without=PROGRESS),
    "txt2img_partial_cache": Case(without=PROGRESS),
    "v0.8.2/image_only_cached": Case(),
    "v0.8.2/interrupts": Case(INTERRUPTED, without=PROGRESS, lanes=True),
    "v0.3.64/image_only_cached": Case(),
    "v0.3.64/clients": Case(
        ({}, *_works((0.3, 2), (0.3, 2), previews=JPEG), *_works((1.2, 8)), {}), lanes=True
    ),
    "v0.3.64/expansion_async": Case(
        (
            {"1": {"expand": MIXED}},
            {
                "2": {"expand": {"graph": SLEEPERS, "result": [["4", 0]]}},
                "2.0.0.1": _sleeps(0.1),
                "2.0.0.2": _sleeps(0.2),
                "2.0.0.3": _sleeps(0.1),
            },
            {"4": {"needs": ["image1"]}},
            {"1": {"text": "hello", "ui": {"text": ["hello"]}}},
            {
                "1": {
                    "events": [
                        ["gt.custom-broadcast", {"text": "hello", "node": "1"}, "all"],
                        ["gt.custom-addressed", {"text": "hello", "node": "1"}],
                    ]
                }
            },
        ),
        lanes=True,
        without=PROGRESS,
    ),
    "v0.3.10/image_only_cached": Case(lanes=True),
    "v0.3.10/errors": Case(
        (
            BOOM,
            {"3": {"raise": {"type": "torch.OutOfMemoryError", "message": "oom"}}},
            {},
            {"2": {"block": "Blocked Execution"}},
        ),
        lanes=True,
    ),
    "v0.3.10/interrupts": Case(INTERRUPTED, without=PROGRESS, lanes=True),
    "e2024-07/image_only_cached": Case(lanes=True),
    "e2024-07/clients": Case(
        ({}, *_works((0.3, 2), (0.3, 2), previews=JPEG), *_works((1.2, 8)), {}), lanes=True
    ),
    "e2024-07/interrupts": Case(INTERRUPTED, without=PROGRESS, lanes=True),
}


VERSIONS = {
    "v0.27.0": "0.27.0",
    "v0.8.2": "0.8.2",
    "v0.3.64": "0.3.64",
    "v0.3.10": "0.3.10",
    "e2024-07": "2024-07",
}


def version_of(name: str) -> str:
    return VERSIONS[name.split("/")[0]] if "/" in name else "0.27.0"


def recorded(name: str) -> list[dict[str, Any]]:
    path = RECORDINGS / f"{name if '/' in name else 'v0.27.0/' + name}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]]


UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
CHANCE = re.compile(rf"{UUID}|\b[0-9a-f]{{32}}\b|(?<=ComfyUI_temp_)[a-z]{{5}}(?=_)")


class Normal:
    """Gives what differs from run to run names in the order of its first appearance."""

    def __init__(self, known: list[str]) -> None:
        self._names = {one: f"<prompt {n}>" for n, one in enumerate(dict.fromkeys(known))}
        self._letters = 0

    def __call__(self, value: Any, key: str = "") -> Any:
        if isinstance(value, bytes):
            return "binary", value[:8].hex() if value[3] == 1 else value[:4].hex()
        if isinstance(value, dict):
            if key == "current_inputs":
                return sorted(value)
            if key == "current_outputs":  # mid 2024: printed values by node
                return "outputs"
            return {self(k): self(v, k) for k, v in value.items()}
        if isinstance(value, list):
            if key == "traceback":
                return "traceback"
            items = [self(one) for one in value]
            unordered = key in ("executed", "current_outputs", "nodes")
            return sorted(items, key=str) if unordered else items
        if key in ("timestamp", "create_time"):
            return "time"
        if isinstance(value, str):
            return CHANCE.sub(self._name, value)
        return value

    def _name(self, found: re.Match[str]) -> str:
        if found[0] not in self._names:
            self._letters += 1
            self._names[found[0]] = f"<{self._letters}>"
        return self._names[found[0]]


def compared(case: Case, frames: list[Any], known: list[str]) -> Any:
    """The frames of a socket in the shape in which they are compared."""
    normal = Normal(known)
    kept = [normal(one) for one in frames]
    kept = [one for one in kept if _kind(one) not in case.without]
    if not case.lanes:
        return kept
    lanes: dict[str, list[Any]] = {}
    for one in kept:
        if _kind(one) != "progress_state":
            data = one["data"] if isinstance(one, dict) else {}
            lanes.setdefault(str(data.get("node")), []).append(one)
    return lanes


def _kind(frame: Any) -> str:
    return frame["type"] if isinstance(frame, dict) else frame[0]


def heard(lines: list[dict[str, Any]]) -> tuple[dict[str, list[Any]], list[str]]:
    """The frames of each socket of a recording, and its prompt ids in order."""
    found: dict[str, list[Any]] = {}
    prompts = []
    for line in lines:
        if line["kind"] == "ws.open":
            found.setdefault(line["conn"], [])
        elif line["kind"] == "ws.frame" and line["dir"] == "s2c":
            text = line.get("text")
            found[line["conn"]].append(
                json.loads(text) if text is not None else base64.b64decode(line["b64"])
            )
        elif line["kind"] == "http.response" and '"prompt_id"' in line.get("text", "")[:13]:
            prompts.append(json.loads(line["text"])["prompt_id"])
    return found, prompts


def play(
    lines: list[dict[str, Any]], case: Case, recorded_prompts: list[str], version: str
) -> tuple[dict[str, list[Any]], list[str]]:
    """Do with the engine what the recording did with the server, at the same times."""
    rig = Rig(catalogue=CATALOGUE, version=version, **case.settings)
    prompts: list[str] = []
    for line in lines:
        rig.until(round(line["t"] * 1_000_000))
        if line["kind"] == "ws.open":
            client_id = re.search(r"clientId=([^&]*)", line["query"] or "")
            rig.connect(line["conn"], client_id[1] if client_id else None)
        elif line["kind"] in ("ws.close", "ws.abort"):
            rig.leave(line["conn"])
        elif line["kind"] == "ws.frame" and line["dir"] == "c2s":
            rig.say(line["conn"], line["text"] if "text" in line else base64.b64decode(line["b64"]))
        elif line["kind"] == "http.request" and ("POST", line["path"]) in WORKER_POSTS:
            if line["path"] == "/prompt":
                rig.engine.worker.plan_for = always(
                    NodePlans(case.plans[min(len(prompts), len(case.plans) - 1)])
                )
            body = line.get("text", "")
            for ours, theirs in zip(prompts, recorded_prompts, strict=False):
                body = body.replace(theirs, ours)
            answer = rig.ask("POST", line["path"], body.encode())
            if line["path"] == "/prompt" and answer.status == 200:
                prompts.append(json.loads(answer.body)["prompt_id"])
    rig.finish()
    return rig.frames, prompts


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_engine_says_what_the_real_server_said(name: str) -> None:
    case, lines = CASES[name], recorded(name)
    wanted, recorded_prompts = heard(lines)
    said, prompts = play(lines, case, recorded_prompts, version_of(name))

    assert {key: compared(case, frames, prompts) for key, frames in said.items()} == {
        key: compared(case, frames, recorded_prompts) for key, frames in wanted.items()
    }


# --- answers -------------------------------------------------------------------------------------

ANSWERS: dict[str, Case] = {
    "validation_errors": Case(),
    "validation_partial": Case(),
    "v0.3.64/validation": Case(),
    "v0.3.10/validation": Case(),
    "e2024-07/validation": Case(),
    "prompt_bad_bodies": Case(),
    "client_prompt_id": Case(),
    "extra_data_roundtrip": Case(_works((0.8, 8))),
    "history_api": Case(
        ({}, {"3": {"raise": {"type": "ValueError", "message": "x"}}}, *_works((4.0, 40)), {})
    ),
    "queue_order_front_number": Case(_works((1.5, 12), (0.1, 1))),
    "queue_delete_clear": Case(_works((1.5, 12))),
    "interrupt_idle_and_odd_bodies": Case(),
    "interrupt_targeted": Case(_works((6.0, 60), (0.3, 3))),
    "jobs_cancel": Case(({"1": {"seconds": 6.0, "steps": 60}},)),
    "many_quick_prompts": Case(),
    "jobs_api": Case(
        (
            {},
            {"3": {"raise": {"message": "bad"}}},
            *_works((4.0, 40)),
            {"1": {"ui": {"text": ["some text output"]}}},
            *_works((4.0, 40), (0.1, 1)),
        )
    ),
}
# What only the class itself could say; a sampler list that has grown since; a save node that had
# no output yet.
LEFT_OUT = ("TestCustomValidation5", '"nope"', '"self"')


WORKER_ROUTES = [
    route
    for route in ROUTES
    if route.first_segment in ("prompt", "queue", "history", "interrupt", "free", "jobs")
]
WORKER_POSTS = [
    (route.method, route.path)
    for route in WORKER_ROUTES
    if route.method == "POST" and route.api is None
]


def asked(line: dict[str, Any]) -> tuple[str, dict[str, str]] | None:
    """The route of a recorded request, if it is one of ours."""
    prefixed = line["path"].startswith("/api/")
    path = line["path"].removeprefix("/api") if prefixed else line["path"]
    for route in WORKER_ROUTES:
        method, template = route.method, route.path
        if route.api is True and not prefixed:
            continue
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)
        match = re.fullmatch(pattern, path)
        if match and method == line["method"]:
            return template, match.groupdict()
    return None


class Answers:
    """Recorded questions, put to the engine at the same times; both answers, made comparable."""

    def __init__(self, lines: list[dict[str, Any]], case: Case, version: str) -> None:
        _, self.theirs = heard(lines)
        self.answers = {one["conn"]: one for one in lines if one["kind"] == "http.response"}
        self.case = case
        self.rig = Rig(catalogue=CATALOGUE, version=version, **case.settings)
        self.ours: list[str] = []
        self.pairs: list[tuple[str, Any, Any]] = []
        for line in lines:
            self.rig.until(round(line["t"] * 1_000_000))
            if line["kind"] == "http.request" and "body_omitted" not in line:
                self._ask(line)

    def _ask(self, line: dict[str, Any]) -> None:
        route, wanted = asked(line), self.answers[line["conn"]]
        raw = base64.b64decode(line["b64"]) if "b64" in line else line.get("text", "").encode()
        if route is None or any(name.encode() in raw for name in LEFT_OUT):
            return
        if "execution_duration" in (line.get("query") or ""):
            return  # prompts that take no time here took a few milliseconds there
        for ours, theirs in zip(self.ours, self.theirs, strict=False):
            raw = raw.replace(theirs.encode(), ours.encode())
            route[1].update({k: v.replace(theirs, ours) for k, v in route[1].items()})
        if route[0] == "/prompt" and line["method"] == "POST":
            self._begin(wanted)
        query = dict(parse_qsl(line.get("query") or "", keep_blank_values=True))
        answer = self.rig.ask(
            line["method"], route[0], raw, headers=line["headers"], query=query, **route[1]
        )
        got = answer.body.decode()
        if answer.status == 200 and got.startswith('{"prompt_id"'):
            self.ours.append(json.loads(got)["prompt_id"])
        what = (
            f"{line['conn']} {line['method']} {line['path']} {raw[:200].decode(errors='replace')}"
        )
        theirs_text = wanted.get("text", "")
        self.pairs.append(
            (
                what,
                _answer(answer.status, got, self.ours),
                _answer(wanted["status"], theirs_text, self.theirs),
            )
        )

    def _begin(self, wanted: dict[str, Any]) -> None:
        plans = self.case.plans
        self.rig.engine.worker.plan_for = always(
            NodePlans(plans[min(len(self.ours), len(plans) - 1)])
        )
        found = re.search(r'"number": (-?\d+),', wanted.get("text", ""))
        if found:  # the real server had been asked before
            self.rig.engine.number = abs(int(found[1]))


def _answer(status: int, text: str, known: list[str]) -> Any:
    if not text.startswith(("{", "[")):
        return status, text.split("\n")[0]
    return status, _plain(Normal(known)(json.loads(text)))


def _plain(value: Any, key: str = "") -> Any:
    """Without what hangs on hash order, on texts for people, and on our knowing no traceback."""
    if isinstance(value, dict):
        kept = {k: _plain(v, k) for k, v in value.items() if k not in ("tooltip", "step")}
        return {k: ("ms" if k.endswith("_time") else v) for k, v in kept.items()}
    if isinstance(value, list):
        items = [_plain(one) for one in value]
        if key == "input_config" and items[-1:] == [{}]:
            items.pop()  # options that our catalogue has for their texts only
        return sorted(items, key=str) if key in ("errors", "dependent_outputs", "nodes") else items
    return value


@pytest.mark.slow
@pytest.mark.parametrize("name", ANSWERS)
def test_the_engine_answers_what_the_real_server_answered(name: str) -> None:
    pairs = Answers(recorded(name), ANSWERS[name], version_of(name)).pairs

    assert [(what, got) for what, got, _ in pairs] == [(what, wanted) for what, _, wanted in pairs]
