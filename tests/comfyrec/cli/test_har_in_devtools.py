"""What ``export --to har`` writes, in the Network panel of Chromium's own developer tools."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comfyrec.cassette.files import find_cassette
from comfyrec.cli import main

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright and a Chromium")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="needs playwright and a Chromium"),
]

# The panel's own way from a dropped file to its rows.
LOAD = """async (text) => {
    const legacy = await import('./ui/legacy/legacy.js');
    await legacy.ViewManager.ViewManager.instance().showView('network');
    const network = await import('./panels/network/network.js');
    const panel = network.NetworkPanel.NetworkPanel.instance();
    await panel.networkLogView.onLoadFromFile(new File([text], 'a.har'));
    const logs = await import('./models/logs/logs.js');
    return logs.NetworkLog.NetworkLog.instance().requests().map((one) => ({
        method: one.requestMethod, url: one.url(), status: one.statusCode,
        kind: one.resourceType().name(), seconds: one.duration,
        messages: one.frames().map((frame) => [frame.type, frame.opCode, frame.text.length]),
    }));
}"""


@pytest.fixture(scope="module")
def devtools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The developer tools of an empty page, in a tab of their own."""
    profile = tmp_path_factory.mktemp("profile")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--remote-debugging-port=0", "--remote-allow-origins=*"],
        )
        port = (profile / "DevToolsActivePort").read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            page = json.load(answer)[0]["id"]
        frontend = f"http://127.0.0.1:{port}/devtools/devtools_app.html"
        try:
            urllib.request.urlopen(frontend).close()
        except urllib.error.HTTPError:
            pytest.skip("this Chromium brings no developer tools")
        tab = chromium.new_page()
        tab.goto(f"{frontend}?ws=127.0.0.1:{port}/devtools/page/{page}&panel=network")
        tab.get_by_role("tab", name="Network", exact=True).wait_for()
        yield tab
        chromium.close()


@pytest.mark.parametrize("name", ["fresh-run-previews", "two-clients", "jobs-api", "interrupted"])
def test_devtools_show_as_many_requests_and_messages_as_info_counts(
    name: str, devtools: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording, file = find_cassette(name), tmp_path / "a.har"
    assert main(["export", recording, "--to", "har", "-o", str(file)]) == 0
    capsys.readouterr()
    main(["info", recording, "--json"])
    info = json.loads(capsys.readouterr().out)

    rows = devtools.evaluate(LOAD, file.read_text(encoding="utf-8"))
    sockets = [row for row in rows if row["kind"] == "websocket"]
    messages = [message for row in sockets for message in row["messages"]]

    assert len(rows) == info["requests"]
    assert len(sockets) == info["sockets"]
    assert [message[0] for message in messages].count("receive") == info["messages_from_server"]
    assert [message[0] for message in messages].count("send") == info["messages_from_client"]
    assert {row["kind"] for row in rows} <= {"websocket", "fetch", "image"}
    devtools.get_by_text(f"{len(rows)} requests", exact=True).first.wait_for()
