"""GET /view: types, names in header fields, previews, ways out of a folder."""

from __future__ import annotations

import pytest

from fake_server.simulated_server import SimulatedServer
from fake_server.storage.pictures import picture
from tests.support.source_client import (
    ask,
    part,
    upload,
)

BASE = "../input"


@pytest.mark.parametrize(
    ("name", "shown", "kind"),
    [
        ("a.rss", "attachment; ", "application/octet-stream"),
        ("a.xsl", "attachment; ", "application/octet-stream"),
        ("a.xhtml", "attachment; ", "application/octet-stream"),
        ("a.svgz", "attachment; ", "application/octet-stream"),
        ("a.mht", "", "application/octet-stream"),
        ("a.safetensors", "", "application/safetensors"),
        ("a.yaml", "", "application/yaml"),
        ("a.7z", "", "application/x-7z-compressed"),
        ("a.txt", "", "text/plain"),
    ],
)
def test_what_a_browser_might_run_is_a_download(name: str, shown: str, kind: str) -> None:
    server = SimulatedServer()
    upload(server, part("image", b"<x/>", name))
    ask(server, "POST", f"/userdata/{name}", b"<x/>")

    viewed = dict(ask(server, "GET", f"/view?filename={name}&type=input").headers)
    own = dict(ask(server, "GET", f"/userdata/{name}").headers)

    if name != "a.mht":
        assert viewed["Content-Disposition"] == f'{shown}filename="{name}"'
    assert viewed["Content-Type"] == own["Content-Type"] == kind
    assert own["Content-Disposition"] == "attachment"


def test_a_name_is_quoted_in_its_header() -> None:
    server = SimulatedServer()
    upload(server, part("image", b"x", 'a\\\\b\\"c.txt'))

    shown = dict(ask(server, "GET", "/view?filename=a%5Cb%22c.txt&type=input").headers)

    assert shown["Content-Disposition"] == 'filename="a\\\\b\\"c.txt"'


@pytest.mark.parametrize(
    ("preview", "status"),
    [("webp;50", 200), ("webp;٣", 200), ("webp;²", 500), ("webp;x", 200), ("jpeg;", 200)],
)
def test_the_quality_of_a_preview_is_what_python_calls_digits(preview: str, status: int) -> None:
    server = SimulatedServer()
    upload(server, part("image", picture(width=6, height=4, seed=1), "o.png"))
    quoted = "".join(f"%{byte:02X}" for byte in preview.encode())

    assert ask(server, "GET", f"/view?filename=o.png&type=input&preview={quoted}").status == status


@pytest.mark.parametrize(
    ("subfolder", "status"),
    [(BASE, 200), (f"{BASE}/../input", 200), (f"../{BASE}", 403), ("/input", 403), (".", 200)],
)
def test_a_way_out_may_lead_back(subfolder: str, status: int) -> None:
    server = SimulatedServer()
    upload(server, part("image", b"x", "a.txt"))

    found = ask(server, "GET", f"/view?filename=a.txt&type=input&subfolder={subfolder}")

    assert found.status == status
