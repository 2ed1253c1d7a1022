"""What a server learns from workflows, so that it runs them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.errors import WorkflowError
from comfyrec.versions import era_of
from comfyrec.workflows import Workflow, find_workflows
from fake_server.nodes.catalogue import Catalogue
from fake_server.nodes.learned import Learned
from fake_server.options import ServerOptions
from fake_server.simulated_server import SimulatedServer
from fake_server.simulator.learning import Learner
from fake_server.source import Request, RequestReceived, Respond, Wake, Woke
from tests.support.engine_bench import node

ERA = era_of()
CORE = Catalogue.core()
CUSTOM = {
    "1": node("EmptyImage", width=32, height=16, batch_size=2, color=0),
    "2": node("MyFilter", image=["1", 0], strength=0.5, mode="soft"),
    "3": node("MySplit", image=["2", 0]),
    "4": node("SaveImage", images=["3", 1], filename_prefix="a"),
    "5": node("ShowMe", text="hello"),
}


def learned_from(*prompts: dict[str, Any], catalogue: Catalogue = CORE) -> Learned:
    learner = Learner(catalogue, ERA)
    for number, prompt in enumerate(prompts):
        learner.add_prompt(prompt, f"prompt {number}")
    return learner.learned()


def run(prompt: dict[str, Any], learned: Learned) -> tuple[int, dict[str, Any]]:
    """The status of POST /prompt and, if it was accepted, the entry of the history."""
    options = ServerOptions(catalogue=learned.added_to(CORE), learned=learned)
    server = SimulatedServer(options)
    body = json.dumps({"prompt": prompt}).encode()
    actions = list(server.handle(RequestReceived(1, Request("POST", "/prompt", (), body)), 0))
    answer = next(one.answer for one in actions if isinstance(one, Respond))
    while wakes := [one.at for one in actions if isinstance(one, Wake)]:
        actions = list(server.handle(Woke(), max(wakes)))
    said = json.loads(answer.body)
    return answer.status, server.engine.history.get(said.get("prompt_id"), said)


def test_unknown_classes_are_made_of_how_they_are_used() -> None:
    learned = learned_from(CUSTOM)

    assert learned.new == ["MyFilter", "MySplit", "ShowMe"]
    spec = learned.classes["MyFilter"]["input"]["optional"]
    assert {key: one[0] for key, one in spec.items()} == {
        "image": "IMAGE",
        "strength": "FLOAT",
        "mode": "STRING",
    }
    assert learned.classes["MySplit"]["output"] == ["*", "IMAGE"]
    assert not learned.classes["MySplit"]["output_node"]
    assert learned.classes["ShowMe"]["output_node"]


def test_what_was_learned_from_runs_to_success() -> None:
    status, entry = run(CUSTOM, learned_from(CUSTOM))

    assert status == 200
    assert entry["status"]["status_str"] == "success"
    assert [len(entry["outputs"][one]) for one in ("4", "5")] == [1, 1]


def test_an_input_that_some_nodes_lack_is_optional() -> None:
    one = {"1": node("Mine", a=1, b=2)}
    other = {"1": node("Mine", a=1)}

    sections = learned_from(one, other).classes["Mine"]["input"]

    assert (list(sections["required"]), list(sections["optional"])) == (["a"], ["b"])


def test_one_node_does_not_tell_what_it_could_be_without() -> None:
    learned = learned_from({"1": node("Mine", a=1, b=2)})

    status, _ = run({"1": node("Mine", a=1)}, learned)

    assert status == 200


def test_uses_that_contradict_each_other_are_both_accepted_and_told_once() -> None:
    uses = [{"1": node("Mine", a=value)} for value in ("x", 5, ["2", 0], "y")]
    uses[2]["2"] = node("LoadImage", image="a.png")

    learned = learned_from(*uses)

    assert [run(use, learned)[0] for use in uses] == [200] * 4
    assert learned.notes == ["'Mine' is used with several types of 'a'; it takes any"]


def test_model_files_go_to_their_folders_and_pictures_are_there() -> None:
    prompt = {
        "1": node("CheckpointLoaderSimple", ckpt_name="sub/mine.safetensors"),
        "2": node("MyLoraLoader", lora_name="style of mine.safetensors", model=["1", 0]),
        "3": node("LoadImage", image="cat.png"),
        "4": node("PreviewImage", images=["3", 0]),
        "5": node("MyOutput", model=["2", 0]),
    }

    learned = learned_from(prompt)
    catalogue = learned.added_to(CORE)

    assert learned.models == {
        "checkpoints": ["sub/mine.safetensors"],
        "loras": ["style of mine.safetensors"],
    }
    assert learned.files == ["cat.png"]
    assert "sub/mine.safetensors" in catalogue.models["checkpoints"]
    lora = catalogue.get("MyLoraLoader")
    assert lora is not None
    assert list(lora.inputs["lora_name"].choices or ()) == list(catalogue.models["loras"])
    assert run(prompt, learned)[1]["status"]["status_str"] == "success"


def test_a_known_class_is_widened_only_as_far_as_the_workflow_goes() -> None:
    sampler = node(
        "KSampler", model=["1", 0], positive=["2", 0], negative=["2", 0], latent_image=["3", 0],
        seed=1, steps=20_000, cfg=7.0, sampler_name="a new one", scheduler="normal", denoise=1.0,
    )  # fmt: skip
    prompt = {
        "1": node("CheckpointLoaderSimple", ckpt_name="v1-5-pruned-emaonly.safetensors"),
        "2": node("CLIPTextEncode", clip=["1", 1], text="x"),
        "3": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "4": sampler,
        "5": node("VAEDecode", samples=["4", 0], vae=["1", 2]),
        "6": node("PreviewImage", images=["5", 0]),
    }

    learned = learned_from(prompt)

    assert (list(learned.classes), learned.new) == (["KSampler"], [])
    spec = learned.classes["KSampler"]["input"]["required"]
    assert "a new one" in spec["sampler_name"][0]
    assert spec["steps"][1]["max"] == 20_000
    assert run(prompt, learned)[0] == 200
    wrong = {**prompt, "4": {**sampler, "inputs": {**sampler["inputs"], "steps": 20_001}}}
    assert run(wrong, learned)[0] == 400


def test_a_class_of_another_version_is_taken_as_that_version_has_it() -> None:
    old = Catalogue.core(era_of("0.3.10"))
    assert "StringLength" not in old
    prompt = {"1": node("StringLength", string="a"), "2": node("PreviewAny", source=["1", 0])}

    learned = learned_from(prompt, catalogue=old)

    assert learned.classes["StringLength"] == CORE.entry("StringLength")


REFUSED: dict[str, dict[str, Any]] = {
    "a cycle": {
        "1": node("Mine", a=["2", 0]),
        "2": node("Mine", a=["1", 0]),
        "3": node("PreviewAny", source=["1", 0]),
    },
    "a link to nowhere": {"1": node("PreviewAny", source=["9", 0])},
    "a link to nowhere inside": {"1": node("Mine", a=["9", 0]), "2": node("Show", a=["1", 0])},
    "a cycle that leads nowhere": {"1": node("Mine", a=["2", 0]), "2": node("Mine", a=["1", 0])},
    "a link by a number": {"1": node("Mine", a=1), "2": node("Show", a=[1, 0])},
    "a slot as a text": {"1": node("Mine", a=1), "2": node("Show", a=["1", "0"])},
    "a slot far away": {"1": node("Mine", a=1), "2": node("Show", a=["1", 99_999])},
    "a node without inputs": {"1": {"class_type": "Mine"}, "2": node("Show", a=["1", 0])},
    "too long a chain": {
        "0": node("Mine", a=1),
        **{str(n): node("Mine", a=[str(n - 1), 0]) for n in range(1, 1_000)},
        "1000": node("Show", a=["999", 0]),
    },
}


@pytest.mark.parametrize("prompt", REFUSED.values(), ids=REFUSED)
def test_what_no_server_runs_is_refused_all_the_same_and_told(prompt: dict[str, Any]) -> None:
    learned = learned_from(prompt)

    assert run(prompt, learned)[0] == 400
    assert "is refused all the same" in learned.notes[-1]


ACCEPTED: dict[str, dict[str, Any]] = {
    "lists": {"1": node("Mine", a=[[1, 2], [3, 4]], b=[512, 512], c=[], d=["x", "y", "z"])},
    "values of all kinds": {"1": node("Mine", a=None, b=True, c=-0.0, d=10**30, e={"on": [1]})},
    "a literal in its wrapping": {"1": node("Mine", a={"__value__": [1, 2]})},
    "dots in names": {"1": node("Mine", **{"model": "m", "model.size": 3, "model.at": ["2", 0]}),
                      "2": node("Other")},
    "other scripts": {"ä:1": node("Über 🎨", schlüssel="ß"), "2": node("存", 画=["ä:1", 0])},
    "empty names": {"": node("", **{"": 1})},
    "no title": {"1": {**node("Mine"), "_meta": {}}, "2": {**node("Mine"), "_meta": None}},
    "a thousand nodes": {
        "0": node("Mine"), **{str(n): node("Step", a=[str(n // 2), 0]) for n in range(1, 1_000)}
    },
}  # fmt: skip


@pytest.mark.parametrize("prompt", ACCEPTED.values(), ids=ACCEPTED)
def test_what_a_server_with_such_classes_runs_runs(prompt: dict[str, Any]) -> None:
    learned = learned_from(prompt)
    status, entry = run(prompt, learned)

    assert (status, learned.notes) == (200, [])
    assert entry["status"]["status_str"] == "success"


def test_a_class_that_was_learned_before_is_extended() -> None:
    first = learned_from({"1": node("Mine", a=1), "2": node("Show", x=["1", 0])})
    again = {"1": node("Other"), "2": node("Mine", b=["1", 0], c="x")}

    more = learned_from(again, catalogue=first.added_to(CORE))

    entry = more.classes["Mine"]
    assert {*entry["input"]["required"], *entry["input"]["optional"]} == {"a", "b", "c"}
    assert entry["output_node"]
    assert run(again, first.with_more(more))[1]["status"]["status_str"] == "success"
    assert not learned_from(again, catalogue=first.with_more(more).added_to(CORE)).classes


def test_a_cycle_of_classes_that_were_learned_before_is_refused() -> None:
    first = learned_from({"1": node("Mine", a=1), "2": node("Show", x=["1", 0])})
    cycle = {
        "1": node("Mine", b=["2", 0]),
        "2": node("Mine", b=["1", 0]),
        "3": node("Show", x=["2", 0]),
    }

    more = learned_from(cycle, catalogue=first.added_to(CORE))

    assert run(cycle, first.with_more(more))[0] == 400


def test_an_input_that_has_a_list_is_not_declared() -> None:
    """The real server would take the list for a link, and refuse it."""
    learned = learned_from({"1": node("Mine", points=[[1, 2]], a=1)})

    assert list(learned.classes["Mine"]["input"]["optional"]) == ["a"]


@pytest.mark.parametrize(
    "broken", [{"1": 5}, {"1": {"inputs": {}}}, {"1": {"class_type": "A", "inputs": []}}]
)
def test_what_is_not_a_workflow_is_said_and_not_learned_from(broken: Any) -> None:
    learner = Learner(CORE, ERA)

    with pytest.raises(WorkflowError, match="the file: "):
        learner.add_prompt(broken, "the file")

    assert learner.learned().facts() == Learned().facts()


PAGE = {
    "nodes": [
        {"id": 1, "type": "EmptyImage", "widgets_values": [32, 16, 1, 0], "inputs": [],
         "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}]},
        {"id": 2, "type": "MyFilter", "widgets_values": [],
         "inputs": [{"name": "image", "type": "IMAGE", "link": 1}],
         "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [2]},
                     {"name": "MASK", "type": "MASK", "links": None}]},
        {"id": 3, "type": "PreviewImage", "widgets_values": [],
         "inputs": [{"name": "images", "type": "IMAGE", "link": 2}], "outputs": []},
    ],
    "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
}  # fmt: skip


def test_a_workflow_of_the_web_page_says_all_slots_and_types_itself() -> None:
    learner = Learner(CORE, ERA)
    learner.add(Workflow("ui", PAGE), "page.json")

    entry = learner.learned().classes["MyFilter"]

    assert entry["output"] == ["IMAGE", "MASK"]
    assert entry["input"]["optional"] == {"image": ["IMAGE", {}]}


def test_nodes_of_the_page_are_no_classes() -> None:
    notes = [
        {"id": 4, "type": "MarkdownNote", "widgets_values": ["read me"]},
        {"id": 5, "type": "PrimitiveNode", "outputs": [{"name": "INT", "type": "INT"}]},
        {"id": 6, "type": "Reroute", "inputs": [{"name": "", "type": "*", "link": 2}]},
    ]
    learner = Learner(CORE, ERA)
    learner.add(Workflow("ui", {**PAGE, "nodes": [*PAGE["nodes"], *notes]}), "page.json")

    assert learner.learned().new == ["MyFilter"]


def test_of_a_group_node_the_classes_inside_are_learned() -> None:
    inside = {"type": "MyMaker", "outputs": [{"name": "IMAGE", "type": "IMAGE"}]}
    group = {"id": 2, "type": "workflow>mine", "outputs": [{"name": "IMAGE", "type": "IMAGE"}]}
    graph = {
        "nodes": [group, PAGE["nodes"][2]],
        "links": [[2, 2, 0, 3, 0, "IMAGE"]],
        "extra": {"groupNodes": {"mine": {"nodes": [inside], "links": []}}},
    }
    learner = Learner(CORE, ERA)
    learner.add(Workflow("ui", graph), "page.json")

    learned = learner.learned()

    assert learned.new == ["MyMaker"]
    assert learned.classes["MyMaker"]["output"] == ["IMAGE"]


def test_a_server_learns_while_it_runs() -> None:
    server = SimulatedServer()

    facts = server.learn([{"prompt": CUSTOM}])

    assert facts["classes"] == ["MyFilter", "MySplit", "ShowMe"]
    assert "MyFilter" in server.engine.catalogue
    assert server.facts()["learned"] == facts


@pytest.mark.long
def test_a_hundred_thousand_nodes_are_learned_from() -> None:
    prompt = {str(n): node("Mine", a=[str(n - 1), 0]) for n in range(1, 100_000)}
    prompt["0"] = node("Mine", a=1)

    learned = learned_from(prompt)

    assert learned.new == ["Mine"]


names = st.text(min_size=1, max_size=8)
values = st.none() | st.booleans() | st.integers() | st.floats() | names | st.lists(st.integers())


@pytest.mark.slow
@given(
    st.dictionaries(
        names,
        st.fixed_dictionaries(
            {"class_type": names | st.sampled_from(["KSampler", "LoadImage", "SaveImage"])},
            optional={"inputs": st.dictionaries(names, values, max_size=4)},
        ),
        min_size=1, max_size=5,
    )
)  # fmt: skip
def test_no_prompt_is_too_odd_to_learn_from(prompt: dict[str, Any]) -> None:
    [workflow] = find_workflows(prompt)
    learner = Learner(CORE, ERA)
    learner.add(workflow, "it")

    catalogue = learner.learned().added_to(CORE)

    assert catalogue.unknown_in(prompt) == []
    catalogue.all_info()
