"""What changed on HTTP between 0.27.0 and 0.33.0 (protocol.md, section 12)."""

from __future__ import annotations

from typing import Any

import pytest

from fake_server.nodes.catalogue import Catalogue
from tests.support.engine_bench import Rig

SVG = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
PLAIN = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}


def bench(version: str) -> Rig:
    return Rig(version=version, catalogue=Catalogue.core())


def headers(server: Rig, path: str, *sent: tuple[str, str], **query: str) -> dict[str, str]:
    return dict(server.ask("GET", path, headers=sent, query=query).headers)


def test_a_file_that_might_run_is_kept_by_nobody() -> None:
    older, newer = bench("0.27.0"), bench("0.30.0")
    for server in (older, newer):
        server.context.folders.write("output", "", "a.svg", lambda: SVG, 0)

    before = headers(older, "/view", filename="a.svg")
    after = headers(newer, "/view", filename="a.svg")

    assert "Vary" not in before
    assert (after["Vary"], after["Cache-Control"]) == ("Sec-Fetch-Dest", "no-store")
    assert after["Content-Disposition"].startswith("attachment")


def test_a_drawing_is_shown_where_a_picture_is_wanted() -> None:
    server = bench("0.30.0")
    server.context.folders.write("output", "", "a.svg", lambda: SVG, 0)

    shown = headers(server, "/view", ("Sec-Fetch-Dest", "image"), filename="a.svg")

    assert shown["Content-Type"] == "image/svg+xml"
    assert shown["Content-Disposition"] == 'filename="a.svg"'


@pytest.mark.parametrize(
    "version, kind", [("0.27.0", "application/octet-stream"), ("0.30.0", "text/css")]
)
def test_the_style_of_a_user_is_a_style(version: str, kind: str) -> None:
    server = bench(version)
    server.ask("POST", "/userdata/user.css", b"a {}")

    assert headers(server, "/userdata/user.css")["Content-Type"] == kind


@pytest.mark.parametrize("version, counts", [("0.27.0", [None]), ("0.32.0", [1])])
def test_jobs_count_what_can_be_previewed(version: str, counts: list[Any]) -> None:
    server = bench(version)
    server.queue(PLAIN, client=None)
    server.finish()

    jobs = server.get("/jobs")["jobs"]

    assert [job.get("previewable_outputs_count") for job in jobs] == counts


@pytest.mark.parametrize("version, there", [("0.27.0", False), ("0.33.0", True)])
def test_there_is_a_folder_for_datasets(version: str, there: bool) -> None:
    assert ("datasets" in bench(version).get("/models")) is there


@pytest.mark.parametrize("version, filled", [("0.27.0", False), ("0.28.0", True)])
def test_the_history_of_a_cached_prompt_without_a_client_is_filled_again(
    version: str, filled: bool
) -> None:
    server = bench(version)
    server.queue(PLAIN, client=None)
    server.finish()

    again = server.queue(PLAIN, client=None)
    server.finish()

    assert bool(server.get("/history")[again]["outputs"]) is filled
