"""info, cat, doctor, recover, convert: what they print, and the exit statuses of the contract."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from comfyrec.cassette.files import open_cassette, write_cassette
from comfyrec.cassette.records import (
    AnyRecord,
    Closed,
    End,
    HttpPart,
    Note,
    Opened,
    Raw,
    Session,
    Side,
    WsFrame,
)
from comfyrec.cli import main

T = 1_795_218_964_682_000
STATUS = b'{"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 1}}}}'
METADATA = b'{"node_id": "3", "prompt_id": "p", "image_type": "image/png"}'
PREVIEW = b"\0\0\0\4" + len(METADATA).to_bytes(4, "big") + METADATA + b"\x89PNG\xff"
ASKED = b"GET /ws?clientId=a HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n"
ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
POSTED = b"POST /prompt HTTP/1.1\r\nHost: h\r\nContent-Length: 15\r\n\r\n"
ANSWERED = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
S, C = Side.SERVER, Side.CLIENT

RECORDS: list[AnyRecord] = [
    Session(0, T, 1, 1, "comfyrec test", "http://h", ("secret",), {"comfyui_version": "0.27.0"}),
    Opened(1, T, 1, "127.0.0.1:5"),
    HttpPart(2, T, 1, C, 0, ASKED),
    HttpPart(3, T, 1, S, 0, ACCEPTED),
    WsFrame(4, T + 1_500_000, 1, S, b"\x81\x4d", STATUS),
    WsFrame(5, T + 1_500_000, 1, S, b"\x82\x4d", PREVIEW),
    WsFrame(6, T + 1_500_000, 1, C, b"\x81\x85abcd", b"\x1b[31m\xc2\x9bred"),
    WsFrame(7, T + 1_500_000, 1, C, b"\x88\x85abcd", b"\x03\xe8bye"),
    Opened(8, T + 1_600_000, 2),
    HttpPart(9, T + 1_600_000, 2, C, 0, POSTED, b'{"prompt":\n {}}', b"", True, 2),
    HttpPart(10, T + 1_700_000, 2, S, 0, ANSWERED, b'{"a":NaN}'),
    Raw(11, T + 1_700_000, 2, C, b"\x16\x03", "no HTTP"),
    Note(12, T + 1_700_000, 0, "lost", "disk full", 3),
    Closed(13, T + 1_700_000, 2, C),
    End(14, T + 1_700_000, 14),
]


@pytest.fixture(params=[".crec", ".jsonl"])
def cassette(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"run{request.param}"
    write_cassette(path, RECORDS)
    return path


@pytest.fixture
def damaged(cassette: Path) -> Path:
    data = bytearray(cassette.read_bytes())
    data[-40] ^= 1
    cassette.write_bytes(data)
    return cassette


def test_cat_prints_a_line_for_each_record(
    cassette: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cat", str(cassette)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(RECORDS)
    assert lines[2].endswith(
        "#1 -> http 0 GET /ws?clientId=a HTTP/1.1 | Host: h | Upgrade: websocket"
    )
    assert lines[4] == f"     4      1.500000 #1 <- text {STATUS.decode()}"
    assert "PREVIEW_IMAGE_WITH_METADATA node_id=3 prompt_id=p" in lines[5]
    assert lines[6].endswith(r"#1 -> text \u001b[31m\u009bred")
    assert lines[7].endswith("#1 -> close 1000 bye")
    assert lines[9].endswith("(2 redacted)")
    assert "lost 3 disk full" in lines[12]


def test_cat_json_prints_decoded_records(
    cassette: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cat", "--json", str(cassette)]) == 0

    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["seq"] for row in rows] == list(range(len(RECORDS)))
    assert rows[4]["event"] == json.loads(STATUS)
    assert rows[5]["event"]["node_id"] == "3"
    assert rows[6]["text"] == "\x1b[31m\x9bred"
    assert rows[9]["json"] == {"prompt": {}}
    assert rows[10]["body"] == '{"a":NaN}'


PROGRESS = b'{"type": "progress", "data": {"value": 1, "max": 2}}'


def piece(seq: int, payload: bytes, head: bytes = b"", conn: int = 1, last: bool = True) -> WsFrame:
    return WsFrame(seq, T, conn, Side.SERVER, head, payload, last)


def cat_json(
    path: Path, capsys: pytest.CaptureFixture[str], *records: AnyRecord
) -> list[dict[str, Any]]:
    """What ``cat --json`` prints of a recording, without its session."""
    write_cassette(path, [Session(0, T), *records])
    main(["cat", "--json", str(path)])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()][1:]


@pytest.mark.parametrize("at", [1, 30])
def test_cat_json_joins_a_frame_that_came_in_pieces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], at: int
) -> None:
    other, joined = cat_json(
        tmp_path / "pieces.jsonl",
        capsys,
        piece(1, PROGRESS[:at], b"\x81\x34", last=False),
        piece(2, b"{}", b"\x81\x02", conn=2),
        piece(3, PROGRESS[at:]),
    )

    assert (other["seq"], other["event"]) == (2, {})
    assert (joined["seq"], joined["head"], joined["pieces"]) == (3, "8134", 2)
    assert joined["event"] == json.loads(PROGRESS)
    assert "text" not in joined


def part(seq: int, head: bytes, body: bytes, *, last: bool = True) -> HttpPart:
    return HttpPart(seq, T, 1, Side.SERVER, 0, head, body, last=last)


SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def test_cat_shows_server_sent_events_as_messages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "events.jsonl"
    records = [
        part(1, SSE, b'id: 7\nevent: progress\ndata: {"a": 1}\n\ndata: x', last=False),
        part(2, b"", b"y\n\n"),
    ]
    first, second = cat_json(path, capsys, *records)

    assert first["events"] == [{"event": "progress", "id": "7", "data": {"a": 1}}]
    assert second["events"] == [{"event": "message", "id": "7", "data": "xy"}]

    main(["cat", str(path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith('event progress id 7 {"a": 1} (goes on)')
    assert lines[2].endswith("event message id 7 xy")


def test_info_counts_the_events_of_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "events.jsonl"
    write_cassette(path, [Session(0, T), part(1, SSE, b"data: 1\n\ndata: 2\n\n")])
    main(["info", str(path)])

    assert "requests  1; 2 events in answers that came in pieces" in capsys.readouterr().out


def test_cat_json_tells_a_message_in_fragments_with_the_last_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, last = cat_json(
        tmp_path / "fragments.jsonl",
        capsys,
        piece(1, PROGRESS[:9], b"\x01\x09"),
        piece(2, PROGRESS[9:], b"\x80\x2b"),
    )

    assert "event" not in first
    assert first["text"] + last["text"] == PROGRESS.decode()
    assert last["event"] == json.loads(PROGRESS)


@pytest.mark.parametrize("end", [True, False])
def test_cat_json_shows_a_frame_without_its_end_as_it_came(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], end: bool
) -> None:
    shown = cat_json(
        tmp_path / "cut.jsonl",
        capsys,
        piece(1, b"{", b"\x81\x09", last=False),
        piece(2, b'"a', last=False),
        *([Closed(3, T, 1, Side.SERVER)] if end else []),
        piece(4, b"{}", b"\x81\x02", conn=2),
    )

    assert sorted(line["text"] for line in shown if line.get("last") is False) == ['"a', "{"]
    assert [line["seq"] for line in shown] == ([1, 2, 3, 4] if end else [4, 1, 2])


def test_cat_json_is_text_even_of_half_a_letter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.jsonl"
    odd = b'{"type": "\\ud800", "data": {}}'
    write_cassette(path, [*RECORDS[:4], WsFrame(4, T, 1, S, b"\x81\x1e", odd), End(5, T, 5)])

    assert main(["cat", "--json", str(path)]) == 0

    row = json.loads(capsys.readouterr().out.splitlines()[4])
    assert row["event"]["type"] == "?"


def test_a_number_that_the_packed_encoding_cannot_hold_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "big.jsonl", tmp_path / "big.crec"
    about = {"comfyui_version": 10**30}
    write_cassette(path, [Session(0, T, 1, 1, "t", "http://h", (), about), End(1, T, 2)])

    assert main(["convert", str(path), "-o", str(out)]) == 3

    assert "more than 64 bits" in capsys.readouterr().err
    assert sorted(one.name for one in tmp_path.iterdir()) == ["big.jsonl"]


def test_cat_sends_no_control_characters_to_the_terminal(
    cassette: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    main(["cat", str(cassette)])
    main(["cat", "--json", str(cassette)])

    out = capsysbinary.readouterr().out
    assert b"\x1b" not in out
    assert b"\xc2\x9b" not in out


def test_cat_of_a_damaged_cassette_prints_the_rest_and_says_where(
    damaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cat", str(damaged)]) == 3

    said = capsys.readouterr()
    assert len(said.out.splitlines()) >= len(RECORDS) - 1
    assert f"{damaged}: damaged at byte" in said.err


def test_info_counts(cassette: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json", str(cassette)]) == 3  # its recorder lost records

    facts = json.loads(capsys.readouterr().out)
    assert facts["comfyui_version"] == ["0.27.0"]
    assert (facts["records"], facts["connections"], facts["sockets"]) == (15, 2, 1)
    assert (facts["requests"], facts["prompts"], facts["redacted"], facts["lost"]) == (2, 1, 2, 3)
    assert (facts["messages_from_server"], facts["messages_from_client"]) == (2, 1)
    assert facts["duration_us"] == 1_700_000
    assert facts["whole"] is False


def test_info_counts_records_when_it_is_asked_to(
    cassette: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", "--records", str(cassette)]) == 3

    out = capsys.readouterr().out
    assert "incomplete: 3 records were lost while recording" in out
    assert "ComfyUI          0.27.0" in out
    assert "2026-11-20 23:56:04 UTC, 1.700 s, by comfyrec test" in out


def test_info_says_in_ten_lines_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "execution-error"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 10
    assert lines[0] == "outcome   3 prompts: 1 succeeded, 2 failed"
    assert lines[1] == "error     GTBoom 3: ValueError: deliberate failure (prompt 310f679b)"
    assert "slowest   GTBoom 3 15.6 ms" in lines[3]


def test_info_as_json_tells_errors_and_slow_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json", "execution-error"]) == 0

    facts = json.loads(capsys.readouterr().out)
    assert facts["info_version"] == 1
    assert facts["outcomes"] == {"error": 2, "success": 1}
    assert facts["errors"][0]["message"].strip() == "deliberate failure"
    assert facts["slowest"][0]["class_type"] == "GTBoom"


def test_cat_prints_only_what_the_filters_fit(
    cassette: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cat", str(cassette), "--connection", "2", "--type", "POST"]) == 0

    (line,) = capsys.readouterr().out.splitlines()
    assert "#2 -> http 0 POST /prompt" in line


def test_info_says_damage(damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(damaged)]) == 3
    assert "damaged or cut off" in capsys.readouterr().out


def test_recover_writes_what_is_whole(
    damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = damaged.read_bytes()
    new = tmp_path / "new.crec"

    assert main(["recover", str(damaged), "-o", str(new)]) == 3

    assert "the rest could not be read" in capsys.readouterr().out
    assert damaged.read_bytes() == before
    with open_cassette(new) as reader:
        assert len(list(reader)) >= len(RECORDS) - 1
        assert not reader.problems


def test_recover_says_that_nothing_was_missing(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["recover", str(whole), "-o", str(tmp_path / "new.crec")]) == 0

    said = capsys.readouterr()
    assert "nothing was damaged" in said.out
    assert said.err == ""


def test_recover_keeps_saying_what_was_lost_while_recording(
    cassette: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new.crec"
    assert main(["recover", str(cassette), "-o", str(new)]) == 3
    assert "its recorder could not write 3 records" in capsys.readouterr().err
    assert main(["info", str(new)]) == 3


def test_recover_never_touches_the_damaged_file(
    damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.crec"
    other.write_bytes(b"something")

    assert main(["recover", str(damaged), "-o", str(damaged), "--overwrite"]) == 2
    assert main(["recover", str(damaged), "-o", str(other)]) == 2
    assert other.read_bytes() == b"something"
    assert "--overwrite" in capsys.readouterr().err


def test_convert_goes_both_ways_without_loss(cassette: Path, tmp_path: Path) -> None:
    text, packed, again = (tmp_path / name for name in ("t.jsonl", "p.crec", "t2.jsonl"))

    assert main(["convert", str(cassette), "-o", str(text), "--overwrite"]) == 0
    assert main(["convert", str(text), "-o", str(packed)]) == 0
    assert main(["convert", str(packed), "-o", str(again)]) == 0

    assert text.read_bytes() == again.read_bytes()
    with open_cassette(packed) as reader:
        assert list(reader) == RECORDS


def test_convert_takes_captures_and_takes_their_secrets_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture, out = tmp_path / "x.jsonl", tmp_path / "x.crec"
    header = {"kind": "header", "format": "comfy-wire-capture/1", "started_unix_ms": T // 1000}
    row = {"t": 1, "conn": "h1", "kind": "http.request", "method": "GET", "path": "/", "query": "",
           "headers": [["Authorization", "Bearer abcdefgh12345"]]}  # fmt: skip
    capture.write_text(f"{json.dumps(header)}\n{json.dumps(row)}\n")

    assert main(["convert", str(capture), "-o", str(out)]) == 0

    with open_cassette(out) as reader:
        assert reader.header.redacted == ("secret",)
        heads = [record.head for record in reader if isinstance(record, HttpPart)]
    assert b"abcdefgh12345" not in heads[0]
    capture.write_text(f"{json.dumps(header)}\nnonsense\n")
    assert main(["convert", str(capture), "-o", str(out), "--overwrite"]) == 2
    assert "line 2" in capsys.readouterr().err


def test_convert_to_har_and_back(cassette: Path, tmp_path: Path) -> None:
    har, back = tmp_path / "x.har", tmp_path / "back.crec"

    assert main(["convert", str(cassette), "-o", str(har)]) == 0
    assert main(["convert", str(har), "-o", str(back)]) == 0

    assert json.loads(har.read_text())["log"]["version"] == "1.2"
    with open_cassette(back) as reader:
        payloads = [record.payload for record in reader if isinstance(record, WsFrame)]
    assert payloads[:2] == [STATUS, PREVIEW]


def test_convert_in_place_refuses_to_overwrite_what_it_cannot_read(damaged: Path) -> None:
    before = damaged.read_bytes()

    assert main(["convert", str(damaged), "-o", str(damaged), "--overwrite"]) == 2

    assert damaged.read_bytes() == before


def test_convert_of_a_damaged_cassette_says_so(damaged: Path, tmp_path: Path) -> None:
    assert main(["convert", str(damaged), "-o", str(tmp_path / "c.crec")]) == 3


def test_convert_wants_an_encoding(cassette: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(cassette), "-o", "x.txt"]) == 2
    assert "--to" in capsys.readouterr().err


@pytest.fixture
def whole(cassette: Path) -> Path:
    """A cassette that replays itself."""
    status = STATUS.replace(b"1", b"0").replace(b"}}}", b'}}, "sid": "a"}')
    first = WsFrame(4, T, 1, S, b"\x81\x5a", status)
    write_cassette(cassette, [*RECORDS[:4], first, End(5, T, 5)], overwrite=True)
    return cassette


def test_doctor_finds_a_whole_cassette_whole(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(whole)]) == 0

    said = capsys.readouterr()
    assert "every checksum and number fits; replays itself" in said.out
    assert said.err == ""


def test_doctor_tells_what_its_recorder_lost(
    cassette: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(cassette)]) == 3

    said = capsys.readouterr()
    assert "could not write 3 records" in said.err
    assert "what there is of it" in said.out


def test_doctor_finds_damage(damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(damaged)]) == 3

    said = capsys.readouterr()
    assert "damaged or cut off; what there is of it " in said.out
    assert "damaged at byte" in said.err


@pytest.mark.parametrize("command", ["cat", "info", "doctor"])
def test_what_is_no_cassette_is_refused_in_one_sentence(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.crec").write_text("hello")
    (tmp_path / "empty.crec").touch()

    for name, words in [("x.crec", "not a cassette"), ("empty.crec", "empty"), ("none", "no such")]:
        assert main([command, str(tmp_path / name)]) == 2
        said = capsys.readouterr().err
        assert words in said
        assert len(said.splitlines()) == 1


@pytest.mark.slow
def test_cat_starts_without_the_heavy_libraries(cassette: Path) -> None:
    code = (
        "import sys; from comfyrec.cli import main; main(sys.argv[1:]); "
        "heavy = {'aiohttp', 'rich', 'asyncio', 'PIL', 'websockets'} & set(sys.modules); "
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "cat", str(cassette)], capture_output=True, check=False
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_module_runs_as_a_program(cassette: Path) -> None:
    command = [sys.executable, "-m", "comfyrec", "cat", "--json", str(cassette)]

    done = subprocess.run(command, capture_output=True, check=False)

    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == len(RECORDS)


ASKS = "import sys, urllib.request as u; u.urlopen(sys.argv[1] + sys.argv[2])"


def asking(path: str) -> str:
    return shlex.join([sys.executable, "-c", ASKS, "{url}", path])


def test_doctor_replays_to_a_clients_command(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["doctor", str(whole), "--client", asking("/models")])

    out, err = capsys.readouterr()
    assert status == 0
    assert out.splitlines()[-1] == f"{whole}: the client ended with 0; 1 request"
    assert err == (
        f"comfyrec doctor: {whole}: GET /models: not recorded, answered from what was (models)\n"
    )


def test_doctor_says_when_the_client_failed(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["doctor", str(whole), "--client", asking("/no-such-path")])

    assert status == 1
    assert "the client ended with 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, mend",
    [
        (["--client", "true"], "write {url} in its place"),
        (["--client", "'{url}"], "close every quote"),
        (["--client", "no-such-command-anywhere {url}"], "give its path"),
        (["--client", "true {url}", "--timeout", "soon"], "give a number of seconds above 0"),
        (["--client", "true {url}", "--timeout", "-1"], "give a number of seconds above 0"),
    ],
)
def test_doctor_says_how_to_name_a_client(
    whole: Path, options: list[str], mend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(whole), *options]) == 2
    assert mend in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_behind_standard_output_is_one_sentence() -> None:
    command = [sys.executable, "-m", "comfyrec", "info", "all-cached"]

    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )

    assert ended.returncode == 1
    assert ended.stderr == "comfyrec info: standard output is on a full disk; free some\n"


@pytest.mark.parametrize(
    "form, name", [("har", "two-clients.har"), ("perfetto", "two-clients.pftrace")]
)
def test_what_nobody_can_read_on_a_terminal_is_not_written_to_one(
    form: str, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    assert main(["export", "two-clients", "--to", form]) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert f"name a file with -o {name}" in said.err
