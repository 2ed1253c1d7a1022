"""What real servers answer to odd questions, one row each; observed side by side with ours."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from PIL import Image

from comfyrec.versions import era_of
from fake_server.options import ServerOptions
from fake_server.server.http_response import rendered
from fake_server.simulated_server import SimulatedServer
from fake_server.source import Request, RequestReceived, Respond, Response, UpgradeRequested
from fake_server.storage.pictures import picture

HOST = ("Host", "127.0.0.1:8188")
BOUNDARY = "limit"
FORM = ("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
NOSNIFF = {"X-Content-Type-Options": "nosniff"}
LONG = "l" * 256
BASE = "../input"


def ask(
    world: SimulatedServer,
    method: str,
    target: str,
    body: Any = b"",
    *headers: tuple[str, str],
    at_us: int = 0,
) -> Response:
    """One request without a shell."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = Request(method, target, (HOST, *headers), data)
    return next(
        a.answer for a in world.handle(RequestReceived(1, request), at_us) if isinstance(a, Respond)
    )


def part(name: str, value: bytes | str, filename: str | None = None, kind: str = "") -> bytes:
    """One field of a form."""
    head = f'Content-Disposition: form-data; name="{name}"'
    head += f'; filename="{filename}"' if filename is not None else ""
    head += f"\r\nContent-Type: {kind}" if kind else ""
    data = value if isinstance(value, bytes) else value.encode()
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + data + b"\r\n"


def upload(world: SimulatedServer, *parts: bytes, route: str = "image") -> Response:
    """Send a form."""
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    return ask(world, "POST", f"/upload/{route}", body, FORM)


def era(version: str, **shop: Any) -> SimulatedServer:
    """A server of that version."""
    return SimulatedServer(ServerOptions(era=era_of(version), **shop))


# --- uploads -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([part("image", b"x", "a/b.png")], 500),
        ([part("image", b"x", "a/b.png"), part("subfolder", "a")], 500),
        ([part("image", b"x", "there/b.png")], 200),
        ([part("image", b"x", "there")], 500),
        ([part("image", b"x", "there"), part("overwrite", "1")], 500),
        ([part("image", b"x", ".")], 500),
        ([part("image", b"x", "..")], 400),
        ([part("image", b"x", f"{LONG}.png")], 500),
        ([part("image", b"x", "a.png"), part("subfolder", LONG)], 500),
        ([part("image", b"x", "a.png"), part("subfolder", "there/b.txt")], 500),
        ([part("image", b"x", "a.png"), part("subfolder", BASE)], 200),
        ([part("image", b"x", "a.png"), part("subfolder", f"../{BASE}")], 400),
        ([part("image", b"x", "a.png"), part("subfolder", "/ComfyUI/input/there")], 200),
        ([part("image", b"x", "a.png"), part("subfolder", "/there")], 400),
        ([part("image", b"x", "a.png"), part("overwrite", "1", "f.txt")], 200),
        ([part("image", b"x", "a.png"), part("subfolder", "s", "f.txt")], 500),
        ([part("image", b"x", "a.png"), part("type", "temp", kind="text/plain")], 200),
        ([part("image", b"x", "a.png"), part("type", "temp", kind="application/json")], 500),
        ([part("image", b"x", "a.png"), part("x", "y", kind="multipart/mixed")], 500),
        ([part("image", b"x", "a.png"), part("x", b"\xff")], 500),
        ([part("image", b"x", kind="image/png")], 500),
        ([part("image", b"", kind="image/png")], 400),
    ],
)
def test_an_upload_ends_as_the_file_system_lets_it(fields: list[bytes], status: int) -> None:
    world = SimulatedServer()
    upload(world, part("image", b"1", "b.txt"), part("subfolder", "there"))

    assert upload(world, *fields).status == status


def test_a_text_of_a_form_has_the_charset_that_its_part_names() -> None:
    latin = part("subfolder", "ü".encode("latin-1"), kind="text/plain; charset=latin-1")

    told = json.loads(upload(SimulatedServer(), part("image", b"x", "a.png"), latin).body)

    assert told["subfolder"] == "ü"


