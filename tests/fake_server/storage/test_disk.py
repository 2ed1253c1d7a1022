"""Folders on a disk, and the frontend read from its package."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from comfyrec.errors import UsageError
from fake_server.storage.disk import RealFolders, WebRoot
from fake_server.storage.memory import Folders

EPOCH_US = 1_700_000_000_000_000


@pytest.fixture(params=["in memory", "on a disk"])
def folders(request: pytest.FixtureRequest, tmp_path: Path) -> Folders:
    return Folders() if request.param == "in memory" else RealFolders(tmp_path, EPOCH_US)


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


def test_templates_and_help_are_read_from_packages_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, file in {
        "comfyui_frontend_package": "static/index.html",
        "comfyui_workflow_templates_json": "templates/index.json",
        "comfyui_workflow_templates_media_image": "templates/a.webp",
        "comfyui_embedded_docs": "docs/KSampler/en.md",
    }.items():
        path = tmp_path / name / file
        path.parent.mkdir(parents=True)
        path.write_text(name)
        (tmp_path / name / "__init__.py").write_bytes(b"")
    monkeypatch.syspath_prepend(tmp_path)

    page = WebRoot(EPOCH_US)

    found = [page(name) for name in ("templates/index.json", "templates/a.webp")]
    assert [one and one.data for one in found] == [
        b"comfyui_workflow_templates_json",
        b"comfyui_workflow_templates_media_image",
    ]
    assert page("docs/KSampler/en.md") is not None
    assert page("templates/../__init__.py") is None
    assert page("index.json") is None
