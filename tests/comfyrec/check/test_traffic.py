"""What a server saw a client do, counted from its journal."""

from __future__ import annotations

from comfyrec.check.case import Traffic
from comfyrec.check.traffic import traffic_of
from fake_server.scenarios.kit.observer import JournalNote


def test_what_a_client_did_is_counted_from_the_journal() -> None:
    journal = [
        JournalNote(0, "knocked", 1),
        JournalNote(0, "accepted", 1),
        JournalNote(0, "asked", 2, "POST /api/prompt"),
        JournalNote(0, "asked", 3, "GET /history/p"),
        JournalNote(0, "asked", 4, "GET /queue?x=1"),
        JournalNote(0, "asked", 5, "POST /interrupt"),
        JournalNote(0, "keyed", 5),
        JournalNote(0, "leaked", 6, "X-API-Key to localhost:1 in GET /view"),
    ]

    seen = traffic_of(journal, [0.0, 0.0, 0.1, 0.2, 5.0, 5.5, 5.5, 5.5])

    assert seen == Traffic(
        sockets=1,
        socket_first=True,
        posts=1,
        requests=4,
        attempts=5,
        history_requests=1,
        queue_requests=1,
        interrupts=1,
        busiest_second=3,
        keyed=True,
        leaks=("X-API-Key to localhost:1 in GET /view",),
    )


def test_jobs_of_comfy_api_v2_are_counted_as_prompts_and_questions() -> None:
    targets = [
        "POST /d/api/v2/jobs", "GET /d/api/v2/jobs/7/events", "GET /d/api/v2/jobs/7",
        "POST /d/api/v2/jobs/7/cancel", "GET /d/api/v2/jobs",
    ]  # fmt: skip
    journal = [JournalNote(0, "asked", n, target) for n, target in enumerate(targets)]

    seen = traffic_of(journal, [0.0] * len(journal))

    assert (seen.posts, seen.history_requests, seen.over_v2) == (1, 1, True)


def test_a_job_of_the_native_routes_is_a_question_too() -> None:
    journal = [JournalNote(0, "asked", 1, "GET /api/jobs/7")]

    assert traffic_of(journal, [0.0]).history_requests == 1


def test_what_a_client_waited_for_in_vain_is_known_from_what_was_never_answered() -> None:
    journal = [
        JournalNote(0, "knocked", 1),
        JournalNote(0, "accepted", 1),
        JournalNote(0, "asked", 2, "GET /prompt?token=x"),
        JournalNote(0, "asked", 3, "GET /queue"),
        JournalNote(0, "answered", 3, "200"),
    ]
    seconds = [0.0, 0.0, 1.0, 1.0, 1.0]

    assert traffic_of(journal, seconds, until_s=9.0).unanswered == "GET /prompt"
    assert traffic_of(journal, seconds, until_s=1.2).unanswered == ""
    assert traffic_of(journal, seconds).unanswered == ""
    assert traffic_of(journal[:1], [0.0], until_s=9.0).unanswered == "its WebSocket's handshake"
