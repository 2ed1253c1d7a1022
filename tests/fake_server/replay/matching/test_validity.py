"""What the recorded server refuses."""

from __future__ import annotations

from typing import Any

import pytest

from comfyrec.versions import era_of
from fake_server.nodes.catalogue import Catalogue
from fake_server.replay.matching.validity import Flaw, Validity, flaws_of

IMAGE: dict[str, Any] = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}
LOAD: dict[str, Any] = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "in.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}


def validity(
    accepted: list[Any],
    refusals: list[Any] | None = None,
    *,
    guessed: frozenset[str] = frozenset(),
    version: str = "0.33.0",
) -> Validity:
    catalogue, era = Catalogue.core(), era_of(version)
    return Validity(catalogue, frozenset(), guessed, era, accepted, refusals or [])


def changed(graph: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    """The same with other inputs of node 1; None takes one out."""
    own = {**graph["1"]["inputs"], **inputs}
    kept = {name: value for name, value in own.items() if value is not None}
    return {**graph, "1": {**graph["1"], "inputs": kept}}


def nobodys(text: str) -> bool:
    return False


def test_a_good_graph_has_no_flaws() -> None:
    assert validity([IMAGE]).flaws(IMAGE, nobodys) == []


def test_a_missing_input_and_a_bound_are_flaws() -> None:
    judge = validity([IMAGE])

    assert judge.flaws(changed(IMAGE, width=None), nobodys) == [
        Flaw("required_input_missing", "EmptyImage", "width")
    ]
    assert judge.flaws(changed(IMAGE, width=0), nobodys) == [
        Flaw("value_smaller_than_min", "EmptyImage", "width")
    ]


def test_what_the_server_took_once_is_no_flaw() -> None:
    judge = validity([changed(IMAGE, width=0)])

    assert judge.flaws(changed(IMAGE, width=-5), nobodys) == []


def test_a_file_is_missing_where_one_was_missing_and_nobody_uploaded_it() -> None:
    flaw = Flaw("custom_validation_failed", "LoadImage", "image")
    judge = validity([LOAD], [flaw])

    assert judge.flaws(changed(LOAD, image="gone.png"), nobodys) == [flaw]
    assert judge.flaws(LOAD, nobodys) == []
    assert judge.flaws(changed(LOAD, image="mine.png"), lambda text: text == "mine.png") == []


def test_other_lists_of_files_prove_nothing() -> None:
    assert validity([LOAD]).flaws(changed(LOAD, image="gone.png"), nobodys) == []


def test_a_refusal_names_its_flaws() -> None:
    said = [{"type": "custom_validation_failed", "extra_info": {"input_name": "image"}}]

    found = flaws_of(LOAD, {"type": "prompt_outputs_failed_validation"}, {"1": {"errors": said}})

    assert list(found) == [Flaw("custom_validation_failed", "LoadImage", "image")]


def test_an_unknown_class_is_one_flaw_whatever_it_is_called() -> None:
    flaws = [
        list(flaws_of({}, error, {}))
        for error in (
            {"type": "missing_node_type", "message": "Node 'A' not found."},
            {"type": "invalid_prompt", "message": "Cannot execute because node A does not exist."},
        )
    ]

    assert flaws == [[Flaw("missing_node_type")]] * 2


def test_refusals_that_make_no_sense_name_no_flaw() -> None:
    assert list(flaws_of({}, None, None)) == []
    assert list(flaws_of({}, "no prompt", [])) == []
    assert list(flaws_of({}, {"type": 1}, {"1": None, "2": {"errors": [None]}})) == []


def test_a_graph_without_outputs_is_refused_unless_a_class_in_it_may_be_one() -> None:
    flaw = Flaw("prompt_no_outputs")
    half = {"1": IMAGE["1"]}

    assert validity([IMAGE]).flaws(half, nobodys) == [flaw]
    assert validity([IMAGE], guessed=frozenset(("EmptyImage",))).flaws(half, nobodys) == []
    assert validity([half]).flaws(half, nobodys) == []


@pytest.mark.parametrize(("version", "refused"), [("0.33.0", True), ("0.3.10", False)])
def test_targets_that_are_no_outputs_leave_none_where_the_version_knows_them(
    version: str, refused: bool
) -> None:
    judge = validity([IMAGE], version=version)

    assert judge.flaws(IMAGE, nobodys, ["2"]) == []
    assert bool(judge.flaws(IMAGE, nobodys, ["1"])) == refused
