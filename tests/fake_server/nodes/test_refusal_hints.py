"""What stands beside a refusal, for the person who tries a workflow of their own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fake_server.nodes.catalogue import Catalogue
from fake_server.options import ServerOptions
from fake_server.simulated_server import SimulatedServer
from fake_server.source import Request, RequestReceived, Respond
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
