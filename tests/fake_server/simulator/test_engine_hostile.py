"""Whatever a client posts, the server answers and the next prompt runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_server.nodes.values import ITEMS_MAX
from tests.support.engine_bench import CATALOGUE, Rig, node
from tests.support.lanes import DEEP

pytestmark = pytest.mark.long

GOOD = {"1": node("Make", color=1), "2": node("Sink", image=["1", 0])}

odd_numbers = st.sampled_from([0, -1, 1e308, float("nan"), float("inf"), 10**400, 2**63, True])
json_values = st.recursive(
    st.none() | st.booleans() | odd_numbers | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
ids = st.sampled_from(["1", "2", "3", "x", ""])
links = st.tuples(ids | json_values, st.integers(-2, 3) | json_values).map(list)
names = st.sampled_from(sorted(CATALOGUE))


@st.composite
def nodes(draw: st.DrawFn) -> Any:
    """A node of some class, with inputs that its class has and others."""
    name = draw(names)
    kind = CATALOGUE.get(name)
    assert kind is not None
    known = {
        key: links | json_values | st.just(one.options.get("default"))
        for key, one in kind.inputs.items()
    }
    inputs = draw(st.fixed_dictionaries({}, optional=known))
    if draw(st.booleans()):
        inputs |= draw(st.dictionaries(st.text(max_size=5), links | json_values, max_size=2))
    return draw(st.sampled_from([node(name) | {"inputs": inputs}, {"class_type": name}, inputs]))


outputs = st.builds(lambda link: node("PreviewAny", source=link), links)
prompts = st.dictionaries(ids, nodes() | outputs | json_values, max_size=5)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "prompt": prompts | json_values,
        "client_id": json_values,
        "prompt_id": json_values,
        "number": json_values,
        "front": json_values,
        "extra_data": json_values | st.fixed_dictionaries({"extra_pnginfo": json_values}),
        "partial_execution_targets": json_values,
    },
)


@given(bodies | json_values, st.sampled_from(["0.27.0", "0.38.0", "0.3.64", "2024-07"]))
@settings(max_examples=3_000 if DEEP else 150)
def test_any_body_is_answered_and_the_next_prompt_runs(body: Any, version: str) -> None:
    rig = Rig(version=version)
    rig.connect("A")

    answer = rig.ask("POST", "/prompt", json.dumps(body).encode())
    rig.finish()
    for path in ("/queue", "/history", *(["/jobs"] if rig.engine.era.has("jobs") else [])):
        assert rig.ask("GET", path).status in (200, 500)

    assert answer.status in (200, 400, 500)
    assert rig.history(rig.queue(GOOD))["status"]["completed"] is True


@given(st.sampled_from(["/queue", "/history", "/interrupt", "/free", "/jobs/cancel"]), json_values)
@settings(max_examples=1_000 if DEEP else 80)
def test_any_body_of_other_routes_is_answered(path: str, body: Any) -> None:
    rig = Rig({"2": {"seconds": 1}})
    rig.queue(GOOD)

    assert rig.ask("POST", path, json.dumps(body).encode()).status in (200, 400, 500)


@given(st.text() | st.binary() | json_values.map(json.dumps))
@settings(max_examples=1_000 if DEEP else 60)
def test_any_message_on_a_socket_is_borne(message: Any) -> None:
    rig = Rig({"2": {"steps": 1, "previews": {"size": [4, 4]}}})
    rig.connect("A")

    rig.say("A", message)
    rig.queue(GOOD)

    assert rig.told()[-1] == "end"


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [100, 400, 700, 900])
def test_values_as_deep_as_python_reads_them_do_not_stop_the_server(depth: int) -> None:
    rig = Rig()
    deep = {"a": nested(depth)}
    prompt = {
        "1": {**node("Make", color=1, extra=deep)},
        "2": node("SaveImage", images=["1", 0], filename_prefix={"__value__": deep}),
    }

    rig.ask("POST", "/prompt", {"prompt": prompt, "extra_data": {"extra_pnginfo": deep}})
    rig.finish()

    rig.engine.reset(["history"], now=rig.now)
    assert rig.history(rig.queue(GOOD))["status"]["completed"] is True


@pytest.mark.parametrize("depth, status", [(940, 400), (950, 500), (5_000, 500), (50_000, 500)])
def test_a_body_is_as_deep_as_a_server_reads_it_whatever_our_python_does(
    depth: int, status: int
) -> None:
    body = b'{"prompt": {"1": {"class_type": "Nobody", "inputs": {"x": %b}}}}'

    answer = Rig().ask("POST", "/prompt", body % (b"[" * depth + b"]" * depth))

    assert answer.status == status


def test_batches_that_double_forty_times_stay_within_bounds() -> None:
    rig = Rig()
    prompt = {"0": node("EmptyImage", width=8, height=8, batch_size=2, color=0)}
    for number in range(1, 41):
        source = [str(number - 1), 0]
        prompt[str(number)] = node("ImageBatch", image1=source, image2=source)
    prompt["out"] = node("PreviewImage", images=["40", 0])

    prompt_id = rig.queue(prompt)

    assert len(rig.history(prompt_id)["outputs"]["out"]["images"]) == ITEMS_MAX


def test_lists_of_lists_stay_within_bounds() -> None:
    rig = Rig()
    prompt = {
        "0": node("Make", color=0),
        "1": node("Fan", image=["0", 0], count=10**9),
        "2": node("Fan", image=["1", 0], count=10**9),
        "3": node("Sink", image=["2", 0]),
    }

    rig.queue(prompt)

    assert rig.engine.remaining == 0


def test_a_thousand_nodes_do_not_leave_in_one_go() -> None:
    rig = Rig()
    rig.connect("A")
    prompt = {str(n): node("Pass", image=[str(n - 1), 0]) for n in range(1, 400)}
    prompt |= {"0": node("Make", color=1), "out": node("Sink", image=["399", 0])}
    rig.told()

    rig.queue(prompt)
    at_once = sum(len(json.dumps(frame)) for frame in rig.frames["A"] if isinstance(frame, dict))
    rig.finish()

    assert at_once < 5 * 1024 * 1024
    assert rig.told()[-1] == "end"
