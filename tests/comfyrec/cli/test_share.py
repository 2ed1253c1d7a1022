"""redact, scan, report, and record's flags: what they write and print, and their bad input."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from comfyrec.cassette.files import open_cassette, write_cassette
from comfyrec.cassette.records import AnyRecord, Closed, End, HttpPart, Session, Side
from comfyrec.cassette.redact.redactor import Redactor
from comfyrec.cli import main
from comfyrec.timeline import Timeline
from fake_server.replay import replay_differences
from tests.support.recorded import everything, unredacted
from tests.support.telling_samples import TELLING, forms_of

NAME = "fresh-run-previews"
SECRET = "Zk83mQ2LxV7tR9pW4bN6"


@pytest.fixture(scope="module")
def everything_told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One recording with all that the table has."""
    path = tmp_path_factory.mktemp("told") / "told.jsonl"
    records: list[AnyRecord] = [Session(0, 1)]
    for conn, row in enumerate(TELLING, 1):
        for record in unredacted(row.said):
            fields = {"seq": len(records), "t": len(records), "conn": conn}
            records.append(type(record)(**{**_fields(record), **fields}))
        records.append(Closed(len(records), len(records), conn, Side.CLIENT))
    write_cassette(path, [*records, End(len(records), len(records), len(records))])
    return path


def _fields(record: AnyRecord) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def left_in(data: bytes) -> list[str]:
    return [
        f"{row.redaction}: {row.place}: {row.sample}"
        for row in TELLING
        if any(form in data for form in forms_of(row.plant))
    ]


@pytest.mark.long
@pytest.mark.parametrize("suffix", [".crec", ".jsonl"])
def test_redact_leaves_nothing_of_the_table(
    everything_told: Path, suffix: str, tmp_path: Path
) -> None:
    output = tmp_path / f"share{suffix}"

    assert main(["redact", str(everything_told), "-o", str(output)]) == 0

    assert left_in(everything(output)) == []
    with open_cassette(output) as reader:
        assert reader.header.redacted == ("secret", "identity", "content")
    assert main(["doctor", str(output)]) in (0, 1)


@pytest.mark.long
def test_report_leaves_nothing_of_the_table(everything_told: Path, tmp_path: Path) -> None:
    output = tmp_path / "r.zip"

    assert main(["report", str(everything_told), "-o", str(output), "--no-content"]) == 0

    with zipfile.ZipFile(output) as archive:
        for name in archive.namelist():
            assert left_in(archive.read(name)) == [], name
        cassette = Path(archive.extract("cassette.crec", tmp_path))
    assert left_in(everything(cassette)) == []


@pytest.mark.parametrize(
    "chosen, applied, text",
    [
        ("identity", ("secret", "identity"), "a red cube"),
        ("content", ("secret", "content"), "a xxx xxxx"),
        ("secret", ("secret",), "a red cube"),
    ],
)
def test_redact_replaces_the_classes_that_were_chosen(
    chosen: str, applied: tuple[str, ...], text: str, tmp_path: Path
) -> None:
    output = tmp_path / "share.crec"

    assert main(["redact", NAME, "-o", str(output), "--redact", chosen]) == 0

    with open_cassette(output) as reader:
        assert reader.header.redacted == applied
        timeline = Timeline.build(reader)
    assert timeline.prompts[0].graph["6"]["inputs"]["text"] == text


def test_redact_says_what_it_did_and_the_result_replays_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "share.crec"

    assert main(["redact", NAME, "-o", str(output)]) == 0

    assert f"{output}: " in capsys.readouterr().out
    with open_cassette(output) as reader:
        timeline = Timeline.build(reader)
    assert replay_differences(timeline) == []
    assert timeline.prompts[0].graph["6"]["inputs"]["text"] == "a xxx xxxx"


def test_the_same_recording_is_redacted_the_same_twice(tmp_path: Path) -> None:
    one, other = tmp_path / "a.crec", tmp_path / "b.crec"

    main(["redact", NAME, "-o", str(one)])
    main(["redact", NAME, "-o", str(other)])

    assert one.read_bytes() == other.read_bytes()


def test_what_is_kept_stays_and_is_said(tmp_path: Path) -> None:
    output = tmp_path / "share.jsonl"

    assert main(["redact", NAME, "-o", str(output), "--keep", "text,pixels"]) == 0

    assert b"a red cube" in output.read_bytes()
    with open_cassette(output) as reader:
        assert reader.header.about["kept"] == ["pixels", "text"]


