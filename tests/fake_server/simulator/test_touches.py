"""How core nodes fail on literals, as it was observed on 0.27.0."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_server.nodes import literal_errors as touches
from fake_server.nodes.behaviour import NOTHING, NodeFailed, Value
from fake_server.nodes.catalogue import Catalogue, NodeClass
from fake_server.nodes.literal_errors import misused_literal

CORE = Catalogue.core()
LINKED = NOTHING


def class_of(name: str) -> NodeClass:
    found = CORE.get(name)
    assert found is not None, name
    return found


def said(name: str, **inputs: Any) -> tuple[str, str] | None:
    given = {
        key: one if one is LINKED else Value(literal=one, known=True) for key, one in inputs.items()
    }
    failed = misused_literal(class_of(name), given)
    return None if failed is None else (failed.kind, failed.message)


def lacks(kind: str, member: str) -> tuple[str, str]:
    return "AttributeError", f"{kind!r} object has no attribute {member!r}"


OBSERVED: list[tuple[str, dict[str, Any], tuple[str, str] | None]] = [
    ("BasicScheduler", {"model": "x"}, lacks("str", "get_model_object")),
    ("CLIPSetLastLayer", {"clip": 5}, lacks("int", "clone")),
    ("CLIPTextEncodeSDXL", {"clip": None}, lacks("NoneType", "tokenize")),
    ("CLIPVisionEncode", {"clip_vision": "x", "image": 5}, lacks("str", "encode_image")),
    ("Canny", {"image": {}}, lacks("dict", "to")),
    (
        "ConditioningAverage",
        {"conditioning_to": "x", "conditioning_from": 5},
        ("TypeError", "object of type 'int' has no len()"),
    ),
    (
        "ConditioningCombine",
        {"conditioning_1": "x", "conditioning_2": 5},
        ("TypeError", 'can only concatenate str (not "int") to str'),
    ),
    ("ConditioningCombine", {"conditioning_1": 1.5, "conditioning_2": True}, None),
    (
        "ConditioningConcat",
        {"conditioning_to": "x", "conditioning_from": "x"},
        ("TypeError", "expected Tensor as element 0 in argument 0, but got str"),
    ),
    ("ConditioningConcat", {"conditioning_to": 5, "conditioning_from": {}}, ("KeyError", "0")),
    ("ConditioningSetArea", {"conditioning": "x"}, ("IndexError", "string index out of range")),
    ("ConditioningSetArea", {"conditioning": 5}, ("TypeError", "'int' object is not iterable")),
    ("ConditioningSetArea", {"conditioning": {}}, None),
    (
        "ControlNetApplyAdvanced",
        {"positive": "x", "negative": 5, "control_net": {}, "image": 1.5},
        lacks("float", "movedim"),
    ),
    (
        "ControlNetApplyAdvanced",
        {"positive": "x", "negative": 5, "control_net": {}, "image": LINKED},
        ("IndexError", "string index out of range"),
    ),
    ("FlipSigmas", {"sigmas": "x"}, lacks("str", "flip")),
    ("FlipSigmas", {"sigmas": {}}, None),
    (
        "ImageFlip",
        {"image": "x"},
        ("TypeError", "flip(): argument 'input' (position 1) must be Tensor, not str"),
    ),
    ("ImageScaleBy", {"image": {}}, lacks("dict", "movedim")),
    ("ImageStitch", {"image1": "x"}, None),
    ("ImageStitch", {"image2": "x"}, lacks("str", "shape")),
    ("ImageStitch", {"image2": None}, None),
    ("ImageCompositeMasked", {"mask": None}, None),
    ("ImageCompositeMasked", {"mask": 5}, lacks("int", "to")),
    ("ImageCompositeMasked", {"destination": None}, lacks("NoneType", "shape")),
    ("LTXVScheduler", {"latent": None}, None),
    ("WanImageToVideo", {"vae": "x", "start_image": "x"}, lacks("str", "movedim")),
    ("ImageToMask", {"image": 5}, ("TypeError", "'int' object is not subscriptable")),
    ("KSampler", {"model": "x", "latent_image": LINKED}, lacks("str", "get_model_object")),
    (
        "KSampler",
        {"model": "x", "latent_image": 5},
        ("TypeError", "'int' object is not subscriptable"),
    ),
    ("LatentApplyOperation", {"operation": {}}, ("TypeError", "'dict' object is not callable")),
    ("LatentBlend", {"samples1": {}}, ("KeyError", "'samples'")),
    (
        "LatentBlend",
        {"samples1": LINKED, "samples2": "x"},
        ("TypeError", "string indices must be integers, not 'str'"),
    ),
    ("SamplerCustomAdvanced", {"guider": True}, lacks("bool", "model_patcher")),
    ("SetUnionControlNetType", {"control_net": {}}, lacks("dict", "set_extra_arg")),
    (
        "SplitImageWithAlpha",
        {"image": {}},
        ("RuntimeError", "stack expects a non-empty TensorList"),
    ),
    ("ThresholdMask", {"mask": 5}, lacks("bool", "float")),
    (
        "VAEEncode",
        {"pixels": LINKED, "vae": "x"},
        ("TypeError", "encode() argument 'encoding' must be str, not Tensor"),
    ),
    ("VAEEncode", {"pixels": LINKED, "vae": {}}, lacks("dict", "encode")),
]  # fmt: skip


@pytest.mark.parametrize(
    "name, inputs, wanted", OBSERVED, ids=[f"{row[0]}-{i}" for i, row in enumerate(OBSERVED)]
)
def test_a_literal_fails_where_the_node_first_reaches_into_it(
    name: str, inputs: dict[str, Any], wanted: tuple[str, str] | None
) -> None:
    assert said(name, **inputs) == wanted


def test_a_missing_clip_comes_with_advice_where_text_is_encoded() -> None:
    failed = said("CLIPTextEncode", clip=None)

    assert failed is not None
    assert failed[0] == "RuntimeError"
    assert failed[1].startswith("ERROR: clip input is invalid: None\n\n")


def test_what_comes_over_links_is_never_reached_into() -> None:
    for name in CORE:
        kind = class_of(name)
        assert misused_literal(kind, dict.fromkeys(kind.inputs, LINKED)) is None


def test_every_class_with_ways_of_its_own_has_the_inputs_that_they_name() -> None:
    for name in touches.CLASSES:
        kind = CORE.get(name)
        ways = touches.own_ways(name)
        wrong = [one for names in ways for one in names if kind and one not in kind.inputs]
        assert not wrong, (name, wrong)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["samples", "0", "a"]), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(st.sampled_from(sorted(CORE)), st.lists(json_values, min_size=1, max_size=4))
def test_any_literal_is_refused_or_taken(name: str, literals: list[Any]) -> None:
    kind = class_of(name)
    inputs = {
        key: Value(literal=one, known=True)
        for key, one in zip(kind.inputs, itertools.cycle(literals), strict=False)
    }

    assert isinstance(misused_literal(kind, inputs), NodeFailed | None)
