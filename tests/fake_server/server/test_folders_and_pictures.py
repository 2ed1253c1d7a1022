"""Folders in memory and on a disk alike; pictures that an independent reader can read."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from comfyrec.errors import UsageError
from fake_server.storage import pictures as images
from fake_server.storage.disk import RealFolders, WebRoot
from fake_server.storage.memory import Folders, StoredFile, inside
from fake_server.storage.pictures import (
    alpha_only,
    is_image,
    measure,
    picture,
    preview,
    rgb_only,
    with_mask,
)

EPOCH_US = 1_700_000_000_000_000


@pytest.fixture(params=["in memory", "on a disk"])
def folders(request: pytest.FixtureRequest, tmp_path: Path) -> Folders:
    return Folders() if request.param == "in memory" else RealFolders(tmp_path, EPOCH_US)


def test_a_file_is_read_as_it_was_written(folders: Folders) -> None:
    folders.write("output", "a/b", "c.png", b"one", 5)
    folders.write("output", "a/b", "c.png", b"two", 9)

    found = folders.read("output", "a", "b/c.png")

    assert found is not None
    assert (found.data, found.modified_us) == (b"two", 9)
    assert folders.has("output", "", "a/b/c.png")
    assert folders.modified_us("output", "a/b", "c.png") == 9
    assert not folders.has("input", "a/b", "c.png")
    assert folders.read("output", "a/b", "none") is None
    assert folders.modified_us("output", "a/b", "none") is None


def test_folders_are_listed_and_walked_and_stay_when_they_are_empty(folders: Folders) -> None:
    folders.write("user", "default/x", "b", b"", 0)
    folders.write("user", "default/x", "a", b"", 0)
    folders.write("user", "default/x/y", "c", b"", 0)
    folders.make_folder("user", "default/z")

    assert folders.names("user", "default/x") == ["a", "b"]
    assert folders.folders("user", "default") == ["x", "z"]
    assert list(folders.walk("user", "default")) == [
        ("default", ["x", "z"], []),
        ("default/x", ["y"], ["a", "b"]),
        ("default/x/y", [], ["c"]),
        ("default/z", [], []),
    ]
    assert folders.remove("user", "default/x", "a")
    assert not folders.remove("user", "default/x", "a")
    assert folders.has_folder("user", "default/x")
    assert not folders.has_folder("user", "other")
    assert list(folders.walk("user", "other")) == []
    assert folders.names("user", "other") == []


def test_a_moved_file_keeps_its_time_and_takes_the_place_of_another(folders: Folders) -> None:
    folders.write("user", "", "a", b"a", 5)
    folders.write("user", "d", "b", b"b", 6)

    folders.move("user", "a", "d/b", 9)

    moved = folders.read("user", "d", "b")
    assert moved is not None
    assert (moved.data, moved.modified_us) == (b"a", 5)
    assert not folders.has("user", "", "a")


def test_a_file_that_nobody_reads_is_never_made() -> None:
    def drawn() -> bytes:
        calls.append(1)
        return b"picture"

    calls: list[int] = []
    folders = Folders()
    folders.write("output", "", "a", drawn, 0)
    before = list(calls)
    twice = [folders.read("output", "", "a"), folders.read("output", "", "a")]

    assert before == []
    assert twice == [StoredFile(b"picture", 0, 0)] * 2
    assert calls == [1]


def test_the_oldest_outputs_are_forgotten_and_inputs_never() -> None:
    folders = Folders(bytes_max=100)
    folders.write("input", "", "kept", b"x" * 60, 0)
    for number in range(5):
        folders.write("output", "", f"{number}", b"x" * 20, number)

    assert folders.names("output") == ["3", "4"]
    assert folders.names("input") == ["kept"]


def test_clearing_a_kind_leaves_the_others() -> None:
    folders = Folders()
    folders.write("output", "", "a", b"", 0)
    folders.write("temp", "", "b", b"", 0)

    folders.clear("output")
    left = folders.names("temp")
    folders.clear()

    assert (folders.names("output"), left, folders.names("temp")) == ([], ["b"], [])


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        (("a", "b.png"), "a/b.png"), (("",), ""), (("a/../b",), "b"), (("..",), None),
        (("../x",), None), (("/etc/passwd",), None), (("a", "/b"), None), (("a/..", ".."), None),
        (("./a//b/",), "a/b"),
    ],
)  # fmt: skip
def test_a_path_stays_inside_or_is_none(parts: tuple[str, ...], path: str | None) -> None:
    assert inside(*parts) == path


@given(st.lists(st.text(alphabet="a./\\\0", max_size=8), max_size=4))
def test_no_path_leads_out(parts: list[str]) -> None:
    path = inside(*parts)

    assert path is None or (not path.startswith("/") and ".." not in path.split("/"))


def test_a_link_out_of_the_base_directory_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"s")
    folders = RealFolders(tmp_path / "base", EPOCH_US)
    (tmp_path / "base" / "input" / "out").symlink_to(outside)

    with pytest.raises(ValueError, match="outside"):
        folders.read("input", "out", "secret")


def test_a_link_to_a_file_outside_is_neither_read_nor_written_nor_removed(tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.write_bytes(b"s")
    folders = RealFolders(tmp_path / "base", EPOCH_US)
    (tmp_path / "base" / "input" / "out").symlink_to(outside)

    with pytest.raises(ValueError, match="outside"):
        folders.read("input", "", "out")
    with pytest.raises(ValueError, match="outside"):
        folders.write("input", "", "out", b"changed", 0)
    with pytest.raises(ValueError, match="outside"):
        folders.remove("input", "", "out")
    assert outside.read_bytes() == b"s"


def test_what_cannot_be_served_from_a_disk_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    # As where it is not installed, whether or not it is here.
    monkeypatch.setitem(sys.modules, "comfyui_frontend_package", None)

    with pytest.raises(UsageError, match="--base-directory"):
        RealFolders(tmp_path / "file", EPOCH_US)
    with pytest.raises(UsageError, match="comfyui-frontend-package"):
        WebRoot(EPOCH_US)


def test_the_frontend_is_read_from_its_package_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "comfyui_frontend_package"
    (package / "static" / "extensions" / "core").mkdir(parents=True)
    (package / "__init__.py").write_bytes(b"")
    (package / "static" / "index.html").write_bytes(b"page")
    (package / "static" / "extensions" / "core" / "a.js").write_bytes(b"code")
    monkeypatch.syspath_prepend(tmp_path)

    page = WebRoot(EPOCH_US)

    assert page.scripts == ("/extensions/core/a.js",)
    found = page("index.html")
    assert found is not None
    assert found.data == b"page"
    assert page("../__init__.py") is None
    assert page("extensions") is None


# --- pictures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (64, 48), (3, 700), (1025, 2)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_png_is_read_by_pillow_with_its_texts(size: tuple[int, int], mode: str) -> None:
    text = {"prompt": '{"1": {}}', "größe": "☃"}

    data = picture(width=size[0], height=size[1], seed=7, text=text, mode=mode)

    found = Image.open(io.BytesIO(data))
    found.load()
    assert (found.size, found.mode, found.format) == (size, mode, "PNG")
    assert found.text == text


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_other_formats_are_what_they_say(format: str) -> None:
    data = picture(width=40, height=30, seed=1, format=format, mode="RGBA")

    assert Image.open(io.BytesIO(data)).format == format
    assert measure(data) is not None


def test_other_seeds_give_other_pictures_and_the_same_seed_the_same() -> None:
    drawn = [picture(width=16, height=16, seed=seed) for seed in (1, 2, 1)]

    assert drawn[0] != drawn[1]
    assert drawn[0] == drawn[2]


@pytest.mark.parametrize(
    "wrong",
    [{"width": 0}, {"height": 20_000}, {"mode": "CMYK"}, {"format": "GIF"}],
)
def test_a_picture_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"no picture|1 to 16384"):
        picture(**{"width": 8, "height": 8, "seed": 0, **wrong})


def test_conversions_keep_the_size_and_change_the_mode() -> None:
    half = Image.new("RGBA", (20, 10), (1, 2, 3, 128))
    buffer = io.BytesIO()
    half.save(buffer, "PNG")
    clear = buffer.getvalue()
    plain = picture(width=20, height=10, seed=3)

    assert measure(rgb_only(clear)) == (20, 10, "RGB")
    assert measure(alpha_only(clear)) == measure(alpha_only(plain)) == (20, 10, "RGBA")
    assert measure(preview(clear, format="jpeg", quality=50, rgb=False)) == (20, 10, "RGB")
    assert measure(preview(clear, format="webp", quality=90, rgb=False)) == (20, 10, "RGBA")
    assert measure(preview(clear, format="webp", quality=90, rgb=True)) == (20, 10, "RGB")


def test_a_mask_gives_its_alpha_and_the_original_its_texts() -> None:
    original = picture(width=6, height=4, seed=1, text={"prompt": "kept"})
    mask = Image.new("RGBA", (6, 4), (0, 0, 0, 77))
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")

    masked = Image.open(io.BytesIO(with_mask(original, buffer.getvalue(), "a.png")))

    assert masked.getchannel("A").getextrema() == (77, 77)
    assert masked.text == {"prompt": "kept"}
    with pytest.raises(ValueError, match=r".+"):
        with_mask(original, picture(width=5, height=4, seed=1), "a.png")


NO_IMAGES: list[Callable[[], bytes]] = [
    lambda: b"", lambda: b"not an image", lambda: images.picture(width=64, height=64, seed=1)[:-40],
]  # fmt: skip


@pytest.mark.parametrize("data", NO_IMAGES, ids=["empty", "text", "cut off"])
def test_what_is_no_whole_image_is_told_apart(data: Callable[[], bytes]) -> None:
    assert not is_image(data())
