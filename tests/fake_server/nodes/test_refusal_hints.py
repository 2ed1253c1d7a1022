"""What stands beside a refusal, for the person who tries a workflow of their own."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from fake_server.nodes.catalogue import Catalogue
from fake_server.options import ServerOptions
from fake_server.simulated_server import SimulatedServer
from fake_server.source import Request, RequestReceived, Respond
from tests.fake_server.http.test_prompts import CUSTOM
from tests.support.source_client import ask


def hint_of(prompt: Any, options: ServerOptions | None = None) -> str | None:
    return next(iter(hints_of(prompt, options)), None)


def hints_of(prompt: Any, options: ServerOptions | None = None) -> list[str]:
    answer = ask(SimulatedServer(options or ServerOptions()), "POST", "/prompt", {"prompt": prompt})
    return [value for name, value in answer.headers if name == "X-Fake-Hint"]


def test_a_refusal_for_an_unknown_class_says_beside_the_real_text_how_to_go_on() -> None:
    answer = ask(SimulatedServer(), "POST", "/prompt", {"prompt": CUSTOM})

    assert (answer.status, dict(answer.headers)["X-Fake-Hint"]) == (
        400,
        "'VHS_VideoCombine', 'Caf\\xe9 (fast)' are not in the catalogue: start with "
        "--learn WORKFLOW.json, --object-info URL or --unknown-nodes accept",
    )
    assert json.loads(answer.body)["error"]["type"] == "missing_node_type"
    assert b"--learn" not in answer.body


def loading(**files: str) -> dict[str, Any]:
    """A prompt that loads a checkpoint, a picture, both, or none."""
    graph: dict[str, Any] = {}
    if "ckpt_name" in files:
        graph["1"] = {"class_type": "CheckpointLoaderSimple", "inputs": files}
        graph["2"] = {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 64, "height": 64, "batch_size": 1},
        }
        graph["3"] = {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0], "vae": ["1", 2]}}
        graph["4"] = {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}}
    if "image" in files:
        graph["5"] = {"class_type": "LoadImage", "inputs": {"image": files["image"]}}
        graph["6"] = {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}}
    return graph


MODEL = (
    "'mine.safetensors' is not in the model folder checkpoints: start with --models "
    "checkpoints=mine.safetensors or --learn WORKFLOW.json"
)
PICTURE = (
    "'me.png' is not in the input folder: upload it first, or start with --learn WORKFLOW.json"
)
LACKING = {
    "a model": (loading(ckpt_name="mine.safetensors"), [MODEL]),
    "a picture": (loading(image="me.png"), [PICTURE]),
    "both": (loading(ckpt_name="mine.safetensors", image="me.png"), [MODEL, PICTURE]),
    "a name with control characters": (
        loading(image="a\x1b[31m.png"),
        [PICTURE.replace("me.png", "a\\x1b[31m.png")],
    ),
}


@pytest.mark.parametrize("prompt, hints", LACKING.values(), ids=LACKING)
def test_a_refusal_for_a_file_that_is_not_there_says_what_brings_it(
    prompt: Any, hints: list[str]
) -> None:
    assert hints_of(prompt) == hints


LONG = "Qwen-Image-Edit-2509-Lightning-4steps-V1.0-bf16 (a copy of the copy).safetensors"


def stacked(*loras: str, ckpt_name: str = "mine.safetensors") -> dict[str, Any]:
    """A prompt that loads a checkpoint and one LoRA after another."""
    graph = loading(ckpt_name=ckpt_name)
    for number, lora in enumerate(loras, 10):
        source = ["1" if number == 10 else str(number - 1), 0]
        graph[str(number)] = {
            "class_type": "LoraLoaderModelOnly",
            "inputs": {"model": source, "lora_name": lora, "strength_model": 1.0},
        }
    last = [str(9 + len(loras)), 0]
    graph["90"] = {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": ""}}
    graph["91"] = {
        "class_type": "KSampler",
        "inputs": {
            "model": last, "positive": ["90", 0], "negative": ["90", 0], "latent_image": ["2", 0],
            "seed": 1, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple",
            "denoise": 1.0,
        },
    }  # fmt: skip
    graph["3"]["inputs"]["samples"] = ["91", 0]
    return graph


def flags_of(hint: str | None) -> list[str]:
    """The flags that a hint says, as a shell takes them apart; without the names of the flags."""
    assert hint is not None
    command = hint.partition(": start with ")[2].removesuffix(" or --learn WORKFLOW.json")
    words = shlex.split(command)
    assert words[::2] == ["--models"] * (len(words) // 2)
    return words[1::2]


def started_with(flags: list[str], catalogue: Catalogue | None = None) -> ServerOptions:
    catalogue = catalogue or Catalogue.core()
    for flag in flags:
        folder, _, names = flag.partition("=")
        catalogue = catalogue.with_models({folder: names.split(",")})
    return ServerOptions(catalogue=catalogue)


KEPT = Catalogue.core().models["checkpoints"][0]
STACKS = {
    "two in one folder": stacked("a.safetensors", "b.safetensors", ckpt_name=KEPT),
    "two folders": stacked("a.safetensors"),
    "five, with long names": stacked(*(f"{number}-{LONG}" for number in range(5))),
    "quotes and backslashes": stacked('sub\\it\'s "$HOME".safetensors'),
}


@pytest.mark.parametrize("prompt", STACKS.values(), ids=STACKS)
def test_the_flags_are_said_whole_in_one_hint_and_bring_all_that_lacks(prompt: Any) -> None:
    [hint] = hints_of(prompt)

    assert hints_of(prompt, started_with(flags_of(hint))) == []


def test_a_flag_keeps_what_the_prompt_uses_of_the_folder() -> None:
    one = Catalogue.core().models["loras"]
    assert one, "the core server has LoRAs"

    hint = hint_of(stacked(one[0], "b.safetensors", ckpt_name=KEPT))

    assert flags_of(hint) == [f"loras={one[0]},b.safetensors"]


def test_a_flag_keeps_what_somebody_put_into_the_folder() -> None:
    options = started_with(["loras=x.safetensors,y.safetensors"])

    hint = hint_of(stacked("b.safetensors", ckpt_name=KEPT), options)

    assert flags_of(hint) == ["loras=x.safetensors,y.safetensors,b.safetensors"]


def test_a_long_name_is_cut_inside_its_quotes() -> None:
    hint = hint_of(stacked(LONG, ckpt_name=KEPT))

    assert hint is not None
    assert hint.startswith(f"'{LONG[:55]}...' is not in the model folder loras: ")


UNTYPED = {
    "a comma": ["a,b.safetensors"],
    "not ASCII": ["Caf\xe9.safetensors"],
    "control characters": ["a\nb.safetensors"],
    "nothing": [""],
    "too long": [f"{number}-{LONG}" for number in range(40)],
}


@pytest.mark.parametrize("loras", UNTYPED.values(), ids=UNTYPED)
def test_what_flags_cannot_say_is_left_to_a_workflow(loras: list[str]) -> None:
    hint = hint_of(stacked(*loras, ckpt_name=KEPT))

    assert hint is not None and len(hint) < 500
    assert hint.endswith(" in the model folder loras: start with --learn WORKFLOW.json")


def test_what_runs_in_part_has_the_hints_of_what_is_refused() -> None:
    graph = loading(ckpt_name="mine.safetensors", image="me.png") | {
        "8": {"class_type": "EmptyImage", "inputs": {
            "width": 8, "height": 8, "batch_size": 1, "color": 0,
        }},
        "9": {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}},
    }  # fmt: skip

    answer = ask(SimulatedServer(), "POST", "/prompt", {"prompt": graph})

    assert (answer.status, sorted(json.loads(answer.body)["node_errors"])) == (200, ["1", "5"])
    assert hints_of(graph) == [MODEL, PICTURE]


def test_what_the_hint_says_helps() -> None:
    prompt = loading(ckpt_name="mine.safetensors")
    with_model = Catalogue.core().with_models({"checkpoints": ["mine.safetensors"]})

    assert hint_of(prompt, ServerOptions(catalogue=with_model)) is None


GRAPH = loading(image="me.png")
PAGE = {"nodes": [{"id": 1, "type": "EmptyImage"}], "links": []}
AS_SAVED = (
    " is a workflow as the page saves it: send what 'comfyrec convert FILE -o api.json' or "
    "Export (API) on the page makes of it"
)
FORMS: dict[str, tuple[Any, int, str | None]] = {
    "the workflow alone": (
        GRAPH, 400, 'the body is the workflow: send it as {"prompt": WORKFLOW}'
    ),
    "under another name": (
        {"workflow": GRAPH}, 400, '\'workflow\' is the workflow: send it as {"prompt": WORKFLOW}'
    ),
    "in a list": ([GRAPH], 400, '\'[0]\' is the workflow: send it as {"prompt": WORKFLOW}'),
    "as a text": (
        {"prompt": json.dumps(GRAPH)}, 500, "'prompt' is JSON in a text: send the object itself"
    ),
    "as the page saves it": (PAGE, 400, f"the body{AS_SAVED}"),
    "as the page saves it, wrapped": ({"prompt": PAGE}, 500, f"'prompt'{AS_SAVED}"),
    "one node": (
        {"prompt": GRAPH["5"]},
        500,
        "'prompt' is one node: send an object of node ids, each with its node",
    ),
    "with a name that is not ASCII": (
        {"\x1bß": GRAPH}, 400, '\'\\x1b\\xdf\' is the workflow: send it as {"prompt": WORKFLOW}'
    ),
    "nothing of the kind": ({"a": 1}, 400, None),
    "a number": (5, 500, None),
}  # fmt: skip


@pytest.mark.parametrize("body, status, hint", FORMS.values(), ids=FORMS)
def test_a_workflow_in_another_form_is_recognized(body: Any, status: int, hint: str | None) -> None:
    answer = ask(SimulatedServer(), "POST", "/prompt", body)

    assert (answer.status, dict(answer.headers).get("X-Fake-Hint")) == (status, hint)


def test_a_body_that_is_not_json_is_said_to_be_none() -> None:
    request = Request("POST", "/prompt", (), b"prompt=x")
    answer = next(SimulatedServer().handle(RequestReceived(1, request), 0))

    assert isinstance(answer, Respond)
    assert answer.answer.status == 500
    assert dict(answer.answer.headers)["X-Fake-Hint"].startswith("the body is not JSON: send ")


OTHERS = {
    "no outputs": {"1": {"class_type": "EmptyImage", "inputs": {}}},
    "another choice": {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 0, "height": 8, "batch_size": 1}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    },
    "no graph": [1],
}


@pytest.mark.parametrize("prompt", OTHERS.values(), ids=OTHERS)
def test_other_refusals_come_without_a_hint(prompt: Any) -> None:
    assert hint_of(prompt) is None
