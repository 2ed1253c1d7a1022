"""The options of a simulated server: each has a meaning, and a default of a fresh installation."""

from __future__ import annotations

import ast

import msgspec

from fake_server.options import EPOCH_MS, ServerOptions
from fake_server.simulated_server import SimulatedServer
from tests.support.paths import ROOT
from tests.support.source_client import ask, json_of


def test_every_option_says_what_it_means() -> None:
    tree = ast.parse((ROOT / "fake_server" / "options.py").read_text(encoding="utf-8"))
    (options,) = (
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == ServerOptions.__name__
    )
    described = {
        before.target.id
        for before, after in zip(options.body, options.body[1:], strict=False)
        if isinstance(before, ast.AnnAssign)
        and isinstance(before.target, ast.Name)
        and isinstance(after, ast.Expr)
    }

    assert described == {field.name for field in msgspec.structs.fields(ServerOptions)}


def test_virtual_time_begins_at_the_epoch_in_either_unit() -> None:
    assert ServerOptions().epoch_us == EPOCH_MS * 1_000


def test_a_fresh_server_has_folders_of_its_own() -> None:
    options = ServerOptions()
    first, second = SimulatedServer(options), SimulatedServer(options)

    ask(first, "POST", "/userdata/a.txt", b"x")

    assert ask(second, "GET", "/userdata/a.txt").status == 404


def test_the_limit_of_a_body_is_the_flag_that_clients_are_told() -> None:
    server = SimulatedServer(ServerOptions(max_upload_size=10))

    flags = json_of(ask(server, "GET", "/features"))

    assert flags["max_upload_size"] == 10
    assert ask(server, "POST", "/prompt", b"x" * 11).status == 413
