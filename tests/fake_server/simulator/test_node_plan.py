"""What a plan says of nodes: its keys, which of them win, and what of it fits no prompt."""

from __future__ import annotations

from typing import Any

import pytest

from comfyrec.errors import ScenarioError
from fake_server.simulator.node_plan import NodePlan, NodePlans
from tests.support.engine_bench import Rig, node

WRONG_PLANS: dict[str, tuple[Any, str]] = {
    "a key of nobody": ({"secnds": 1}, "did you mean 'seconds'"),
    "seconds a text": ({"seconds": "1"}, "a number of seconds"),
    "seconds below nothing": ({"seconds": -1}, "a number of seconds"),
    "seconds true": ({"seconds": True}, "a number of seconds"),
    "seconds NaN": ({"seconds": float("nan")}, "a number of seconds"),
    "steps a float": ({"steps": 1.5}, "a whole number"),
    "steps without end": ({"steps": 10**9}, "a whole number"),
    "raise a number": ({"raise": 5}, "{'type': ..., 'message': ...}"),
    "raise with more": ({"raise": {"kind": "x"}}, "{'type': ..., 'message': ...}"),
    "size of one": ({"size": [5]}, "[width, height]"),
    "size of nothing": ({"size": [0, 5]}, "[width, height]"),
    "ui a list": ({"ui": []}, "the node's whole output"),
    "previews as gif": ({"previews": {"format": "gif"}}, "jpeg or png"),
    "previews of more": ({"previews": {"every": 2}}, "{'format'"),
    "uncached 1": ({"uncached": 1}, "true or false"),
    "block a number": ({"block": 3}, "null or a message"),
    "expand without graph": ({"expand": {"result": []}}, "{'graph'"),
    "expand into no class": ({"expand": {"graph": {"1": {}}}}, "{'graph'"),
    "expand with one result": (
        {"expand": {"graph": {"1": {"class_type": "X"}}, "result": "1"}},
        "a list of links",
    ),
    "needs a text": ({"needs": "image"}, "a list of input names"),
    "text a number": ({"text": 5}, "a text"),
    "events of one": ({"events": [["x"]]}, "a list of [type, data]"),
}


@pytest.mark.parametrize("entry, said", WRONG_PLANS.values(), ids=WRONG_PLANS)
@pytest.mark.parametrize("where", ["nodes", "classes"])
def test_a_wrong_plan_is_told_where_and_how(where: str, entry: Any, said: str) -> None:
    with pytest.raises(ScenarioError) as wrong:
        NodePlans(**{where: {"7": entry}})

    assert f"{where}.7" in str(wrong.value)
    assert said in str(wrong.value)


@pytest.mark.parametrize("nodes", [[], "x", {"1": 5}, 7], ids=str)
def test_a_plan_is_an_object_of_objects(nodes: Any) -> None:
    with pytest.raises(ScenarioError, match="nodes: give an object of objects"):
        NodePlans(nodes)


def test_what_is_said_of_an_id_wins_over_its_class_key_by_key() -> None:
    plan = NodePlans({"3": {"seconds": 1}}, {"Pass": {"seconds": 5, "steps": 2}})

    assert plan.of("3", "Pass") == NodePlan(seconds=1.0, steps=2)
    assert plan.of("4", "Pass") == NodePlan(seconds=5.0, steps=2)
    assert plan.of("4", "Sink") == NodePlan()


def test_a_plan_for_an_absent_node_is_said_in_the_answer_and_in_the_facts() -> None:
    rig = Rig({"22": {"seconds": 1}})
    prompt = {"1": node("Make", color=1), "2": node("Sink", image=["1", 0])}

    answer = rig.ask("POST", "/prompt", {"prompt": prompt})

    assert answer.status == 200
    assert ("X-Fake-Plan-Unmet", "22") in answer.headers
    assert rig.engine.facts()["plan_not_met"] == ["22"]


def test_a_strict_plan_refuses_a_prompt_without_its_node_and_names_the_nearest() -> None:
    rig = Rig({"22": {"seconds": 1}}, strict=True)
    prompt = {"1": node("Make", color=1), "2": node("Sink", image=["1", 0])}

    refusal = rig.refuse(prompt)

    assert refusal["error"]["type"] == "fake_plan_does_not_fit"
    assert "did you mean '2'" in refusal["error"]["message"]


def test_a_plan_may_speak_of_nodes_that_come_by_expansion() -> None:
    plan = NodePlans({"2.0.0.1": {"seconds": 1}}, strict=True)

    assert plan.missing({"1": {}, "2": {}}) == []