@pytest.mark.parametrize(
    ("name", "status", "format"),
    [("m.png", 200, "PNG"), ("m.webp", 200, "WEBP"), ("m.jpg", 500, None), ("m", 500, None)],
)
def test_a_mask_is_kept_in_the_format_of_its_name(
    name: str, status: int, format: str | None
) -> None:
    world = SimulatedServer()
    original = picture(width=6, height=4, seed=1, text={"prompt": "{}"})
    upload(world, part("image", original, "o.png"))
    mask = picture(width=6, height=4, seed=2, mode="RGBA")
    ref = json.dumps({"filename": "o.png", "type": "input"})

    done = upload(world, part("image", mask, name), part("original_ref", ref), route="mask")
    kept = ask(world, "GET", f"/view?filename={name}&type=input")

    assert done.status == status
    assert kept.status == (200 if format else 404)
    assert format is None or Image.open(io.BytesIO(kept.body)).format == format


@pytest.mark.parametrize(
    ("ref", "written"),
    [
        ({"filename": "o.png", "type": "input"}, True),
        ({"filename": "o.png [input]", "type": "output"}, True),
        ({"filename": "o.png", "type": "input", "subfolder": BASE}, True),
        ({"filename": "o.png", "type": "input", "subfolder": f"../{BASE}"}, False),
        ({"filename": "o.png"}, False),
        ({"filename": "o.png", "type": None}, False),
        ({"filename": "none.png", "type": "input"}, False),
        ({"filename": "", "type": "input"}, False),
    ],
)
def test_a_mask_without_its_original_is_told_and_not_kept(
    ref: dict[str, Any], written: bool
) -> None:
    world = SimulatedServer()
    upload(world, part("image", picture(width=6, height=4, seed=1), "o.png"))
    mask = part("image", picture(width=6, height=4, seed=2, mode="RGBA"), "m.png")

    done = upload(world, mask, part("original_ref", json.dumps(ref)), route="mask")

    assert (done.status, json.loads(done.body)["name"]) == (200, "m.png")
    assert (ask(world, "GET", "/view?filename=m.png&type=input").status == 200) is written


# --- files shown -------------------------------------------------------------------------------


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
    world = SimulatedServer()
    upload(world, part("image", b"<x/>", name))
    ask(world, "POST", f"/userdata/{name}", b"<x/>")

    viewed = dict(ask(world, "GET", f"/view?filename={name}&type=input").headers)
    own = dict(ask(world, "GET", f"/userdata/{name}").headers)

    if name != "a.mht":
        assert viewed["Content-Disposition"] == f'{shown}filename="{name}"'
    assert viewed["Content-Type"] == own["Content-Type"] == kind
    assert own["Content-Disposition"] == "attachment"


def test_a_name_is_quoted_in_its_header() -> None:
    world = SimulatedServer()
    upload(world, part("image", b"x", 'a\\\\b\\"c.txt'))

    shown = dict(ask(world, "GET", "/view?filename=a%5Cb%22c.txt&type=input").headers)

    assert shown["Content-Disposition"] == 'filename="a\\\\b\\"c.txt"'


@pytest.mark.parametrize(
    ("preview", "status"),
    [("webp;50", 200), ("webp;٣", 200), ("webp;²", 500), ("webp;x", 200), ("jpeg;", 200)],
)
def test_the_quality_of_a_preview_is_what_python_calls_digits(preview: str, status: int) -> None:
    world = SimulatedServer()
    upload(world, part("image", picture(width=6, height=4, seed=1), "o.png"))
    quoted = "".join(f"%{byte:02X}" for byte in preview.encode())

    assert ask(world, "GET", f"/view?filename=o.png&type=input&preview={quoted}").status == status


