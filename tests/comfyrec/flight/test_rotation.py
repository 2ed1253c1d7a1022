"""Parts as a recorder writes them: whole, readable alone, and the bound of the disk kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from comfyrec.cassette.files import open_cassette
from comfyrec.cassette.records import AnyRecord, HttpPart, Note, Side
from comfyrec.cassette.redact.redactor import Redactor
from comfyrec.flight.keeping import RECENT, Keeping, Policy
from comfyrec.flight.rotation import Limits, Rotation
from comfyrec.timeline import Timeline
from tests.support.timeline_samples import PROMPT, Recording, run, session

SECOND = 1_000_000


class Desk:
    """A rotation that is fed recordings, in a time of its own; parts are decided at once, or when
    ``decide`` is called."""

    def __init__(self, folder: Path, *, late: bool = False, **more: Any) -> None:
        limits = {key: more.pop(key) for key in ("bytes_max", "us_max") if key in more}
        self.folder, self.now, self.said = folder, 1_800_000_000 * SECOND, list[str]()
        self.waiting: list[Callable[[], None]] = []
        self.redactor = Redactor()
        self.rotation = Rotation(
            Keeping(folder, Policy(**more), chance=lambda: 1.0, say=self.said.append),
            Limits(each_session=not more.get("everything"), **limits),
            redactor=self.redactor,
            upstream="http://gpu:8188",
            redacted=("secret",),
            clock_us=lambda: self.now,
            beside=self.waiting.append if late else lambda job: job(),
            say=self.said.append,
        )

    def feed(self, recording: Recording, *, after: int = 1) -> None:
        """All records but the first, each a while after the one before."""
        previous = recording.records[0].t
        for record in recording.records[1:]:
            self.now += record.t - previous
            previous = record.t
            seq = self.rotation.next_seq
            self.rotation.write([msgspec.structs.replace(record, seq=seq, t=self.now)])
        recording.records = recording.records[:1]
        recording.t = recording.records[0].t
        self.wait(after)

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += SECOND
            self.rotation.tick(self.now)
            self.rotation.keeping.tidy(self.now)

    def parts(self) -> list[Path]:
        return sorted(self.folder.rglob("*.crec"), key=lambda path: path.name)


def failing(recording: Recording, prompt_id: str) -> Recording:
    run(recording, prompt_id=prompt_id)
    for index, record in enumerate(recording.records):
        payload = getattr(record, "payload", b"")
        if b"execution_success" in payload and prompt_id.encode() in payload:
            said = payload.replace(b"execution_success", b"execution_error")
            recording.records[index] = msgspec.structs.replace(record, payload=said)
    return recording


def read(path: Path) -> list[AnyRecord]:
    with open_cassette(path) as reader:
        records = list(reader)
        assert reader.problems == []
    return records


def test_each_session_is_a_part_and_only_the_failed_stay_whole(tmp_path: Path) -> None:
    desk = Desk(tmp_path, failed=True, recent_us=10 * SECOND)
    talk = session(client_id="me")
    for number in range(12):
        prompt_id = f"{PROMPT[:-2]}{number:02}"
        desk.feed((failing if number % 5 == 2 else run)(talk, prompt_id=prompt_id), after=5)
    desk.wait(20)
    desk.rotation.close()

    kept = sorted(tmp_path.glob("*.crec"))
    assert [path.name[-10:-5] for path in kept] == ["00003", "00008"]
    for path, number in zip(kept, (2, 7), strict=True):
        timeline = Timeline.build(read(path))
        (prompt,) = timeline.prompts
        assert (prompt.prompt_id[-2:], prompt.outcome) == (f"{number:02}", "error")
        assert prompt.submitted is not None
        assert timeline.sockets[0].client_id == "me"
        assert timeline.sockets[0].sid == "me"
        assert timeline.problems == ()
    assert list((tmp_path / RECENT).iterdir()) == []
    assert desk.rotation.keeping.removed == 10


def test_with_everything_kept_parts_end_at_their_limit_between_sessions(tmp_path: Path) -> None:
    desk = Desk(tmp_path, everything=True, us_max=20 * SECOND)
    talk = session()
    for number in range(10):
        desk.feed(run(talk, prompt_id=f"{PROMPT[:-2]}{number:02}"), after=5)
    desk.rotation.close()

    prompts = [Timeline.build(read(path)).prompts for path in desk.parts()]
    assert [len(of_part) for of_part in prompts] == [4, 4, 2]
    assert all(prompt.outcome == "success" for of_part in prompts for prompt in of_part)


def test_a_limit_cuts_a_session_that_does_not_end_and_its_parts_stay(tmp_path: Path) -> None:
    desk = Desk(tmp_path, failed=True, us_max=10 * SECOND, recent_us=SECOND)
    talk = failing(session(), PROMPT)
    long, rest = talk.records[:8], talk.records[8:]
    talk.records = long
    desk.feed(talk)
    for _ in range(50):
        talk.status(1, 1)
        desk.feed(talk)
    talk.records += rest
    desk.feed(talk, after=5)
    desk.rotation.close()

    kept = sorted(tmp_path.glob("*.crec"))
    assert len(kept) == 3
    assert "/prompt" in str(read(kept[0]))
    assert "execution_error" in str(read(kept[-1]))
    assert [dict(read(path)[0].about).get("continues") for path in kept] == [  # type: ignore[union-attr]
        None, kept[0].name, kept[1].name,
    ]  # fmt: skip


@pytest.mark.slow
def test_the_bound_of_the_disk_holds_at_every_moment(tmp_path: Path) -> None:
    desk = Desk(tmp_path, failed=True, disk_bytes_max=40_000, bytes_max=5_000)
    talk = session()
    most = 0
    for number in range(60):
        made = failing if number % 10 == 3 else run
        desk.feed(made(talk, prompt_id=f"{PROMPT[:-2]}{number:02}"), after=5)
        most = max(most, sum(path.stat().st_size for path in desk.parts()))
    desk.rotation.close()

    assert most <= 40_000
    assert len(list(tmp_path.glob("*.crec"))) == 6
    assert desk.rotation.keeping.dropped == 0


def test_the_last_minutes_can_be_kept_at_any_moment(tmp_path: Path) -> None:
    desk = Desk(tmp_path, failed=True)
    talk = run(session())
    desk.feed(talk, after=5)
    talk.request(2, "POST", "/prompt", {"prompt": {}})
    desk.feed(talk)

    names = desk.rotation.keep_recent(desk.now)
    again = desk.rotation.keep_recent(desk.now)
    desk.rotation.close()

    assert [name.exists() for name in names] == [True, True]
    assert again == []
    assert desk.parts() == names
    assert any(isinstance(r, HttpPart) and b"/prompt" in r.head for r in read(names[1]))


def test_a_secret_that_is_met_late_is_taken_out_of_the_finished_part(tmp_path: Path) -> None:
    desk = Desk(tmp_path, everything=True, late=True)
    talk = session()
    secret = b"sk-0123456789abcdefABCDEF"
    talk.frame(1, b'{"type": "note", "data": {"words": "' + secret + b'"}}')
    desk.feed(talk)
    head = b"GET /queue HTTP/1.1\r\nAuthorization: Bearer " + secret + b"\r\n\r\n"
    record = HttpPart(desk.rotation.next_seq, desk.now, 2, Side.CLIENT, 0, head)
    redacted = desk.redactor.record(record)
    desk.rotation.write([redacted])
    desk.rotation.cut(desk.now)
    for job in desk.waiting:
        job()

    (first, *_) = desk.parts()
    assert secret not in str(read(first)).encode()
    assert "words" in str(read(first))


def test_what_a_killed_recorder_left_is_decided_by_the_next_one(tmp_path: Path) -> None:
    killed = Desk(tmp_path, failed=True)
    killed.feed(run(session()), after=5)
    killed.feed(run(session(client_id="other")), after=0)
    killed.rotation._open.writer.abandon()

    desk = Desk(tmp_path, failed=True)
    desk.rotation.close()

    assert [path.name[-10:] for path in tmp_path.glob("*.crec")] == ["00002.crec"]
    assert [path.name[-10:] for path in (tmp_path / RECENT).iterdir()] == ["00001.crec"]
    assert any("no end" in sentence for sentence in desk.said)


def test_a_new_part_that_cannot_be_begun_leaves_the_old_one_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path, failed=True)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("comfyrec.flight.rotation.create_cassette", full)
        desk.feed(run(session()), after=5)
    assert len(desk.parts()) == 1
    desk.feed(run(session(client_id="other")), after=5)
    desk.rotation.close()

    timeline = Timeline.build(read(desk.parts()[0]))
    assert len(timeline.prompts) >= 1
    assert any("no new part could be begun" in sentence for sentence in desk.said)


def test_losses_are_noted_in_the_part_in_which_they_are_known(tmp_path: Path) -> None:
    desk = Desk(tmp_path, everything=True)
    desk.feed(run(session()))
    desk.rotation.close(lost=3)

    (path,) = desk.parts()
    assert [r.count for r in read(path) if isinstance(r, Note) and r.what == "lost"] == [3]
