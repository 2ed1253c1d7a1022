"""Plans, graphs, catalogues, eras, names: the parts that the engine is made of."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyrec.errors import ScenarioError, UsageError
from fake_server.nodes.catalogue import AUTOGROW_INPUTS_MAX, Catalogue
from fake_server.seeded import SeededRandom
from fake_server.simulator.graph import EXACT_NODES_MAX, Graph, Order, signatures
from fake_server.simulator.node_plan import NodePlan, NodePlans
from fake_server.storage.filenames import LeavesFolder, fill_in, next_counter, save_path
from tests.support.engine_bench import CATALOGUE, Rig, entry, node

# --- plans ---------------------------------------------------------------------------------------

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


def test_a_planned_output_that_names_files_has_them() -> None:
    files = [{"filename": "a.webp", "subfolder": "s", "type": "output"}, {"filename": "../x"}]
    rig = Rig({"2": {"ui": {"images": files, "text": ["t"]}, "size": [6, 4]}})

    rig.queue({"1": node("Make", color=1), "2": node("Sink", image=["1", 0])})

    assert rig.folders.names("output", "s") == ["a.webp"]
    assert rig.folders.names("output") == []


# --- order and signatures ------------------------------------------------------------------------

ids = st.integers(0, 11).map(str)


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Any]:
    """A prompt without cycles: each node may look at those before it."""
    count = draw(st.integers(1, 12))
    prompt: dict[str, Any] = {"0": node("Make", color=draw(st.integers(0, 2)))}
    for number in range(1, count):
        earlier = st.integers(0, number - 1).map(str)
        kind = draw(st.sampled_from(["Make", "Pass", "Both", "Sink"]))
        first, second = draw(earlier), draw(earlier)
        prompt[str(number)] = {
            "Make": lambda: node("Make", color=draw(st.integers(0, 2))),
            "Pass": lambda first=first: node("Pass", image=[first, 0]),
            "Both": lambda first=first, second=second: node(
                "Both", image1=[first, 0], image2=[second, 0]
            ),
            "Sink": lambda first=first: node("Sink", image=[first, 0]),
        }[kind]()
    return prompt


def never(node_id: str) -> bool:
    return False


@given(graphs())
def test_every_node_comes_after_its_sources_and_each_once(prompt: dict[str, Any]) -> None:
    graph = Graph(prompt, CATALOGUE)
    order = Order(graph, never)
    for node_id in prompt:
        order.add(node_id)
    ran: list[str] = []

    while order:
        node_id = order.next()
        assert node_id is not None
        sources = [value[0] for value in graph.inputs(node_id).values() if isinstance(value, list)]
        assert set(sources) <= set(ran)
        ran.append(node_id)
        order.done(node_id)

    assert sorted(ran) == sorted(prompt)


def keys(prompt: dict[str, Any]) -> dict[str, Any]:
    return dict(signatures(Graph(prompt, CATALOGUE), prompt, never))


@given(graphs(), st.permutations([str(n) for n in range(12)]))
def test_renaming_nodes_keeps_every_signature(prompt: dict[str, Any], names: list[str]) -> None:
    new = dict(zip([str(n) for n in range(12)], names, strict=True))
    renamed = {
        new[one]: {
            **each,
            "inputs": {
                name: [new[value[0]], value[1]] if isinstance(value, list) else value
                for name, value in each["inputs"].items()
            },
        }
        for one, each in prompt.items()
    }

    before, after = keys(prompt), keys(renamed)

    assert {one: after[new[one]] for one in prompt} == before


@given(graphs(), ids)
def test_changing_a_node_changes_it_and_what_follows_and_nothing_else(
    prompt: dict[str, Any], changed: str
) -> None:
    if changed not in prompt:
        return
    other = {
        **prompt,
        changed: {**prompt[changed], "inputs": {**prompt[changed]["inputs"], "x": 9}},
    }
    behind = {changed}
    for one, each in prompt.items():
        links = [value[0] for value in each["inputs"].values() if isinstance(value, list)]
        behind |= {one} if behind & set(links) else set()

    before, after = keys(prompt), keys(other)

    assert {one for one in prompt if before[one] != after[one]} == behind


def test_a_long_chain_has_its_signatures_in_no_time() -> None:
    count = EXACT_NODES_MAX * 20
    prompt = {str(n): node("Pass", image=[str(n - 1), 0]) for n in range(1, count)}
    prompt["0"] = node("Make", color=1)

    found = keys(prompt)

    assert len(set(found.values())) == count
    assert found == keys(dict(reversed(prompt.items())))


def test_values_of_any_shape_can_be_part_of_a_key() -> None:
    odd = {"a": [1, {"b": None}], "c": float("inf")}
    prompt = {"0": {"class_type": "Make", "inputs": {"color": odd}}}

    assert keys(prompt) == keys(json.loads(json.dumps(prompt)))


# --- catalogues ----------------------------------------------------------------------------------


def test_the_core_nodes_are_whole_and_offer_models() -> None:
    core = Catalogue.core()

    for name in core:
        assert core.get(name) is not None, name
        info = core.info(name)
        assert info is not None
        assert info["name"] == name
    wanted = {
        "KSampler",
        "CheckpointLoaderSimple",
        "CLIPTextEncode",
        "VAEDecode",
        "VAEEncode",
        "EmptyLatentImage",
        "SaveImage",
        "PreviewImage",
        "LoadImage",
        "LoadImageMask",
        "ImageUpscaleWithModel",
        "UpscaleModelLoader",
        "VAEEncodeForInpaint",
        "SetLatentNoiseMask",
        "LoraLoader",
        "ControlNetLoader",
        "ControlNetApplyAdvanced",
        "SaveImageWebsocket",
        "ImageScale",
        "ImageInvert",
        "ImageCrop",
        "ImageBatch",
        "LatentUpscale",
        "InvertMask",
    }
    assert wanted <= set(core)
    assert "v1-5-pruned-emaonly.safetensors" in core.models["checkpoints"]


def test_other_model_lists_make_another_catalogue() -> None:
    core = Catalogue.core()

    mine = core.with_models({"checkpoints": ["mine.safetensors"]})

    loader = mine.get("CheckpointLoaderSimple")
    assert loader is not None
    assert loader.inputs["ckpt_name"].choices == ["mine.safetensors"]
    assert mine.models["loras"] == core.models["loras"]
    assert "mine.safetensors" not in core.models["checkpoints"]


def test_models_are_read_from_a_servers_own_lists() -> None:
    info = {"CheckpointLoaderSimple": entry({"ckpt_name": [["a.ckpt"], {}]}, ["MODEL"])}

    assert Catalogue.from_object_info(info).models["checkpoints"] == ("a.ckpt",)


@pytest.mark.parametrize("info", [[], {}, None, {"A": 5}, {"A": {"input": []}}], ids=str)
def test_what_is_no_object_info_is_told_so(info: Any) -> None:
    with pytest.raises(UsageError, match="object_info"):
        Catalogue.from_object_info(info)


def dynamic(options: Any) -> dict[str, Any]:
    return entry({"mode": ["COMFY_DYNAMICCOMBO_V3", {"options": options}]})


GROWN = {"input": {"required": {"x": ["IMAGE", {}]}}}
MISSHAPEN: dict[str, Any] = {
    "inputs that are a text": {"input": {"required": "image"}},
    "hidden inputs that are a list": {"input": {"hidden": ["PROMPT"]}},
    "outputs that are a number": {"input": {}, "output": 3},
    "a choice that is a text": dynamic(["a"]),
    "choices that are a number": dynamic(3),
    "inputs of a choice that are a text": dynamic([{"key": "a", "inputs": {"required": "x"}}]),
    "inputs that grow from nowhere": entry({"a": ["COMFY_AUTOGROW_V3", {"template": "x"}]}),
    "inputs that grow to a text": entry(
        {"a": ["COMFY_AUTOGROW_V3", {"template": {**GROWN, "max": "x"}}]}
    ),
}


@pytest.mark.parametrize("misshapen", MISSHAPEN.values(), ids=MISSHAPEN)
def test_an_entry_that_is_no_node_class_is_named(misshapen: Any) -> None:
    good = entry({"images": ["IMAGE", {}]})

    with pytest.raises(UsageError, match="entry 'Bad' is no node class"):
        Catalogue.from_object_info({"Good": good, "Bad": misshapen}).checked()


def test_an_entry_that_is_no_node_class_bothers_those_that_ask_for_it() -> None:
    info = {"Good": entry({"images": ["IMAGE", {}]}), "Bad": {"input": {"required": "image"}}}
    catalogue = Catalogue.from_object_info(info)

    assert catalogue.get("Good") is not None
    for asked in (catalogue.get, catalogue.info):
        with pytest.raises(UsageError, match="'Bad'"):
            asked("Bad")
    loader = {"CheckpointLoaderSimple": {"input": {"required": "x"}}}
    with pytest.raises(UsageError, match="'CheckpointLoaderSimple'"):
        Catalogue.from_object_info(loader)


def test_the_built_in_catalogue_holds_nothing_but_node_classes() -> None:
    assert len(Catalogue.core().checked()) > 200


def test_uploads_stand_in_the_lists_that_they_feed() -> None:
    info = Catalogue.core().info("LoadImage", ["b.png", "a.png"])

    assert info is not None
    assert info["input"]["required"]["image"][0] == ["a.png", "b.png"]
    assert Catalogue.core().info("Nope") is None


GROWING = Catalogue(
    {
        "Grow": entry(
            {
                "images": [
                    "COMFY_AUTOGROW_V3",
                    {
                        "template": {
                            "input": {"required": {"image": ["IMAGE", {}]}},
                            "prefix": "image",
                            "min": 2,
                            "max": 10**9,
                        }
                    },
                ]
            }
        ),
        "Choose": entry(
            {
                "kind": [
                    "COMFY_DYNAMICCOMBO_V3",
                    {
                        "options": [
                            {
                                "key": "by",
                                "inputs": {"required": {"factor": ["FLOAT", {"min": 0}]}},
                            },
                            {"key": "to", "inputs": {"optional": {"width": ["INT", {}]}}},
                        ]
                    },
                ]
            }
        ),
    },
    {},
)


def test_growing_inputs_are_spelled_out_within_bounds() -> None:
    grow = GROWING.get("Grow")
    assert grow is not None

    inputs = grow.finalized({})

    assert len(inputs) == AUTOGROW_INPUTS_MAX
    assert [one.name for one in inputs.values() if one.required] == [
        "images.image0",
        "images.image1",
    ]


def test_a_dynamic_choice_brings_its_own_inputs() -> None:
    choose = GROWING.get("Choose")
    assert choose is not None

    assert list(choose.finalized({"kind": "by"})) == ["kind.factor", "kind"]
    assert list(choose.finalized({"kind": "to"})) == ["kind.width", "kind"]
    assert [*choose.finalized({"kind": ["x", 0]}), *choose.finalized({})] == []


# --- eras, chance, names -------------------------------------------------------------------------


FLAGS = {
    "0.3.64": ["supports_preview_metadata", "max_upload_size"],
    "0.8.2": ["supports_preview_metadata", "max_upload_size", "extension"],
    "0.27.0": [
        "supports_preview_metadata",
        "supports_model_type_tags",
        "max_upload_size",
        "extension",
        "node_replacements",
        "assets",
    ],
}


@pytest.mark.parametrize("version", FLAGS)
def test_the_servers_flags_grow_with_its_version(version: str) -> None:
    assert list(Rig(version=version).engine.features()) == FLAGS[version]


@given(st.integers())
@settings(max_examples=30)
def test_chance_is_the_same_for_the_same_seed(seed: int) -> None:
    one, other = SeededRandom(seed), SeededRandom(seed)

    assert [one.uuid() for _ in range(3)] == [other.uuid() for _ in range(3)]
    assert one.temp_letters() == other.temp_letters()


COUNTERS: dict[str, tuple[list[str], int]] = {
    "none": ([], 1),
    "one": (["a_00001_.png"], 2),
    "a gap": (["a_00001_.png", "a_00007_.png"], 8),
    "other names": (["ab_00009_.png", "a-00009_.png", "b_00009_.png"], 1),
    "another case": (["A_00003_.png"], 4),
    "no number": (["a_.png", "a_x_.png", "a_00002.txt"], 1),
}


@pytest.mark.parametrize("there, number", COUNTERS.values(), ids=COUNTERS)
def test_the_counter_goes_on_behind_the_highest(there: list[str], number: int) -> None:
    assert next_counter("a", 1, there, before_dot=False) == number


def test_a_text_counts_since_names_may_end_with_the_number() -> None:
    assert next_counter("a", 1, ["a_00002.txt", "a_00001_.png"], before_dot=True) == 3


def test_a_prefix_that_ends_in_a_slash_finds_none_of_its_files() -> None:
    found = [save_path(prefix, root="/r", counter=lambda *where: where[2]) for prefix in ("a/", "")]

    assert [(one.name, one.counter) for one in found] == [("a", 0), (".", 0)]
    assert next_counter("a", 0, ["a_00001_.png"], before_dot=True) == 1


PREFIXES: dict[str, tuple[str, str, str]] = {
    "plain": ("shot", "", "shot"),
    "folder": ("day/one/shot", "day/one", "shot"),
    "dots": ("./day/../shot", "", "shot"),
    "empty": ("", "", "."),
}


@pytest.mark.parametrize("prefix, subfolder, name", PREFIXES.values(), ids=PREFIXES)
def test_a_prefix_is_a_folder_and_a_name(prefix: str, subfolder: str, name: str) -> None:
    path = save_path(prefix, root="/r/output", counter=lambda *_: 3)

    assert path.file(1, single=True) == f"{name}_00004_.png"

    assert (path.subfolder, path.name) == (subfolder, name)
    assert path.file(1) == f"{name}_00004_.png"


@pytest.mark.parametrize("prefix", ["../x", "/etc/x", "a/../../x", "../output2/x"])
def test_a_prefix_does_not_leave_the_folder(prefix: str) -> None:
    with pytest.raises(LeavesFolder, match="Saving image outside the output folder"):
        save_path(prefix, root="/r/output", counter=lambda *_: 1)


def test_words_in_a_prefix_are_filled_in() -> None:
    filled = fill_in(
        "%width%x%height%_%year%-%month%-%day%_%hour%%minute%%second%_%other%",
        width=64,
        height=48,
        now_ms=1_767_225_600_000,
    )

    assert filled == "64x48_2026-01-01_000000_%other%"


def test_the_batch_number_in_a_prefix_is_filled_in_for_each_picture() -> None:
    rig = Rig()

    rig.queue(
        {
            "1": node("EmptyImage", width=8, height=8, batch_size=2, color=0),
            "2": node("SaveImage", images=["1", 0], filename_prefix="b%batch_num%"),
        }
    )

    assert rig.folders.names("output") == ["b0_00001_.png", "b1_00002_.png"]


SIZES: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "scaled": (
        node(
            "ImageScale", image=["1", 0], upscale_method="area", width=0, height=6, crop="disabled"
        ),
        (8, 6, 2),
    ),
    "by a factor": (
        node("ImageScaleBy", image=["1", 0], upscale_method="area", scale_by=2.0),
        (32, 24, 2),
    ),
    "cropped": (node("ImageCrop", image=["1", 0], width=10, height=99, x=0, y=0), (10, 12, 2)),
    "padded": (
        node(
            "ImagePadForOutpaint", image=["1", 0], left=8, top=0, right=8, bottom=16, feathering=0
        ),
        (32, 28, 2),
    ),
    "joined": (node("ImageBatch", image1=["1", 0], image2=["1", 0]), (16, 12, 4)),
    "inverted": (node("ImageInvert", image=["1", 0]), (16, 12, 2)),
    "one of them": (node("ImageFromBatch", image=["1", 0], batch_index=0, length=1), (16, 12, 1)),
    "repeated": (node("RepeatImageBatch", image=["1", 0], amount=3), (16, 12, 6)),
}


@pytest.mark.parametrize("middle, wanted", SIZES.values(), ids=SIZES)
def test_saved_pictures_have_the_size_that_the_graph_asks_for(
    middle: dict[str, Any], wanted: tuple[int, int, int]
) -> None:
    from fake_server.storage.pictures import measure

    rig = Rig()
    prompt_id = rig.queue(
        {
            "1": node("EmptyImage", width=16, height=12, batch_size=2, color=0),
            "2": middle,
            "3": node("SaveImage", images=["2", 0], filename_prefix="s"),
        }
    )

    files = rig.history(prompt_id)["outputs"]["3"]["images"]
    kept = rig.folders.read("output", "", files[0]["filename"])
    assert kept is not None
    size = measure(kept.data)
    assert size is not None
    assert (*size[:2], len(files)) == wanted


def test_a_saved_picture_carries_its_graph() -> None:
    rig = Rig()
    prompt = {
        "1": node("Make", color=1),
        "2": node("SaveImage", images=["1", 0], filename_prefix="meta"),
    }

    rig.queue(prompt, extra_data={"extra_pnginfo": {"workflow": {"id": "w"}}})

    kept = rig.folders.read("output", "", "meta_00001_.png")
    assert kept is not None
    assert b"tEXtprompt\0" + json.dumps(prompt).encode() in kept.data
    assert b'tEXtworkflow\0{"id": "w"}' in kept.data


@pytest.mark.parametrize("version, second", [("0.20.1", "t_00001.md"), ("0.27.0", "t_00002.md")])
def test_a_saved_text_counts_since_0_21(version: str, second: str) -> None:
    rig = Rig(version=version)
    prompts = [
        {
            "1": node("PrimitiveString", value=text),
            "2": node("SaveText", text=["1", 0], filename_prefix="t", format="md"),
        }
        for text in ("one", "two")
    ]

    outputs = [rig.history(rig.queue(prompt))["outputs"]["2"] for prompt in prompts]

    names = [output["files"][0]["filename"] for output in outputs]
    assert names == ["t_00001.md", second]
    assert outputs[1]["text"] == ["two"]
    kept = rig.folders.read("output", "", second)
    assert kept is not None
    assert kept.data == b"two"


@pytest.mark.parametrize("batch, animated", [(1, None), (3, [True])])
def test_a_moving_picture_is_one_file_of_a_whole_batch(batch: int, animated: Any) -> None:
    rig = Rig()

    prompt_id = rig.queue(
        {
            "1": node("EmptyImage", width=8, height=8, batch_size=batch, color=0),
            "2": node(
                "SaveAnimatedWEBP",
                images=["1", 0],
                filename_prefix="m",
                fps=6.0,
                lossless=True,
                quality=80,
                method="default",
            ),
        }
    )

    shown = rig.history(prompt_id)["outputs"]["2"]
    assert [one["filename"] for one in shown["images"]] == ["m_00001_.webp"]
    assert shown.get("animated") == animated
