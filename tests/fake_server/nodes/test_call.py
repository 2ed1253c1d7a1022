"""What a core node is called with, and how it fails on that before it does anything."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_server.nodes.call import failure, function_of
from fake_server.nodes.catalogue import Catalogue, NodeClass
from fake_server.nodes.values import NOTHING, NodeFailed, Value

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
    failed = failure(class_of(name), given, literals=True)
    return None if failed is None else (failed.kind, failed.message)


def lacks(kind: str, member: str) -> tuple[str, str]:
    return "AttributeError", f"{kind!r} object has no attribute {member!r}"


OBSERVED: list[tuple[str, dict[str, Any], tuple[str, str] | None]] = [
    ("CLIPTextEncode", {"clip": 5}, lacks("int", "tokenize")),
    ("CLIPVisionEncode", {"clip_vision": "x"}, lacks("str", "encode_image")),
    ("ConditioningSetArea", {"conditioning": "x"}, ("IndexError", "string index out of range")),
    ("ConditioningSetArea", {"conditioning": 5}, ("TypeError", "'int' object is not iterable")),
    ("ConditioningSetArea", {"conditioning": {}}, None),
    ("ImageCompositeMasked", {"mask": None}, None),
    ("ImageCompositeMasked", {"destination": None}, lacks("NoneType", "shape")),
    ("KSampler", {"model": LINKED, "latent_image": LINKED}, None),
    (
        "KSampler",
        {"model": LINKED, "latent_image": 5},
        ("TypeError", "'int' object is not subscriptable"),
    ),
    ("LatentBlend", {"samples1": {}}, ("KeyError", "'samples'")),
    ("LoraLoader", {"model": "x"}, lacks("str", "clone")),
    ("SaveImage", {"images": "x"}, lacks("str", "shape")),
    ("VAEDecode", {"samples": LINKED, "vae": {}}, lacks("dict", "decode")),
]


@pytest.mark.parametrize(
    "name, inputs, wanted", OBSERVED, ids=[f"{row[0]}-{i}" for i, row in enumerate(OBSERVED)]
)
def test_a_literal_fails_where_nodes_first_reach_into_its_type(
    name: str, inputs: dict[str, Any], wanted: tuple[str, str] | None
) -> None:
    assert said(name, **inputs) == wanted


def test_what_comes_over_links_is_never_reached_into() -> None:
    plain = [kind for name in CORE if not (kind := class_of(name)).dynamic]

    failures = {
        kind.name: failed
        for kind in plain
        if (failed := failure(kind, dict.fromkeys(kind.inputs, LINKED), literals=True))
    }

    assert not failures


def test_what_an_expansion_gives_is_not_held_against_it() -> None:
    given = {"images": Value(literal="x", known=True)}

    assert failure(class_of("SaveImage"), given, literals=False) is None


def test_a_link_to_an_input_that_is_not_there_breaks_the_call() -> None:
    assert said("KSampler", nonsense=LINKED) == (
        "TypeError",
        "KSampler.sample() got an unexpected keyword argument 'nonsense'",
    )


def test_functions_are_called_as_their_classes_name_them() -> None:
    custom = Catalogue.from_object_info({"Mine": {"input": {}, "python_module": "custom_nodes.x"}})
    mine = custom.get("Mine")
    assert mine is not None

    names = [function_of(class_of(one)) for one in ("KSampler", "StringLength")]

    assert [*names, function_of(mine)] == ["sample", "execute", "run"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["samples", "0", "a"]), inner, max_size=2)
    ),
    max_leaves=6,
)


@pytest.mark.slow
@given(st.sampled_from(sorted(CORE)), st.lists(json_values, min_size=1, max_size=4))
def test_any_literal_is_refused_or_taken(name: str, literals: list[Any]) -> None:
    kind = class_of(name)
    inputs = {
        key: Value(literal=one, known=True)
        for key, one in zip(kind.inputs, itertools.cycle(literals), strict=False)
    }

    assert isinstance(failure(kind, inputs, literals=True), NodeFailed | None)