@pytest.mark.parametrize(
    ("subfolder", "status"),
    [(BASE, 200), (f"{BASE}/../input", 200), (f"../{BASE}", 403), ("/input", 403), (".", 200)],
)
def test_a_way_out_may_lead_back(subfolder: str, status: int) -> None:
    world = SimulatedServer()
    upload(world, part("image", b"x", "a.txt"))

    found = ask(world, "GET", f"/view?filename=a.txt&type=input&subfolder={subfolder}")

    assert found.status == status


# --- the users' files --------------------------------------------------------------------------


@pytest.fixture
def desk() -> SimulatedServer:
    """A server that keeps a few files of its user."""
    world = SimulatedServer()
    for name in ("d/a.txt", "d/s/b.txt", "d/.h/c.txt", "d/.e", "f.txt"):
        ask(world, "POST", f"/userdata/{name.replace('/', '%2F')}", b"12")
    return world


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/userdata/d", 403),
        ("GET", "/userdata/.", 403),
        ("DELETE", "/userdata/d", 500),
        ("POST", "/userdata/d", 400),
        ("POST", "/userdata/f.txt%2Fx", 400),
        ("GET", "/userdata/f.txt%2Fx", 404),
        ("POST", "/userdata/f.txt%2Fx%2Fy", 500),
        ("GET", "/userdata/f.txt%2Fx%2Fy", 500),
        ("POST", f"/userdata/{LONG}", 400),
        ("GET", f"/userdata/{LONG}", 404),
        ("POST", f"/userdata/{LONG}%2Fx", 500),
        ("POST", "/userdata/nul%00", 500),
        ("GET", "/userdata/nul%00", 404),
        ("POST", "/userdata/f.txt/move/g.txt", 200),
        ("POST", "/userdata/f.txt/move/f.txt", 200),
        ("POST", "/userdata/f.txt/move/d", 200),
        ("POST", "/userdata/d/move/e", 200),
        ("POST", "/userdata/d/move/e?full_info=true", 200),
        ("POST", "/userdata/d/move/d%2Fdeeper", 500),
        ("POST", "/userdata/d/move/f.txt", 500),
        ("POST", f"/userdata/f.txt/move/{LONG}", 500),
        ("POST", "/userdata/f.txt/move/d%2Fa.txt%2Fb", 500),
        ("POST", "/userdata/none/move/e", 404),
        ("GET", "/userdata?dir=../default", 200),
        ("GET", "/userdata?dir=..", 403),
        ("GET", "/v2/userdata?path=../default/d", 200),
    ],
)
def test_user_files_behave_as_on_a_disk(
    desk: SimulatedServer, method: str, target: str, status: int
) -> None:
    assert ask(desk, method, target, b"1").status == status


def test_a_folder_moves_with_all_that_is_in_it(desk: SimulatedServer) -> None:
    told = json.loads(ask(desk, "POST", "/userdata/d/move/e?full_info=true").body)
    listed = json.loads(ask(desk, "GET", "/userdata?dir=e&recurse=true").body)

    assert (told["path"], told["size"]) == ("e", 4_096)
    assert sorted(listed) == ["a.txt", "s/b.txt"]
    assert ask(desk, "GET", "/userdata?dir=d").status == 404


def test_a_file_was_created_when_it_was_last_written_or_moved(desk: SimulatedServer) -> None:
    def told(target: str, at_ms: int) -> tuple[int, int]:
        info = json.loads(ask(desk, "POST", target, b"x", at_us=at_ms * 1_000).body)
        return info["modified"], info["created"]

    first = told("/userdata/t.txt?full_info=true", 1_000)
    again = told("/userdata/t.txt?full_info=true", 2_000)
    moved = told("/userdata/t.txt/move/u.txt?full_info=true", 3_000)

    assert first[0] == first[1]
    assert again == (first[0] + 1_000, first[0] + 1_000)
    assert moved == (first[0] + 1_000, first[0] + 2_000)


def test_a_file_moved_onto_a_folder_lands_in_it_and_is_told_by_the_folder(
    desk: SimulatedServer,
) -> None:
    assert json.loads(ask(desk, "POST", "/userdata/f.txt/move/d").body) == "d"
    assert ask(desk, "GET", "/userdata/d%2Ff.txt").body == b"12"


