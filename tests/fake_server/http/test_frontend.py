"""The web page and its files."""

from __future__ import annotations

from fake_server.options import ServerOptions
from fake_server.simulated_server import SimulatedServer
from fake_server.storage.memory import StoredFile
from tests.support.source_client import ask, json_of


def test_a_frontend_is_served_where_one_is_given() -> None:
    pages = {
        "index.html": b"<html>page",
        "assets/a.js": b"code",
        "extensions/core/groupNode.js": b"",
    }
    static = {name: StoredFile(data, 0) for name, data in pages.items()}.get
    server = SimulatedServer(
        ServerOptions(frontend=static, extension_scripts=("/extensions/core/groupNode.js",))
    )

    root, script = ask(server, "GET", "/"), ask(server, "GET", "/assets/a.js")

    assert root.body == b"<html>page"
    assert dict(root.headers)["Cache-Control"] == "no-store, must-revalidate"
    assert script.body == b"code"
    assert dict(script.headers)["Content-Type"] == "application/javascript"
    assert dict(script.headers)["Cache-Control"] == "no-store"
    assert json_of(ask(server, "GET", "/extensions")) == ["/extensions/core/groupNode.js"]


def test_a_template_is_served_where_its_package_is_and_nothing_beside_it() -> None:
    files = {"templates/a.json": StoredFile(b"{}", 0), "b.json": StoredFile(b"[]", 0)}
    server = SimulatedServer(ServerOptions(frontend=files.get))

    assert ask(server, "GET", "/templates/a.json").body == b"{}"
    assert ask(server, "GET", "/templates/b.json").status == 404
    assert ask(server, "GET", "/templates/%2e%2e/b.json").status == 404
    assert ask(SimulatedServer(ServerOptions()), "GET", "/templates/a.json").status == 404
