"""Recorded ids and addresses in texts, wherever they stand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comfyrec.timeline import Timeline
from fake_server.replay import Player
from fake_server.replay.recorded.id_mapping import RecordedIds
from tests.support.replay_rig import SourceRig
from tests.support.timeline_samples import PROMPT, Recording

HOST = "127.0.0.1:8188"
IDS = RecordedIds([PROMPT, "client-a"], ["job-12345678"], [HOST, "made.example"])
FOUND = {
    "an address": (f"http://{HOST}/view", [f"http://{HOST}"]),
    "with slashes escaped": (r"wss:\/\/127.0.0.1:8188\/ws", [f"//{HOST}"]),
    "encoded": ("?from=http%3A%2F%2F127.0.0.1%3A8188%2Fview", ["http%3A%2F%2F127.0.0.1%3A8188"]),
    "encoded in small letters": ("=https%3a%2f%2fmade.example", ["https%3a%2f%2fmade.example"]),
    "encoded in an encoded query": (
        "%3Dws%3A%2F%2Fmade.example%26",
        ["ws%3A%2F%2Fmade.example"],
    ),
    "an id behind a code": (f"%2Fhistory%2F{PROMPT}%3F", [PROMPT]),
    "a word behind a code": ("%2Fjobs%2Fjob-12345678%2Fcancel", ["job-12345678"]),
    "another host that begins so": ("http%3A%2F%2Fmade.example.org%2F", []),
    "another port": ("http%3A%2F%2Fmade.example%3A80", []),
    "a longer port": ("http%3A%2F%2F127.0.0.1%3A81880", []),
    "a longer word": ("%2Fjob-123456789", []),
    "a code that is not one": ("%zzjob-12345678x", []),
    "no scheme": (f"{HOST} 127.0.0.1%3A8188", []),
}


@pytest.mark.parametrize("text, found", FOUND.values(), ids=FOUND)
def test_what_is_found_in_a_text(text: str, found: list[str]) -> None:
    seen = []

    IDS.renamed(text, lambda recorded: seen.append(recorded) or "")

    assert seen == found


LINK = f"http://{HOST}/view?from=http%3A%2F%2F127.0.0.1%3A8188%2Fhistory%2F{PROMPT}"


def linked() -> Timeline:
    """A prompt, an answer with a link in a link, and a request for what it leads to."""
    recording = Recording()
    made = {"prompt_id": PROMPT, "number": 0}
    recording.asked(1, "POST", "/prompt", {"prompt": {"1": {"class_type": "A"}}}, made)
    answer = {"link": LINK}
    recording.request(2, "GET", "/links")
    recording.answer(2, answer, headers="Content-Type: application/json\r\n")
    recording.asked(3, "GET", "/proxy?" + LINK.partition("?")[2], answer={"led": "there"})
    recording.asked(4, "POST", "/proxy", {"url": LINK}, answer={"led": "there too"})
    return Timeline.build(recording.end())


def ask(rig: SourceRig, method: str, target: str, body: Any = b"") -> Any:
    fields = (("Host", "localhost:9000"), ("Content-Type", "application/json"))
    return json.loads(rig.ask(method, target, body, headers=fields).body)


def test_a_link_inside_a_link_leads_to_the_replay_and_back() -> None:
    rig = SourceRig(Player(linked(), strict=True))
    mine = ask(rig, "POST", "/prompt", {"prompt": {"1": {"class_type": "A"}}})["prompt_id"]

    link = ask(rig, "GET", "/links")["link"]

    inner = f"http%3A%2F%2Flocalhost%3A9000%2Fhistory%2F{mine}"
    assert link == f"http://localhost:9000/view?from={inner}"
    assert ask(rig, "GET", f"/proxy?from={inner}") == {"led": "there"}
    assert ask(rig, "POST", "/proxy", {"url": link}) == {"led": "there too"}


NUMBERS = {
    "behind a key": ('{"id": 17, "job_id":17, "jobId" : 17}', ["17"] * 3),
    "in a path": ('"/api/jobs/17" http://made.org/jobs2/17/x jobs/17', ["17"] * 2),
    "alone in a header": ("jobs/17", ["17"]),
    "another number": ('{"id": 170, "a_id": 17.5, "b_id": 17e3, "id": -17}', []),
    "behind another key": ('{"width": 17, "idle": 17, "client_name": 17}', []),
    "no path": ('"3/17" "17/17" 1/17 "jobs/17.png" "jobs/17%20"', []),
    "a long word": (f'"{"a" * 200_000}" "{"a/" * 100_000}"', []),
}


@pytest.mark.parametrize("text, numbers", NUMBERS.values(), ids=NUMBERS)
def test_a_number_is_an_id_behind_a_key_or_in_a_path(text: str, numbers: list[str]) -> None:
    found: list[str] = []

    IDS.renamed(text, lambda word: found.append(word) or word, {"17"})

    assert found == numbers
    assert IDS.template(text) is None
