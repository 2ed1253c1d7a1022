"""What stands beside a refusal, for the person who tries a workflow of their own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fake_server.nodes.catalogue import Catalogue
from fake_server.options import ServerOptions
from fake_server.simulated_server import SimulatedServer
from tests.fake_server.http.test_prompts import CUSTOM
from tests.support.source_client import ask


def hint_of(prompt: Any, options: ServerOptions | None = None) -> str | None:
    answer = ask(SimulatedServer(options or ServerOptions()), "POST", "/prompt", {"prompt": prompt})
    return dict(answer.headers).get("X-Fake-Hint")


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
    "checkpoints='mine.safetensors' or --learn WORKFLOW.json"
)
PICTURE = (
    "'me.png' is not in the input folder: upload it first, or start with --learn WORKFLOW.json"
)
LACKING = {
    "a model": (loading(ckpt_name="mine.safetensors"), MODEL),
    "a picture": (loading(image="me.png"), PICTURE),
    "both": (loading(ckpt_name="mine.safetensors", image="me.png"), f"{MODEL}; {PICTURE}"),
    "a name with control characters": (
        loading(image="a\x1b[31m.png"),
        PICTURE.replace("me.png", "a\\x1b[31m.png"),
    ),
}


@pytest.mark.parametrize("prompt, hint", LACKING.values(), ids=LACKING)
def test_a_refusal_for_a_file_that_is_not_there_says_what_brings_it(prompt: Any, hint: str) -> None:
    assert hint_of(prompt) == hint


def test_what_the_hint_says_helps() -> None:
    prompt = loading(ckpt_name="mine.safetensors")
    with_model = Catalogue.core().with_models({"checkpoints": ["mine.safetensors"]})

    assert hint_of(prompt, ServerOptions(catalogue=with_model)) is None


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