def test_a_map_looks_values_up_and_is_used_again(tmp_path: Path) -> None:
    output, names = tmp_path / "share.jsonl", tmp_path / "map.json"

    assert main(["redact", NAME, "-o", str(output), "--map", str(names)]) == 0
    first = output.read_bytes()
    rows = json.loads(names.read_bytes())["standins"]
    assert {"kind": "text", "value": "a red cube", "standin": "a xxx xxxx"} in rows
    assert names.stat().st_mode & 0o077 == 0

    assert main(["redact", NAME, "-o", str(output), "--map", str(names), "--overwrite"]) == 0
    assert output.read_bytes() == first


MAPS = {
    "no JSON": b"{",
    "another file": b'{"comfyrec_map": 1}',
    "another version": b'{"comfyrec_map": 2, "standins": []}',
    "of another form": b'{"comfyrec_map": 1, "standins": [{"kind": "user", "value": "alice",'
    b' "standin": "bob"}]}',
}


@pytest.mark.slow
@pytest.mark.parametrize("content", MAPS.values(), ids=MAPS)
def test_a_map_that_does_not_fit_is_refused_in_one_sentence(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = tmp_path / "map.json"
    names.write_bytes(content)

    assert main(["redact", NAME, "-o", str(tmp_path / "a.crec"), "--map", str(names)]) == 2

    said = capsys.readouterr().err
    assert said.startswith(f"comfyrec redact: --map {names} ")
    assert said.count("\n") == 1
    assert names.read_bytes() == content


def test_nothing_is_overwritten_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.jsonl"
    write_cassette(own, [Session(0, 1), End(1, 1, 1)])

    assert main(["redact", str(own), "-o", str(own)]) == 2
    assert main(["redact", NAME, "-o", str(own)]) != 0
    assert main(["report", str(own), "-o", str(own)]) == 2
    assert main(["redact", NAME, "-o", str(tmp_path / "b.crec"), "--keep", "secret"]) == 2
    assert main(["redact", NAME, "-o", str(tmp_path / "b.crec"), "--keep", "nothing"]) == 2

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert "secrets are never kept" in lines[3]


def test_a_damaged_recording_is_redacted_as_far_as_it_can_be_read(tmp_path: Path) -> None:
    source, output = tmp_path / "cut.jsonl", tmp_path / "share.jsonl"
    whole = tmp_path / "whole.jsonl"
    main(["convert", "image-only", "-o", str(whole)])
    source.write_bytes(whole.read_bytes()[:-400])

    assert main(["redact", str(source), "-o", str(output)]) == 3
    assert main(["doctor", str(output)]) in (0, 1)


def test_scan_says_what_is_told_by_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", NAME]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("content  text") and "POST /prompt" in line for line in lines)
    assert "no secrets" in lines[-1]
    assert all(len(line) <= 80 for line in lines)
    assert "a red cube" not in "\n".join(lines)


@pytest.mark.slow
def test_scan_finds_nothing_in_what_was_redacted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "share.crec"
    main(["redact", NAME, "-o", str(output)])
    capsys.readouterr()

    assert main(["scan", str(output)]) == 0

    assert capsys.readouterr().out == "nothing is told: no secrets, no identity, no content\n"


def test_scan_takes_no_blanked_secret_of_a_redacted_recording_for_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded, output = tmp_path / "recorded.crec", tmp_path / "share.crec"
    graph = {"1": {"class_type": "Foo", "inputs": {"api_key": SECRET, "text": "a red cube"}}}
    body = json.dumps({"prompt": graph}).encode()
    head = b"POST /prompt HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
    part = Redactor().record(HttpPart(1, 1, 1, Side.CLIENT, 0, head, body))
    write_cassette(recorded, [Session(0, 1), part, End(2, 1, 2)])
    main(["redact", str(recorded), "-o", str(output)])
    capsys.readouterr()

    status = main(["scan", str(output)])

    assert (status, "secret" in capsys.readouterr().out.replace("no secrets", "")) == (0, False)
    assert SECRET.encode() not in output.read_bytes()


def test_scan_ends_with_1_where_a_secret_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "leak.jsonl"
    head = b"POST /prompt HTTP/1.1\r\nX-API-Key: %s\r\n\r\n" % SECRET.encode()
    request = HttpPart(1, 1, 1, Side.CLIENT, 0, head)
    write_cassette(path, [Session(0, 1), request, End(2, 1, 2)])

    assert main(["scan", str(path)]) == 1
    assert main(["scan", str(path), "--json"]) == 1

    said = capsys.readouterr().out
    assert "POST /prompt request head" in said
    assert SECRET not in said


@pytest.mark.slow
def test_a_report_is_one_archive_with_all_that_a_reader_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "r.zip"

    assert main(["report", NAME, "-o", str(output)]) == 0

    assert "--content includes them" in capsys.readouterr().err
    with zipfile.ZipFile(output) as archive:
        assert sorted(archive.namelist()) == [
            "README.txt", "cassette.crec", "page.html", "scan.txt", "story.txt", "versions.json",
        ]  # fmt: skip
        assert json.loads(archive.read("versions.json"))["comfyui"] == "0.27.0"
        assert archive.read("scan.txt").startswith(b"nothing is told")
        assert b"red cube" not in archive.read("story.txt") + archive.read("cassette.crec")


def test_a_report_holds_content_when_that_was_chosen(tmp_path: Path) -> None:
    output = tmp_path / "r.zip"

    assert main(["report", NAME, "-o", str(output), "--content"]) == 0

    with zipfile.ZipFile(output) as archive:
        assert b"content" in archive.read("scan.txt")


# --- header fields that only their owner knows -----------------------------------------------


@pytest.fixture
def of_a_team(tmp_path: Path) -> Path:
    """A recording with a field that no rule knows, a credential in it, and it again in a body."""
    path = tmp_path / "team.jsonl"
    head = b"GET /queue HTTP/1.1\r\nX-Team: %s\r\nETag: %s\r\nX-Color: blue\r\n\r\n"
    request = HttpPart(1, 1, 1, Side.CLIENT, 0, head % (SECRET.encode(), SECRET[::-1].encode()))
    said = b'"%s"' % SECRET.encode()
    answer = HttpPart(2, 2, 1, Side.SERVER, 0, b"HTTP/1.1 200 OK\r\n\r\n", said)
    write_cassette(path, [Session(0, 1), request, answer, End(3, 2, 3)])
    return path


def test_scan_names_fields_that_may_hold_a_credential_and_what_takes_it_out(
    of_a_team: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan", str(of_a_team)]) == 0

    said = capsys.readouterr().out
    assert "perhaps  header        1  GET /queue request head: X-Team\n" in said
    assert "'comfyrec redact --redact-header X-Team' takes it out" in said
    assert "X-Color" not in said
    assert "ETag" not in said
    assert "nothing is told" not in said


def test_redact_and_report_take_out_the_fields_that_are_named(
    of_a_team: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, archive = tmp_path / "share.jsonl", tmp_path / "r.zip"
    flag = ["--redact-header", "x-team"]

    assert main(["redact", str(of_a_team), "-o", str(output), *flag]) == 0
    assert main(["report", str(of_a_team), "-o", str(archive), "--content", *flag]) == 0
    capsys.readouterr()
    assert main(["scan", str(output)]) == 0

    assert "perhaps" not in capsys.readouterr().out
    assert SECRET.encode() not in everything(output)
    with zipfile.ZipFile(archive) as files:
        left = Path(files.extract("cassette.crec", tmp_path))
    assert SECRET.encode() not in everything(left)


def test_convert_takes_out_the_fields_that_are_named_of_a_har_file(
    of_a_team: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    har, output = tmp_path / "a.har", tmp_path / "a.jsonl"
    flag = ["--redact-header", "X-Team"]

    assert main(["convert", str(of_a_team), "-o", str(har)]) == 0
    assert capsys.readouterr().out.startswith(f"wrote {har} (")
    assert SECRET.encode() in har.read_bytes()
    assert main(["convert", str(har), "-o", str(output), *flag]) == 0
    assert main(["convert", str(of_a_team), "-o", str(tmp_path / "b.crec"), *flag]) == 2

    assert SECRET.encode() not in output.read_bytes()
    assert "'comfyrec redact" in capsys.readouterr().err


COMMANDS = {
    "record": ["record", "--upstream", "http://127.0.0.1:1"],
    "redact": ["redact", NAME],
    "report": ["report", NAME],
    "convert": ["convert", NAME],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_field_with_its_value_is_refused_in_one_sentence(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "a.crec"

    assert main([*command, "-o", str(output), "--redact-header", "X-Team: red"]) == 2

    assert capsys.readouterr().err.startswith(f"comfyrec {command[0]}: --redact-header 'X-Team: ")
    assert not output.exists()


def test_a_class_that_is_not_there_gets_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "a.crec"
    command = ["record", "--upstream", "http://127.0.0.1:1", "-o", str(output)]

    assert main([*command, "--redact", "identity,names"]) == 2

    assert capsys.readouterr().err.startswith("comfyrec record: --redact names")
    assert not output.exists()
