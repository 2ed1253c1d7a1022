"""The file of core classes: small, whole, and without texts."""

from __future__ import annotations

from typing import Any

import pytest

from comfyrec.versions import era_of
from fake_server.nodes import core_nodes
from fake_server.nodes.catalogue import Catalogue
from fake_server.nodes.model_folders import LOADERS, MODEL_FOLDERS


def test_what_is_packed_is_read_again_class_by_class() -> None:
    kept = {"input": {"required": {"a": ["INT", {"default": 1}]}}, "name": "A"}
    other = {**kept, "name": "B"}
    versions = {"1.0.0": {"A": kept}, "2.0.0": {"B": other, "A": kept}}

    read = core_nodes.read_pack(core_nodes.pack(versions))

    assert {version: dict(classes) for version, classes in read.items()} == versions
    assert list(read["2.0.0"]) == ["B", "A"]


TEXTS: dict[str, tuple[Any, Any]] = {
    "a description": ({"description": "It does."}, {"description": ""}),
    "an input of that name": (
        {"description": ["STRING", {"tooltip": "t"}]},
        {"description": ["STRING", {"tooltip": ""}]},
    ),
    "a price": ({"price_badge": {"expr": "x"}}, {}),
    "a long prompt": ({"default": "word " * 20}, {"default": ""}),
    "a short default": ({"default": "euler"}, {"default": "euler"}),
}


@pytest.mark.parametrize("entry, wanted", TEXTS.values(), ids=TEXTS)
def test_texts_that_people_wrote_are_left_out(entry: Any, wanted: Any) -> None:
    assert core_nodes.without_texts(entry) == wanted


@pytest.mark.parametrize("version", core_nodes.VERSIONS)
def test_every_generation_holds_nothing_but_node_classes(version: str) -> None:
    catalogue = Catalogue.core(era_of(version)).checked()

    assert {"KSampler", "SaveImage", "LoadImage"} <= set(catalogue)


def test_the_file_has_the_versions_that_it_is_said_to_have() -> None:
    assert tuple(core_nodes._pack()) == core_nodes.VERSIONS


def test_classes_come_with_their_versions() -> None:
    counts = [len(Catalogue.core(era_of(version))) for version in core_nodes.VERSIONS]

    assert counts == sorted(counts)
    assert "PreviewAny" not in Catalogue.core(era_of("2024-07"))
    assert "PreviewAny" in Catalogue.core(era_of("0.3.64"))


def test_every_loader_names_a_folder_and_an_input_that_exist() -> None:
    newest = Catalogue.core(era_of(core_nodes.VERSIONS[-1]))

    wrong = [
        (name, key)
        for name, row in LOADERS.items()
        for key, folder in row.items()
        if folder not in MODEL_FOLDERS
        or ((kind := newest.get(name)) is not None and key not in kind.inputs)
    ]

    assert wrong == []