def test_lists_pass_over_hidden_files_and_folders(desk: SimulatedServer) -> None:
    upload(desk, part("image", b"x", ".hidden"), part("type", "output"))

    listed = json.loads(ask(desk, "GET", "/userdata?dir=d&recurse=true").body)
    told = ask(desk, "GET", "/userdata/d")

    assert sorted(listed) == ["a.txt", "s/b.txt"]
    assert json.loads(ask(desk, "GET", "/internal/files/output").body) == []
    assert dict(told.headers).items() >= {**NOSNIFF, "Content-Disposition": "attachment"}.items()


@pytest.mark.parametrize(
    ("stored", "one", "all_of_them", "posting"),
    [
        (b"[1]", 200, 200, 500),
        (b'"abc"', 200, 200, 500),
        (b"null", 500, 200, 500),
        (b"not json", 200, 200, 200),
        (b'{"x": 5}', 200, 200, 200),
    ],
)
def test_settings_are_whatever_the_file_holds(
    stored: bytes, one: int, all_of_them: int, posting: int
) -> None:
    world = SimulatedServer()
    ask(world, "POST", "/userdata/comfy.settings.json", stored)

    assert ask(world, "GET", "/settings/x").status == one
    assert ask(world, "GET", "/settings").status == all_of_them
    assert ask(world, "POST", "/settings/y", b"1").status == posting


# --- questions about prompts -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("limit=", "limit must be an integer"),
        ("offset=", "offset must be an integer"),
        ("sort_by=", "sort_by must be 'created_at' or 'execution_duration'"),
        ("sort_order=", "sort_order must be 'asc' or 'desc'"),
        ("status=", None),
        ("status=,", None),
    ],
)
def test_an_empty_word_is_a_word_in_the_job_list(query: str, error: str | None) -> None:
    told = json.loads(ask(SimulatedServer(), "GET", f"/api/jobs?{query}").body)

    assert told.get("error") == error


