"""Files that are not pictures: sound, video, latents, of any size."""

from __future__ import annotations

import pytest

from fake_server.storage.media import LATENT_MAX, media


def test_a_latent_of_any_size_fits_into_memory() -> None:
    made = media("latent", shape=(4_096, 2_048, 2_048), texts={})
    assert made is not None

    assert len(made()) < LATENT_MAX


@pytest.mark.parametrize("extension", ["flac", "mp3", "opus", "mp4", "webm", "mkv", "svg", "glb"])
def test_every_kind_of_file_has_content(extension: str) -> None:
    made = media(extension, shape=(1, 8, 8), texts={})
    assert made is not None

    assert made()
