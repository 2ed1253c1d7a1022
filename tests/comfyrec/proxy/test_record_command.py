"""``comfyrec record`` as a person runs it."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from comfyrec.cassette.files import open_cassette
from comfyrec.cassette.records import End, HttpPart, Opened, Session, Side
from comfyrec.cli import main
from comfyrec.errors import SecretKept
from comfyrec.proxy import Relay
from comfyrec.timeline import Timeline
from comfyrec.wire.tap import Part

LIMIT_S = 20


class Server(BaseHTTPRequestHandler):
    """A ComfyUI that says back which key it was shown."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b'{"system": {"comfyui_version": "0.33.0"}, "devices": [{"type": "cpu"}]}'
        if self.path != "/system_stats":
            body = f'{{"key": "{self.headers["X-Api-Key"]}"}}'.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def upstream() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def recording(
    *arguments: str, before: Callable[[], None] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running command and the address that it printed."""
    command = [sys.executable, "-m", "comfyrec", "record", "--listen", "127.0.0.1:0", *arguments]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
        preexec_fn=before,
    ) as process:
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            yield process, first.split()[-1] if first else ""
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are sent as POSIX does")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("suffix", ["jsonl", "crec"])
def test_it_records_until_it_is_stopped(
    tmp_path: Path, upstream: str, stop: signal.Signals, suffix: str
) -> None:
    path = tmp_path / f"session.{suffix}"

    with recording("--upstream", upstream, "-o", str(path)) as (process, url):
        answer = urllib.request.urlopen(f"{url}/queue", timeout=LIMIT_S).read()
        process.send_signal(stop)
        said, complained = process.communicate(timeout=LIMIT_S)

    with open_cassette(path) as cassette:
        records = list(cassette)
    assert (process.returncode, complained) == (0, "")
    assert answer == b'{"key": "None"}'
    assert said.startswith("Recorded ") and str(path) in said
    assert isinstance(records[0], Session) and isinstance(records[-1], End)
    assert records[0].upstream == upstream
    assert [type(r) for r in records[1:4]] == [Opened, HttpPart, HttpPart]


@pytest.mark.slow
def test_a_key_for_the_upstream_is_sent_and_not_recorded(tmp_path: Path, upstream: str) -> None:
    path, key = tmp_path / "session.jsonl", "only-the-server-knows-42"

    with recording(
        *("--upstream", upstream, "-o", str(path), "--upstream-header", f"X-Api-Key: {key}")
    ) as (process, url):
        answer = urllib.request.urlopen(f"{url}/queue", timeout=LIMIT_S).read()
        process.terminate()
        process.communicate(timeout=LIMIT_S)

    assert key.encode() in answer
    assert key not in path.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["jsonl", "crec"])
def test_a_secret_that_was_met_late_is_taken_out(
    tmp_path: Path, upstream: str, suffix: str
) -> None:
    path, key = tmp_path / f"session.{suffix}", "q7Zr0-nobody-knew-1b9x"

    with recording("--upstream", upstream, "-o", str(path)) as (process, url):
        urllib.request.urlopen(f"{url}/view?filename={key}", timeout=LIMIT_S).read()
        asked = urllib.request.Request(f"{url}/queue", headers={"X-Api-Key": key})
        urllib.request.urlopen(asked, timeout=LIMIT_S).read()
        process.terminate()
        _, complained = process.communicate(timeout=LIMIT_S)

    with open_cassette(path) as cassette:
        heads = [record.head for record in cassette if isinstance(record, HttpPart)]
    assert (process.returncode, complained) == (0, "")
    assert not any(key.encode() in head for head in heads)
    assert sum(bool(head) for head in heads) == 4


def test_a_secret_that_cannot_be_taken_out_is_told_and_gives_status_1(
    tmp_path: Path,
    upstream: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, key = tmp_path / "session.jsonl", "q7Zr0-nobody-knew-1b9x"

    async def traffic(relay: Relay, *_: object) -> None:
        relay.recorder.keep(1, Side.CLIENT, [Part(0, f"GET /{key} HTTP/1.1\r\n\r\n".encode())])
        relay.recorder.keep(1, Side.CLIENT, [Part(1, f"A: b\r\nX-Api-Key: {key}\r\n".encode())])

    def refuses(old: str, new: str) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("comfyrec.cli.record._serve", traffic)
    monkeypatch.setattr(os, "replace", refuses)
    status = main(["record", "--upstream", upstream, "-o", str(path), "--listen", "127.0.0.1:0"])

    complained = capsys.readouterr().err
    assert status == SecretKept.status
    assert complained.count("\n") == 1
    assert "1 record still holds a secret" in complained and str(path) in complained


@pytest.mark.slow
def test_appending_goes_on_in_the_same_cassette(tmp_path: Path, upstream: str) -> None:
    path = tmp_path / "session.crec"

    for flag in ("--overwrite", "--append"):
        with recording("--upstream", upstream, "-o", str(path), flag) as (process, url):
            urllib.request.urlopen(f"{url}/queue", timeout=LIMIT_S).read()
            process.terminate()
            process.communicate(timeout=LIMIT_S)

    with open_cassette(path) as cassette:
        records = list(cassette)
    assert [r.conn for r in records if isinstance(r, Opened)] == [1, 2]
    assert [r.seq for r in records] == list(range(len(records)))
    assert not cassette.problems


def test_a_port_that_is_taken_costs_no_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "old.jsonl"
    path.write_text("precious")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status = main(
            ["record", "--upstream", "a", "-o", str(path), "--overwrite", "--listen", address]
        )

    assert status == 2
    assert path.read_text() == "precious"
    assert capsys.readouterr().err == (
        f"comfyrec record: --listen {address}: address already in use; choose another address, "
        f"or port 0 for a free one\n"
    )


def test_a_recorder_does_not_listen_to_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"

    status = main(
        ["record", "--upstream", address, "--listen", address, "-o", str(tmp_path / "a.crec")]
    )

    assert status == 2
    assert "is the address of the recorder itself" in capsys.readouterr().err


BAD = {
    "no address": (["--upstream", "ftp://a"], "--upstream 'ftp://a' is not an address"),
    "no port": (["--listen", "127.0.0.1"], "--listen '127.0.0.1' is not an address"),
    "no port number": (["--listen", "127.0.0.1:x"], "--listen '127.0.0.1:x' is not an address"),
    "an address of somebody else": (["--listen", "192.0.2.1:1"], "--listen 192.0.2.1:1: "),
    "output in no folder": (["-o", "nowhere/a.crec"], "nowhere/a.crec: "),
    "output is a folder": (["-o", "."], ".: is a folder"),
    "output exists": (["-o", __file__], f"{__file__} exists already"),
    "a header without a value": (["--upstream-header", "X"], "--upstream-header takes"),
    "a class that is not there": (["--redact", "all"], "--redact all: there is no such class"),
    "no certificates": (["--upstream", "https://a", "--ca", "nowhere"], "--ca nowhere: "),
}


@pytest.mark.parametrize("arguments, sentence", BAD.values(), ids=BAD)
def test_a_mistake_is_one_sentence_and_a_status(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)

    status = main(
        ["record", "--upstream", "a", "--listen", "127.0.0.1:0", "-o", "new.jsonl", *arguments]
    )

    said, complained = capsys.readouterr()
    assert (status, said) == (2, "")
    assert complained.startswith(f"comfyrec record: {sentence}")
    assert complained.count("\n") == 1
    assert not (tmp_path / "new.jsonl").exists()


@pytest.mark.slow
def test_a_closed_terminal_ends_a_recording_as_cleanly_as_ctrl_c(
    tmp_path: Path, upstream: str
) -> None:
    path = tmp_path / "a.crec"

    with recording("--upstream", upstream, "-o", str(path)) as (process, url):
        urllib.request.urlopen(f"{url}/queue", timeout=LIMIT_S).read()
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=LIMIT_S)

    with open_cassette(path) as cassette:
        records = list(cassette)
    assert process.returncode == 0
    assert isinstance(records[-1], End)


@pytest.mark.slow
def test_a_file_that_was_replaced_meanwhile_is_said_and_gives_status_3(
    tmp_path: Path, upstream: str
) -> None:
    path = tmp_path / "a.crec"

    with recording("--upstream", upstream, "-o", str(path)) as (process, url):
        urllib.request.urlopen(f"{url}/queue", timeout=LIMIT_S).read()
        path.unlink()
        path.write_bytes(b"of somebody else")
        process.terminate()
        _, complained = process.communicate(timeout=LIMIT_S)

    (beside,) = tmp_path.glob("a.*.crec")
    with open_cassette(beside) as cassette:
        assert isinstance(list(cassette)[-1], End)
    assert process.returncode == 3
    assert complained.count("\n") == 1
    assert "was replaced by another file" in complained and str(beside) in complained
    assert path.read_bytes() == b"of somebody else"


@pytest.mark.slow
def test_an_upstream_that_leads_back_to_the_recorder_is_refused_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    listen = ("--listen", f"0.0.0.0:{port}")

    with recording(
        "--upstream", f"http://127.0.0.1:{port}", "-o", str(tmp_path / "a.crec"), *listen
    ) as (process, _):
        with pytest.raises(urllib.error.HTTPError) as answered:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/queue", timeout=LIMIT_S)
        answered.value.close()
        process.terminate()
        _, complained = process.communicate(timeout=LIMIT_S)

    assert answered.value.code == 508
    assert "leads back to this recorder" in complained


@pytest.mark.slow
def test_records_lost_to_a_full_disk_give_status_3_and_are_not_called_whole(
    tmp_path: Path, upstream: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.jsonl"

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    with recording("--upstream", upstream, "-o", str(path), before=small) as (process, url):
        for _ in range(20):
            urllib.request.urlopen(f"{url}/queue", timeout=LIMIT_S).read()
        process.terminate()
        said, complained = process.communicate(timeout=LIMIT_S)

    assert process.returncode == 3
    assert "LOST" in said and "recording has stopped" in complained
    assert main(["info", str(path)]) == 3
    assert "whole" not in capsys.readouterr().out


@pytest.mark.slow
def test_it_knows_which_server_it_records(
    tmp_path: Path, upstream: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "session.jsonl"

    with recording("--upstream", upstream, "-o", str(path)) as (process, _):
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LIMIT_S)

    with open_cassette(path) as records:
        (session,) = Timeline.build(records).sessions
    about = {"comfyui_version": "0.33.0", "devices": ["cpu"], "flags": []}
    assert session.about == about
    assert main(["info", "--json", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["about"] == about


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are sent as POSIX does")
def test_an_upstream_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

    with recording("--upstream", url, "-o", str(tmp_path / "a.jsonl")) as (process, _):
        process.send_signal(signal.SIGINT)
        _, complained = process.communicate(timeout=LIMIT_S)

    assert process.returncode == 0
    assert complained == (
        f"comfyrec record: --upstream {url}: it refuses the connection; is the server up? "
        "(recording goes on)\n"
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are sent as POSIX does")
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_changes_nothing_about_the_end(
    tmp_path: Path, upstream: str, second: signal.Signals
) -> None:
    path = tmp_path / "session.jsonl"

    with recording("--upstream", upstream, "-o", str(path)) as (process, _):
        process.send_signal(signal.SIGINT)
        process.send_signal(second)
        said, complained = process.communicate(timeout=LIMIT_S)

    assert (process.returncode, complained) == (0, "")
    assert str(path) in said
