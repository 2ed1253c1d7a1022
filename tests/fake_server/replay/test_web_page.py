"""A replay with the web page: its own affairs are answered beside the recording, never over it."""

from __future__ import annotations

from typing import Any

from comfyrec.timeline import Timeline
from fake_server.options import ServerOptions
from fake_server.replay import Player
from fake_server.replay.web_page import PageOverReplay
from fake_server.storage.memory import StoredFile
from tests.support.source_client import ask, json_of
from tests.support.timeline_samples import GRAPH, PROMPT, Recording, run, session

FILES = {"index.html": b"<html>of the package", "assets/a.js": b"code"}


def served(recording: Recording, **options: Any) -> PageOverReplay:
    frontend = {name: StoredFile(data, 0) for name, data in FILES.items()}.get
    player = Player(Timeline.build(recording.end()), **options)
    return PageOverReplay(player, ServerOptions(frontend=frontend))


def test_the_page_is_served_and_what_it_asks_for_itself_even_in_a_strict_replay() -> None:
    source = served(run(session()), strict=True)

    assert ask(source, "GET", "/").body == FILES["index.html"]
    assert ask(source, "GET", "/assets/a.js").body == b"code"
    assert json_of(ask(source, "GET", "/api/users"))["storage"] == "server"
    assert ask(source, "POST", "/api/settings/a", b"1").status == 200
    assert json_of(ask(source, "GET", "/settings")) == {"a": 1}
    assert source.complaints == []


def test_what_happened_is_left_to_the_recording() -> None:
    source = served(run(session()), strict=True)

    answer = ask(source, "GET", "/api/history/nobody")

    assert answer.status != 200
    assert len(source.complaints) == 1


def test_what_was_recorded_of_the_page_is_played() -> None:
    recording = session()
    recording.asked(7, "GET", "/api/settings", answer={"recorded": True})
    recording.asked(8, "GET", "/assets/a.js", answer=b"recorded code")
    recording.asked(9, "GET", "/", answer=b"recorded page")
    source = served(run(recording))

    assert json_of(ask(source, "GET", "/api/settings")) == {"recorded": True}
    assert ask(source, "GET", "/assets/a.js").body == b"recorded code"
    assert ask(source, "GET", "/").body == b"recorded page"


def test_a_recorded_page_without_its_scripts_is_not_played() -> None:
    recording = session()
    recording.asked(7, "GET", "/", answer=b"recorded page of another release")
    source = served(run(recording))

    assert ask(source, "GET", "/").body == FILES["index.html"]


def test_a_script_opens_the_prompts_that_were_recorded() -> None:
    recording = session()
    workflow = {"nodes": [{"id": 1}]}
    recording.asked(
        7,
        "POST",
        "/prompt",
        {"prompt": GRAPH, "extra_data": {"extra_pnginfo": {"workflow": workflow}}},
        {"prompt_id": PROMPT, "number": 0, "node_errors": {}},
    )
    source = served(recording)

    assert json_of(ask(source, "GET", "/extensions"))[-1] == "/extensions/comfyrec/recorded.js"
    script = ask(source, "GET", "/extensions/comfyrec/recorded.js")
    assert dict(script.headers)["Content-Type"] == "application/javascript"
    assert json_of(ask(source, "GET", "/extensions/comfyrec/recorded.json")) == [
        {"prompt": GRAPH, "workflow": workflow}
    ]