GRAPH = {
    "1": {"class_type": "EmptyImage",
          "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}  # fmt: skip


def test_blank_entries_of_a_status_list_leave_nothing() -> None:
    world = SimulatedServer()
    ask(world, "POST", "/prompt", {"prompt": GRAPH})

    listed = [json.loads(ask(world, "GET", f"/api/jobs{q}").body) for q in ("?status=,", "")]

    assert [len(one["jobs"]) for one in listed] == [0, 1]


@pytest.mark.parametrize(
    ("body", "numbers"),
    [(["prompt"], 1), ("prompt", 1), (["number"], 0), ([], 1), (None, 0), ({"number": 5}, 0)],
)
def test_a_refused_prompt_takes_a_number_when_the_server_came_so_far(
    body: Any, numbers: int
) -> None:
    world = SimulatedServer()
    ask(world, "POST", "/prompt", body)

    told = json.loads(ask(world, "POST", "/prompt", {"prompt": GRAPH}).body)

    assert told["number"] == numbers


EMPTY: dict[str, Any] = {"prompt": {}}
RUNS: dict[str, Any] = {
    "prompt": {
        "1": {"class_type": "EmptyImage", "inputs": {
            "width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
}  # fmt: skip


@pytest.mark.parametrize(
    ("prompt", "beside", "status"),
    [
        (EMPTY, {"partial_execution_targets": False}, 400),
        (EMPTY, {"partial_execution_targets": 0}, 400),
        (RUNS, {"partial_execution_targets": 0}, 500),
        (RUNS, {"partial_execution_targets": "12"}, 200),
        (EMPTY, {"extra_data": "AAA"}, 400),
        (EMPTY, {"extra_data": [None]}, 400),
        (EMPTY, {"extra_data": None}, 500),
        (EMPTY, {"extra_data": "AAA", "client_id": "c"}, 500),
        (RUNS, {"extra_data": "AAA"}, 500),
        (RUNS, {"extra_data": {"comfy_usage_source": "mine"}}, 200),
        ({"prompt": {"1": {}, "2": 5}}, {}, 500),
        ({"prompt": {"1": {}, "2": []}}, {}, 400),
        ({"prompt": {"1": {}, "2": "class_type, inputs"}}, {}, 500),
        ({"prompt": {"1": {}, "2": "neither"}}, {}, 400),
        ({"prompt": {"1": [], "2": {}}}, {}, 500),
    ],
)
def test_what_is_wrong_beside_a_prompt_counts_when_the_server_gets_there(
    prompt: dict[str, Any], beside: dict[str, Any], status: int
) -> None:
    assert (
        ask(SimulatedServer(ServerOptions()), "POST", "/prompt", {**prompt, **beside}).status
        == status
    )


@pytest.mark.parametrize(("body", "status"), [(b"tIQ\xce", 500), (b"tIQ", 400)])
def test_a_list_of_jobs_that_is_no_text_is_no_json_error(body: bytes, status: int) -> None:
    assert ask(SimulatedServer(ServerOptions()), "POST", "/api/jobs/cancel", body).status == status


@pytest.mark.parametrize("inputs", [None, [], "text", 5])
def test_inputs_that_are_no_object_break_the_search_for_retired_nodes(inputs: Any) -> None:
    prompt = {"1": {"class_type": "PreviewImage", "inputs": inputs}}

    assert ask(SimulatedServer(), "POST", "/prompt", {"prompt": prompt}).status == 500


# --- what stands around the routes -------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/api/assets/123e4567-e89b-12d3-a456-426614174000", 503),
        ("GET", "/api/assets/not-a-uuid", 404),
        ("PUT", "/api/assets/not-a-uuid", 405),
        ("HEAD", "/api/assets/hash/x", 503),
        ("GET", "/api/assets/hash/x", 404),
        ("GET", "/api/assets/seed/status", 503),
        ("POST", "/api/assets/prune", 503),
        ("GET", "/%69nternal/x", 404),
        ("GET", f"/{LONG}", 500),
        ("GET", "/index.html", 200),
        ("GET", "/templates", 404),
        ("GET", "/templates/x.json", 404),
        ("GET", "/docs", 403),
        ("GET", "/experiment/models/preview/loras/+0/x", 404),
        ("GET", "/experiment/models/preview/loras/-1/x", 404),
        ("GET", "/experiment/models/preview/loras/x/y", 400),
        ("GET", "/experiment/models/preview/loras/0/", 400),
        ("GET", "/experiment/models/preview/none/x/", 404),
        ("GET", "/experiment/models/preview/loras/0/../loras/x", 404),
        ("GET", "/experiment/models/preview/loras/0/../vae/x", 403),
    ],
)
def test_a_path_gets_its_status(method: str, target: str, status: int) -> None:
    assert ask(SimulatedServer(), method, target).status == status


def test_each_folder_tells_what_its_models_end_in() -> None:
    told = json.loads(ask(SimulatedServer(), "GET", "/experiment/models").body)
    ends = {one["name"]: one["extensions"] for one in told}

    assert (ends["diffusers"], ends["classifiers"]) == (["folder"], [""])
    assert ".safetensors" in ends["loras"]


def test_what_a_loader_always_offers_is_no_file_of_its_folder() -> None:
    assert "pixel_space" not in json.loads(ask(SimulatedServer(), "GET", "/models/vae").body)


@pytest.mark.parametrize(
    ("method", "target", "headers", "value"),
    [
        ("GET", "/x.png", [], "public, max-age=86400"),
        ("GET", "/userdata/none.png", [], "public, max-age=3600"),
        ("GET", "/userdata/there.png", [("If-None-Match", "*")], "public, max-age=86400"),
        ("GET", "/userdata/there.png", [("Range", "bytes=9-")], "public, max-age=86400"),
        ("GET", "/userdata/folder.png", [], "public, max-age=86400"),
        ("POST", "/x.png", [], None),
    ],
)
def test_a_file_is_taken_for_found_when_caching_is_decided(
    method: str, target: str, headers: list[tuple[str, str]], value: str | None
) -> None:
    world = SimulatedServer()
    for name in ("there.png", "folder.png%2Fx"):
        ask(world, "POST", f"/userdata/{name}", b"x")

    shown = ask(world, method, target, b"", *headers)

    assert dict(shown.headers).get("Cache-Control") == value


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("gzip", "gzip"), ("gzip, Deflate", "deflate"), ("GZIP", None), ("deflate", None)],
)
def test_answers_are_squeezed_for_those_who_write_gzip_small(
    accepted: str, coding: str | None
) -> None:
    world = era("0.27.0", compress_responses=True)
    header = ("Accept-Encoding", accepted)

    assert dict(ask(world, "GET", "/prompt", b"", header).headers).get("Content-Encoding") == coding
    broken = ask(world, "POST", "/prompt", b"{", header)
    assert (broken.status, dict(broken.headers).get("Content-Encoding")) == (500, None)


@pytest.mark.parametrize(
    ("method", "status"), [("POST", 405), ("PUT", 405), ("OPTIONS", 200), ("DELETE", 405)]
)
def test_only_a_get_can_become_a_websocket(method: str, status: int) -> None:
    knocked = UpgradeRequested(
        7, Request(method, "/ws?clientId=a", (HOST, ("Upgrade", "websocket")))
    )

    (reply,) = SimulatedServer().handle(knocked, 0)

    assert isinstance(reply, Respond)
    assert reply.answer.status == status


@pytest.mark.parametrize(
    ("version", "username", "status"),
    [("0.27.0", "__x", 400), ("0.3.64", "__x", 200), ("0.27.0", " ", 400), ("0.3.64", " ", 500)],
)
def test_names_that_no_user_can_have(version: str, username: str, status: int) -> None:
    assert ask(era(version), "POST", "/users", {"username": username}).status == status


@pytest.mark.parametrize(("version", "status"), [("0.27.0", 403), ("0.3.64", 500)])
def test_a_move_to_outside(version: str, status: int) -> None:
    world = era(version)
    ask(world, "POST", "/userdata/a", b"x")

    assert ask(world, "POST", "/userdata/a/move/..%2Fb").status == status


class _Asked:
    """As much of an aiohttp request as rendering looks at."""

    def __init__(self, method: str, version: tuple[int, int]) -> None:
        self.method, self.version = method, version


@pytest.mark.parametrize(
    ("method", "version", "stays", "has", "lacks"),
    [
        ("GET", (1, 1), True, b"Transfer-Encoding", b"Connection"),
        ("GET", (1, 1), False, b"Connection: close", b"keep-alive"),
        ("GET", (1, 0), True, b"Connection: keep-alive", b"Transfer-Encoding"),
        ("GET", (1, 0), False, b"404", b"Connection"),
        ("HEAD", (1, 0), False, b"404", b"Transfer-Encoding"),
        ("GET", (2, 0), False, b"404", b"Connection"),
    ],
)
def test_chunks_and_connections_are_told_as_the_version_has_it(
    method: str, version: tuple[int, int], stays: bool, has: bytes, lacks: bytes
) -> None:
    answer = ask(SimulatedServer(), "GET", "/none")

    raw = b"".join(rendered(answer, _Asked(method, version), stays))  # type: ignore[arg-type]  # enough of one

    assert has in raw
    assert lacks not in raw


def test_head_keeps_the_type_that_a_route_gave_and_drops_the_guess() -> None:
    world = SimulatedServer()
    ask(world, "POST", "/userdata/d%2Fx", b"1")

    heads = [
        b"".join(rendered(ask(world, "HEAD", target), _Asked("HEAD", (1, 1)), True))  # type: ignore[arg-type]  # enough of one
        for target in ("/userdata/d", "/none")
    ]

    assert [b"octet-stream" in head for head in heads] == [True, False]
