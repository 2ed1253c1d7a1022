"""The files of users, which behave as those on a disk."""

from __future__ import annotations

import json

import pytest

from fake_server.simulated_server import SimulatedServer
from tests.support.source_client import (
    ask,
    part,
    server_of,
    upload,
)

NOSNIFF = {"X-Content-Type-Options": "nosniff"}


LONG = "l" * 256


@pytest.fixture
def desk() -> SimulatedServer:
    """A server that keeps a few files of its user."""
    server = SimulatedServer()
    for name in ("d/a.txt", "d/s/b.txt", "d/.h/c.txt", "d/.e", "f.txt"):
        ask(server, "POST", f"/userdata/{name.replace('/', '%2F')}", b"12")
    return server


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
        info = json.loads(ask(desk, "POST", target, b"x", now=at_ms * 1_000).body)
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


@pytest.mark.parametrize(("version", "status"), [("0.27.0", 403), ("0.3.64", 500)])
def test_a_move_to_outside(version: str, status: int) -> None:
    server = server_of(version)
    ask(server, "POST", "/userdata/a", b"x")

    assert ask(server, "POST", "/userdata/a/move/..%2Fb").status == status
