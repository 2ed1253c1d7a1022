"""The ten lines of ``info``: what they say of a prompt that the recording leaves in the middle."""

from __future__ import annotations

from comfyrec.show.summary import summary
from comfyrec.timeline import Timeline
from comfyrec.timeline.story import tell
from tests.support.timeline_samples import PROMPT, Recording, run, session


def rows(recording: Recording) -> dict[str, str]:
    told = summary(tell(Timeline.build(recording.records), whole=False))
    lines = ["".join(part if isinstance(part, str) else part[0] for part in one) for one in told]
    return {line[:9].strip(): line[9:].strip() for line in lines}


def begun() -> Recording:
    recording = session()
    whole = run(Recording()).records
    start = next(n for n, one in enumerate(whole) if b'"executed"' in getattr(one, "payload", b""))
    for record in whole[1:start]:
        recording.put(
            type(record),
            **{name: getattr(record, name) for name in record.__struct_fields__[2:]},
        )
    return recording


def test_a_node_that_was_at_work_is_named_with_how_far_it_was() -> None:
    recording = begun()
    recording.says(1, "progress", node="2", value=20, max=25, prompt_id=PROMPT)

    told = rows(recording)["slowest"]

    assert "not over at 20 of 25" in told
    assert told.endswith("1 node cached")


def test_a_whole_run_says_how_many_of_all_nodes_were_cached() -> None:
    told = rows(run(session()))["slowest"]

    assert told.endswith("1 of 2 nodes cached")


def test_where_no_node_was_told_of_there_is_no_row_for_the_slowest() -> None:
    recording = session()
    recording.asked(2, "POST", "/prompt", {"prompt": {}}, {"prompt_id": PROMPT, "number": 0})

    assert "slowest" not in rows(recording)


def test_polls_of_one_route_are_told_together() -> None:
    recording = run(session())
    for number in range(3):
        prompt_id = f"a0000000-0000-4000-8000-00000000000{number}"
        for poll in range(12):
            conn = 3 + 12 * number + poll
            recording.asked(conn, "GET", f"/history/{prompt_id}", answer={})

    told = rows(recording)["requests"]

    assert "polled: GET /history/{id} 36 times at 3 addresses, every 2.00 ms" in told
