"""Model folders: what a server says of them wherever it is asked."""

from __future__ import annotations

import pytest

from comfyrec.errors import UsageError
from fake_server.nodes.catalogue import Catalogue
from fake_server.nodes.model_folders import checked_folders, folder_for


def test_a_folder_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="folder 'checkpoint'; did you mean 'checkpoints'"):
        checked_folders({"checkpoint": ["a.safetensors"]})


def test_a_folder_that_resembles_none_is_refused_with_all_of_them() -> None:
    with pytest.raises(UsageError, match="there are checkpoints, configs, loras"):
        checked_folders({"zzz": []})


def test_every_loader_of_a_folder_offers_the_same_files() -> None:
    catalogue = Catalogue.core().with_models({"loras": ["mine.safetensors"]})

    offered = [
        list(kind.inputs["lora_name"].choices or ())
        for name in ("LoraLoader", "LoraLoaderModelOnly", "CreateHookLora")
        if (kind := catalogue.get(name))
    ]

    assert offered == [["mine.safetensors"]] * 3
    assert catalogue.models["loras"] == ("mine.safetensors",)
    info = catalogue.info("LoraLoader")
    assert info is not None
    assert info["input"]["required"]["lora_name"][0] == ["mine.safetensors"]


FOLDERS: list[tuple[str, str, str | None]] = [
    ("Anything", "ckpt_name", "checkpoints"),
    ("Power Lora Stack", "lora_01", "loras"),
    ("MyUnetLoader", "file", "diffusion_models"),
    ("Anything", "clip_vision_model", "clip_vision"),
    ("Anything", "model_name", None),
]


@pytest.mark.parametrize("name, key, folder", FOLDERS)
def test_the_folder_of_an_unknown_class_follows_from_its_names(
    name: str, key: str, folder: str | None
) -> None:
    assert folder_for(name, key) == folder


def test_names_that_folders_had_lead_to_them() -> None:
    given = {"unet": ["a.safetensors"], "diffusion_models": ["b.safetensors"], "clip": ["c.gguf"]}

    assert checked_folders(given) == {
        "diffusion_models": ["a.safetensors", "b.safetensors"],
        "text_encoders": ["c.gguf"],
    }
    assert checked_folders({"unet": ["a"]}, more=("unet",)) == {"unet": ["a"]}
