"""Two recordings: what differs, how severe it is, and that the same server differs in nothing."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from comfyrec.cassette.files import bundled, find_cassette, open_cassette
from comfyrec.cassette.records import WsFrame
from comfyrec.cli import main
from comfyrec.show.diff import Diff, compare
from comfyrec.timeline import Timeline
from comfyrec.timeline.model import RecordedPrompt
from tests.support.timeline_samples import PROMPT, Recording, run, session


def timeline_of(name: str) -> Timeline:
    with open_cassette(find_cassette(name)) as reader:
        return Timeline.build(reader)


def said(diff: Diff) -> list[str]:
    return [f"{one.severity}: {one.sentence}" for one in diff.differences]


def answered(body: Any, status: int = 200) -> Timeline:
    recording = Recording()
    recording.request(1, "GET", "/queue")
    recording.answer(1, body, status=status)
    return Timeline.build(recording.end())


# protocol.md section 12, as far as the bundled cassettes hold both sides of it.
GENERATIONS = {
    "success, timestamps, display_node, meta, progress_state": (
        "server-2024-txt2img",
        "fresh-run-previews",
        [
            "informs: execution_success is sent now",
            "informs: execution_start: timestamp is new (number)",
            "informs: executing: display_node is new (string)",
            "informs: GET /history/{id}: *.meta is new (object)",
            "informs: progress_state is sent now",
        ],
    ),
    "executed for cached outputs": (
        "server-2024-txt2img",
        "partly-cached",
        ["informs: executed is sent now (all cached, with a client id, success)"],
    ),
    "no progress_state in 0.3.10": (
        "execution-error",
        "server-0.3.10-errors",
        ["breaks: progress_state is not sent any more"],
    ),
    "history outputs, all cached, no client_id": (
        "server-0.3.64-clients",
        "no-client-id",
        ["breaks: the history had outputs filled and has outputs empty"],
    ),
    "cancelled jobs": (
        "server-0.8-jobs",
        "jobs-api",
        ["informs: GET /api/jobs?status=cancelled answered 400 and answers 200"],
    ),
    "more feature flags": (
        "server-0.8-feature-flags",
        "images-over-websocket",
        ["informs: feature_flags: node_replacements is new (boolean)"],
    ),
}


@pytest.mark.parametrize("a, b, named", GENERATIONS.values(), ids=GENERATIONS)
def test_what_changed_between_generations_is_named(a: str, b: str, named: list[str]) -> None:
    sentences = said(compare(timeline_of(a), timeline_of(b)))

    missing = [s for s in named if not any(found.startswith(s) for found in sentences)]
    assert missing == []


@pytest.mark.parametrize("name", bundled())
def test_a_recording_differs_in_nothing_from_itself(name: str) -> None:
    timeline = timeline_of(name)

    assert compare(timeline, timeline).differences == ()


def test_ids_and_times_and_ports_do_not_count() -> None:
    other = "99999999-0000-4000-8000-000000000009"
    later = session()
    later.wait(5_000_000)

    diff = compare(
        Timeline.build(run(session()).end()), Timeline.build(run(later, prompt_id=other).end())
    )

    assert diff.differences == ()


ANSWERS = {
    "a field is gone": ({"a": 1, "b": 2}, {"a": 1}, ["breaks: GET /queue: b is gone"]),
    "a field is new": ({"a": 1}, {"a": 1, "b": "x"}, ["informs: GET /queue: b is new (string)"]),
    "another type": ({"a": 1}, {"a": "1"}, ["breaks: GET /queue: a was number and is string"]),
    "nothing said yet": ({"a": None}, {"a": "1"}, []),
    "an empty list": ({"a": []}, {"a": [{"b": 1}]}, []),
    "ids as keys": ({"1": {"x": 1}}, {"2": {"x": 1}}, []),
    "another word": (
        {"status": "failed"},
        {"status": "broken"},
        ["warns: GET /queue: status was 'failed' and is 'broken'"],
    ),
}


@pytest.mark.parametrize("before, after, found", ANSWERS.values(), ids=ANSWERS)
def test_answers_are_compared_by_shape(before: Any, after: Any, found: list[str]) -> None:
    assert said(compare(answered(before), answered(after))) == found


def test_an_answer_that_became_an_error_breaks_clients() -> None:
    diff = compare(answered({}, 200), answered({}, 404))

    assert said(diff) == ["breaks: GET /queue answered 200 and answers 404"]
    assert diff.beyond("breaks")


def test_another_order_is_told_as_reordered() -> None:
    recording = session()
    body = {"prompt": {"1": {"class_type": "A"}}, "client_id": "recorded"}
    recording.asked(2, "POST", "/prompt", body, {"prompt_id": PROMPT, "number": 0})
    other = session()
    other.asked(2, "POST", "/prompt", body, {"prompt_id": PROMPT, "number": 0})
    for one, kinds in (
        (recording, ("execution_start", "executed", "execution_success")),
        (other, ("execution_start", "execution_success", "executed")),
    ):
        for kind in kinds:
            one.says(1, kind, prompt_id=PROMPT, node="1", output={})

    diff = compare(Timeline.build(recording.end()), Timeline.build(other.end()))

    assert [(d.kind, d.severity) for d in diff.differences] == [("reordered", "warns")]


def test_the_exit_status_follows_fail_on(capsys: pytest.CaptureFixture[str]) -> None:
    pair = ["server-0.8-feature-flags", "images-over-websocket"]

    assert main(["diff", *pair]) == 1
    assert main(["diff", *pair, "--fail-on", "breaks"]) == 0
    assert main(["diff", *pair, "--fail-on", "never"]) == 0
    assert main(["diff", "two-clients", "two-clients"]) == 0


def test_json_has_a_version(capsys: pytest.CaptureFixture[str]) -> None:
    main(["diff", "--json", "server-0.8-jobs", "jobs-api"])

    diff = json.loads(capsys.readouterr().out)
    assert (diff["version"], diff["a_version"], diff["b_version"]) == (1, "0.8.2", "0.27.0")
    assert {"severity", "kind", "area", "subject", "sentence"} == set(diff["differences"][0])


def without(*marks: bytes) -> Timeline:
    """A run whose client never got the frames that hold one of these."""
    records = run(session()).end()
    kept = [
        record
        for record in records
        if not (isinstance(record, WsFrame) and any(mark in record.payload for mark in marks))
    ]
    return Timeline.build(kept)


def test_a_prompt_that_has_no_end_any_more_comes_first() -> None:
    silent = without(b'"prompt_id"')

    diff = compare(Timeline.build(run(session()).end()), silent)

    assert diff.differences[0].severity == "breaks"
    assert diff.differences[0].sentence.endswith(" succeeded and has no end")
    assert all(one.subject != "outcome" for one in compare(silent, silent).differences)


def test_a_last_frame_that_is_missing_is_named() -> None:
    unended = without(b'"node": null')

    (found,) = compare(Timeline.build(run(session()).end()), unended).differences

    assert found.severity == "breaks"
    assert found.sentence.startswith("executing with a null node is not sent any more")


def test_an_error_is_told_in_the_servers_words() -> None:
    after = timeline_of("execution-error")
    failed = compare(msgspec.structs.replace(after, prompts=success(after)), after)

    assert any(
        one.severity == "breaks" and " succeeded and fails: " in one.sentence
        for one in failed.differences
    )


def success(timeline: Timeline) -> tuple[RecordedPrompt, ...]:
    """The same prompts, had they succeeded."""
    return tuple(msgspec.structs.replace(prompt, outcome="success") for prompt in timeline.prompts)
