"""``comfyrec run``: what it asks, prints, saves, and the status it exits with."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from comfyrec.cassette.files import open_cassette
from comfyrec.cli import main
from comfyrec.client.result import EXIT_STATUS, Outcome
from comfyrec.timeline import Timeline
from fake_server.options import ServerOptions
from fake_server.scenario_source import scenario_source
from fake_server.scenarios import choose
from fake_server.server.thread import Handle, serve
from fake_server.simulated_server import SimulatedServer
from fake_server.source import Response
from fake_server.surfaces.registry import choose_surface
from tests.support.scripted_comfyui import (
    GRAPH,
    OUTPUTS,
    PNG,
    Server,
    answer,
    begin,
    event,
    finish,
    silent,
    status,
)
from tests.support.source_client import png
from tests.support.v2_client import PICTURE, v2_source

PROMPT = "00000000-0000-0000-0000-000000000001"


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    path = tmp_path / "workflow_api.json"
    path.write_text(json.dumps(GRAPH))
    return path


@pytest.fixture
def unused_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture(autouse=True)
def _no_address_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("COMFY", "AUTOFLOW")):
            monkeypatch.delenv(name)


def run(handle: Handle | str, flow: Path | str, *flags: str) -> int:
    url = handle if isinstance(handle, str) else handle.url
    return main(["run", str(flow), "--server", url, "--yes", *flags])


def report_in(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out.splitlines()[-1])["comfyrec"]
    return found


# --- list 2, point 15 -------------------------------------------------------------------------


def test_submit_and_wait_prints_the_id_and_exits_with_zero(
    flow: Path, capsys: pytest.CaptureFixture[str]
):
    with serve(Server(), speed=1.0) as handle:
        assert run(handle, flow) == 0

    assert capsys.readouterr().out.splitlines() == [PROMPT]


def test_without_waiting_the_id_is_printed_and_nothing_asked(
    flow: Path, capsys: pytest.CaptureFixture[str]
):
    server = Server(lambda server, prompt_id: [status(1)])
    with serve(server, speed=1.0) as handle:
        assert run(handle, flow, "--no-wait") == 0

    assert capsys.readouterr().out.splitlines() == [PROMPT]
    assert not server.asked("GET", f"/history/{PROMPT}")


def test_progress_is_on_while_waiting_and_off_by_a_flag(
    flow: Path, capsys: pytest.CaptureFixture[str]
):
    with serve(Server(), speed=1.0) as handle:
        run(handle, flow)
        shown = capsys.readouterr().err
        run(handle, flow, "--no-progress")
        hidden = capsys.readouterr().err

    assert re.search(r"^\[ 50%\] node 2$", shown, re.MULTILINE)
    assert "%]" not in hidden


def test_images_are_saved_by_pattern_and_offset(
    flow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "out"
    with serve(Server(), speed=1.0) as handle:
        assert run(handle, flow, "--save-images", str(folder)) == 0
        assert (
            run(
                handle,
                flow,
                *("--save-images", str(folder)),
                *("--filepattern", "shot_%04d.png", "--index-offset", "7"),
            )
            == 0
        )

    assert (folder / "frame.000.png").read_bytes() == PNG
    assert (folder / "shot_0007.png").read_bytes() == PNG
    assert str(folder / "shot_0007.png") in capsys.readouterr().out


def ends(outcome: str) -> Any:
    def script(server: Server, prompt_id: str) -> Iterator[Any]:
        if outcome == "cancelled":
            yield status(1)
            yield lambda server: server.pending.clear()
            yield status(0)
            return
        yield begin(prompt_id)
        yield event("execution_start", prompt_id=prompt_id, timestamp=1)
        if outcome == "lost":
            yield lambda server: server.running.clear()
        elif outcome != "timed-out":
            reason = {"exception_message": "no paint", "node_id": "1", "node_type": "X"}
            yield finish(prompt_id, kind=outcome, **reason)
            yield event("executing", node=None, prompt_id=prompt_id)

    return script


@pytest.mark.slow
@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.REJECTED])
def test_each_outcome_has_its_own_exit_status_and_report(
    outcome: Outcome, flow: Path, capsys: pytest.CaptureFixture[str]
):
    limits = ["--idle-limit", "0.5", "--grace", "0.2"]
    limits += ["--timeout", "1"] if outcome is Outcome.TIMED_OUT else []
    with serve(Server(ends(outcome)), speed=1.0) as handle:
        assert run(handle, flow, "--json", *limits) == EXIT_STATUS[outcome]

    captured = capsys.readouterr()
    found = report_in(captured.out)
    assert (found["outcome"], found["prompt_id"]) == (outcome, PROMPT)
    assert found["outputs"] == (OUTPUTS if outcome in ("success", "error", "interrupted") else {})
    assert "Traceback" not in captured.err


def test_exit_statuses_are_all_different():
    assert len(set(EXIT_STATUS.values())) == len(Outcome)
    assert not {2, 8, 10, 130} & set(EXIT_STATUS.values())


def test_a_rejected_prompt_says_why_and_has_its_own_exit_status(
    flow: Path, capsys: pytest.CaptureFixture[str]
):
    server = Server()
    refusal = {
        "error": {"type": "x", "message": "Prompt has no outputs", "details": ""},
        "node_errors": {},
    }
    server.routes["POST", "/prompt"] = lambda _: answer(refusal, 400)
    with serve(server, speed=1.0) as handle:
        assert run(handle, flow, "--json") == 7

    captured = capsys.readouterr()
    found = report_in(captured.out)
    assert (found["outcome"], found["prompt_id"]) == ("rejected", None)
    assert "Prompt has no outputs" in found["error"]
    assert captured.err.splitlines()[-1].startswith("comfyrec run: POST /prompt")
    assert "Prompt has no outputs" in captured.err


HINTS = (("X-Fake-Hint", "start it so"), ("X-Fake-Hint", "upload it first"))


def test_the_hints_of_a_refusal_are_said_after_it(flow: Path, capsys: pytest.CaptureFixture[str]):
    server = Server()
    refused = msgspec.structs.replace(answer({"error": {"message": "no"}}, 400), headers=HINTS)
    server.routes["POST", "/prompt"] = lambda _: refused
    with serve(server, speed=1.0) as handle:
        assert run(handle, flow) == 7

    assert capsys.readouterr().err.splitlines()[-1].endswith(" no; start it so; upload it first")


def test_what_runs_in_part_comes_with_its_hints(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "me.png"}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        "3": {"class_type": "CustomCombo", "inputs": {"choice": "Music"}},
        "4": {"class_type": "PreviewAny", "inputs": {"source": ["3", 0]}},
    }
    (tmp_path / "part.json").write_text(json.dumps(graph))
    with serve(SimulatedServer(ServerOptions())) as handle:
        assert run(handle, tmp_path / "part.json") == 0

    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning: " in line]
    assert [line.partition("warning: ")[2][:30] for line in warnings] == [
        "some outputs were rejected: no",
        "'me.png' is not in the input f",
    ]


# --- list 3 -----------------------------------------------------------------------------------

NO_WORKFLOWS = {
    "missing": None,
    "bad JSON": "{",
    "UI format": '{"nodes": [], "links": [], "version": 0.4}',
    "empty": "{}",
}


@pytest.mark.parametrize("text", NO_WORKFLOWS.values(), ids=NO_WORKFLOWS)
def test_a_file_that_is_no_workflow_stops_before_any_network_call(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path, server = tmp_path / "flow.json", Server()
    if text is not None:
        path.write_text(text)
    with serve(server, speed=1.0) as handle:
        assert run(handle, path) == 2

    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert str(path) in said[0]
    assert not server.requests
    assert not server.sockets


def test_a_summary_is_shown_and_a_no_sends_nothing(
    flow: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    server = Server()
    monkeypatch.setattr(sys, "stdin", io.StringIO("maybe\nnope\n"))
    with serve(server, speed=1.0) as handle:
        assert main(["run", str(flow), "--server", handle.url]) == 0

    said = capsys.readouterr().err
    assert "2 nodes (EmptyImage, SaveImage)" in said
    assert said.count("[y/n]") == 2
    assert not server.asked("POST", "/prompt")


@pytest.mark.parametrize("word", ["y", "YES", "yeah", "yep"])
def test_a_yes_runs_it(word: str, flow: Path, monkeypatch: pytest.MonkeyPatch):
    server = Server()
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{word}\n"))
    with serve(server, speed=1.0) as handle:
        assert main(["run", str(flow), "--server", handle.url]) == 0

    assert len(server.asked("POST", "/prompt")) == 1


def test_nobody_who_answers_is_a_wrong_use(
    flow: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with serve(Server(), speed=1.0) as handle:
        assert main(["run", str(flow), "--server", handle.url]) == 2

    assert "--yes" in capsys.readouterr().err


def test_connectivity_is_checked_before_the_question(
    flow: Path, unused_port: int, capsys: pytest.CaptureFixture[str]
):
    url = f"127.0.0.1:{unused_port}"

    assert main(["run", str(flow), "--server", url, "--connect-timeout", "0.2"]) == 8

    said = capsys.readouterr().err
    assert f"http://{url}" in said
    assert "[y/n]" not in said


def test_the_address_may_come_from_the_environment(flow: Path, monkeypatch: pytest.MonkeyPatch):
    server = Server()
    with serve(server, speed=1.0) as handle:
        monkeypatch.setenv("COMFYUI_BASE_URL", handle.url)
        assert main(["run", str(flow), "--yes"]) == 0

    assert len(server.asked("POST", "/prompt")) == 1


def interrupted(handle: Handle, flow: Path, *flags: str, signals: int = 1) -> tuple[int, str, str]:
    """Run it as a command of its own, and press Ctrl-C once it runs."""
    command = [sys.executable, "-m", "comfyrec", "run", str(flow), "--server", handle.url, "--yes"]
    with subprocess.Popen(
        [*command, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            heard = ""
            for line in process.stderr:
                heard += line
                if line.endswith("started\n") or (signals > 1 and "interrupting" in line):
                    process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    return process.returncode, out, heard


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="there is no SIGINT for one process elsewhere")
def test_ctrl_c_interrupts_only_our_prompt_and_says_that_it_took_effect(
    flow: Path,
):
    server = Server(ends("timed-out"))
    with serve(server, speed=1.0) as handle:
        code, _, said = interrupted(handle, flow)

    assert code == 130, said
    assert "the interrupt took effect: the prompt was stopped" in said
    [request] = server.asked("POST", "/interrupt")
    assert json.loads(request.body) == {"prompt_id": PROMPT}
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="there is no SIGINT for one process elsewhere")
def test_a_second_ctrl_c_leaves_at_once(flow: Path):
    server = Server(ends("timed-out"))
    server.routes["POST", "/interrupt"] = lambda _: Response()
    with serve(server, speed=1.0) as handle:
        code, _, said = interrupted(handle, flow, signals=2)

    assert code == 130, said
    assert "Traceback" not in said


@pytest.mark.slow
def test_silence_is_no_success_but_leads_to_the_history(
    flow: Path, capsys: pytest.CaptureFixture[str]
):
    with serve(Server(silent), speed=1.0) as handle:
        assert run(handle, flow, "--idle-limit", "0.5") == 0

    assert "found in the history" in capsys.readouterr().err


# --- output -----------------------------------------------------------------------------------


def test_json_is_one_event_per_line_and_the_report_last(
    flow: Path, capsys: pytest.CaptureFixture[str]
):
    with serve(Server(), speed=1.0) as handle:
        assert run(handle, flow, "--json") == 0

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["type"] == "submitted"
    assert lines[-2]["type"] == "completed"
    assert lines[-1] == {
        "comfyrec": {"outcome": "success", "prompt_id": PROMPT, "outputs": OUTPUTS}
    }


def test_json_without_progress_is_the_report_alone(flow: Path, capsys: pytest.CaptureFixture[str]):
    with serve(Server(), speed=1.0) as handle:
        run(handle, flow, "--json", "--no-progress")

    [line] = capsys.readouterr().out.splitlines()
    assert report_in(line)["outcome"] == "success"


def test_no_server_is_reported_as_lost(
    flow: Path, unused_port: int, capsys: pytest.CaptureFixture[str]
):
    assert run(f"127.0.0.1:{unused_port}", flow, "--json", "--connect-timeout", "0.2") == 8

    assert report_in(capsys.readouterr().out)["outcome"] == "lost"


def test_a_format_makes_the_lines(flow: Path, capsys: pytest.CaptureFixture[str]):
    with serve(Server(), speed=1.0) as handle:
        run(handle, flow, "--format", "{type} {nodes_progress:.0%}")

    assert "completed 100%" in capsys.readouterr().out.splitlines()


def test_a_workflow_may_come_from_standard_input(monkeypatch: pytest.MonkeyPatch):
    class Stdin:
        buffer = io.BytesIO(json.dumps({"prompt": GRAPH}).encode())

    server = Server()
    monkeypatch.setattr(sys, "stdin", Stdin())
    with serve(server, speed=1.0) as handle:
        assert run(handle, "-") == 0

    assert json.loads(server.asked("POST", "/prompt")[0].body)["prompt"] == GRAPH


def test_texts_among_the_outputs_are_printed(flow: Path, capsys: pytest.CaptureFixture[str]):
    server = Server(
        lambda server, p: [finish(p, outputs={"2": {"text": ["a\x1b[2Jb"]}}), status(0)]
    )
    with serve(server, speed=1.0) as handle:
        run(handle, flow, "--idle-limit", "0.5")

    assert "node 2 text: a\\x1b[2Jb" in capsys.readouterr().out


def test_the_run_is_recorded_on_the_way(
    flow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    cassette = tmp_path / "run.jsonl"
    with serve(Server(), speed=1.0) as handle:
        assert run(handle, flow, "--record", str(cassette), "--header", "X-Key: s3cret-key") == 0

    text = cassette.read_text()
    assert "execution_success" in text
    assert "s3cret-key" not in text
    assert f"\non {handle.url}\n" in capsys.readouterr().err


def test_a_run_is_recorded_with_stand_ins(flow: Path, tmp_path: Path):
    cassette = tmp_path / "run.jsonl"
    with serve(Server(), speed=1.0) as handle:
        flags = ["--record", str(cassette), "--redact", "identity,content"]
        assert run(handle, flow, *flags) == 0

    with open_cassette(cassette) as reader:
        assert reader.header.redacted == ("secret", "identity", "content")
    assert "x_00001_.png" not in cassette.read_text()


# --- wrong use --------------------------------------------------------------------------------

WRONG = {
    "no-wait and saving": ["--no-wait", "--save-images", "x"],
    "no-wait and a limit": ["--no-wait", "--timeout", "3"],
    "continuous and no-wait": ["--continuous", "--no-wait"],
    "continuous and saving": ["--continuous", "--save-images", "x"],
    "json and a format": ["--json", "--format", "{type}"],
    "no progress and a format": ["--no-progress", "--format", "{type}"],
    "a pattern alone": ["--filepattern", "###.png"],
    "an offset alone": ["--index-offset", "0"],
    "overwriting alone": ["--overwrite"],
    "listening alone": ["--listen", "127.0.0.1:0"],
    "compat alone": ["--compat"],
    "redaction alone": ["--redact", "identity"],
    "an unknown class of redaction": ["--record", "new.crec", "--redact", "idenity"],
    "a pattern without a counter": ["--save-images", "x", "--filepattern", "a.png"],
    "a pattern with a folder": ["--save-images", "x", "--filepattern", "../#.png"],
    "a limit that is none": ["--timeout", "soon"],
    "a limit of nothing": ["--idle-limit", "0"],
    "a header without a colon": ["--header", "X"],
    "a CA file that is none": ["--ca-file", "nowhere.pem"],
    "no address": ["--server", "ftp://x"],
    "a listen address that is none": ["--continuous", "--listen", "x"],
}


@pytest.mark.parametrize("flags", WRONG.values(), ids=WRONG)
def test_a_wrong_combination_is_refused_before_anything_is_sent(
    flags: list[str],
    flow: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    server = Server()
    with serve(server, speed=1.0) as handle:
        assert run(handle, flow, *flags) == 2

    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1, said
    assert said[0].startswith("comfyrec run: ")
    assert not server.asked("POST", "/prompt")
    assert not (tmp_path / "x").exists()


def test_a_folder_that_cannot_be_made_is_found_before_anything_is_sent(
    flow: Path, capsys: pytest.CaptureFixture[str]
):
    server = Server()
    with serve(server, speed=1.0) as handle:
        assert run(handle, flow, "--save-images", str(flow / "sub")) == 10

    assert str(flow / "sub") in capsys.readouterr().err
    assert not server.requests


@pytest.mark.parametrize("there", ["frame.000.png", "frame.003.webp"])
def test_files_of_another_run_are_not_mixed_with_new_ones(
    there: str, flow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / there).write_bytes(b"mine")
    (tmp_path / "notes.txt").write_bytes(b"mine")
    server, free = Server(), int(there[6:9]) + 1
    with serve(server, speed=1.0) as handle:
        assert run(handle, flow, "--save-images", str(tmp_path)) == 10
        assert not server.requests
        assert f"--index-offset {free} to go on behind it" in capsys.readouterr().err
        again = ("--save-images", str(tmp_path), "--index-offset", str(free))
        assert run(handle, flow, *again) == 0

    assert (tmp_path / f"frame.{free:03}.png").read_bytes() == PNG


def test_a_file_in_the_way_is_found_before_anything_is_sent_and_may_be_replaced(
    flow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "frame.000.png").write_bytes(b"mine")
    server = Server()
    with serve(server, speed=1.0) as handle:
        assert run(handle, flow, "--save-images", str(tmp_path)) == 10
        assert not server.requests
        assert "--overwrite" in capsys.readouterr().err
        assert run(handle, flow, "--save-images", str(tmp_path), "--overwrite") == 0

    assert (tmp_path / "frame.000.png").read_bytes() == PNG


def test_an_output_that_is_not_there_is_an_error_of_its_own_and_the_report_is_still_printed(
    flow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    server = Server()
    server.files.clear()
    with serve(server, speed=1.0) as handle:
        assert run(handle, flow, "--json", "--save-images", str(tmp_path / "o")) == 10

    captured = capsys.readouterr()
    assert report_in(captured.out)["outcome"] == "success"
    assert "x_00001_.png" in report_in(captured.out)["error"]
    assert "x_00001_.png" in captured.err


ENDS_EARLY = {
    "no workflow": (["nofile.json"], 2, "cannot be read"),
    "no folder for the outputs": (["--save-images", "flow.json/out"], 10, "cannot be created"),
    "a cassette that is there": (["--record", "flow.json"], 2, "exists already"),
    "no server behind the recorder": (
        ["--record", "new.crec", "--server", "127.0.0.1:1", "--connect-timeout", "0.1"],
        8,
        "http://127.0.0.1:1",
    ),
}


@pytest.mark.parametrize("flags, status, words", ENDS_EARLY.values(), ids=ENDS_EARLY)
def test_there_is_a_report_however_early_it_ends(
    flags: list[str],
    status: int,
    words: str,
    flow: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(flow.parent)
    flow.rename("flow.json")
    file = [] if flags[0].endswith(".json") else ["flow.json"]
    with serve(Server(), speed=1.0) as handle:
        command = ["run", *file, "--json", "--yes", "--server", handle.url, *flags]
        assert main(command) == status

    out, said = capsys.readouterr()
    [line] = out.splitlines()
    assert words in report_in(line)["error"]
    assert report_in(line)["prompt_id"] is None
    assert words in said


def test_a_run_that_is_not_wanted_is_reported_as_cancelled(
    flow: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    with serve(Server(), speed=1.0) as handle:
        assert main(["run", str(flow), "--json", "--server", handle.url]) == 0

    assert report_in(capsys.readouterr().out)["outcome"] == "cancelled"


# --- continuous -------------------------------------------------------------------------------


@pytest.mark.slow
def test_continuous_serves_the_workflow_until_it_is_stopped(flow: Path):
    import urllib.request

    with serve(Server(), speed=1.0) as handle:
        command = [sys.executable, "-m", "comfyrec", "run", str(flow), "--server", handle.url]
        with subprocess.Popen(
            [*command, "--continuous", "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                url = process.stdout.readline().split()[-1]
                with urllib.request.urlopen(f"{url}/queue", timeout=10) as answered:
                    assert answered.status == 202
                process.send_signal(signal.SIGTERM)
                _, said = process.communicate(timeout=20)
            finally:
                process.kill()

    assert process.returncode == 0, said
    assert "Traceback" not in said


def test_images_that_lie_in_the_named_folder_are_uploaded_and_their_new_names_used(
    tmp_path: Path,
):
    load = {"class_type": "LoadImage", "inputs": {"image": "mine.png"}}
    other = {"class_type": "LoadImage", "inputs": {"image": "on the server.png"}}
    path = tmp_path / "flow.json"
    path.write_text(json.dumps({**GRAPH, "5": load, "6": other}))
    (tmp_path / "mine.png").write_bytes(PNG)
    server = Server()
    server.routes["POST", "/upload/image"] = lambda _: answer({"name": "mine (1).png"})
    with serve(server, speed=1.0) as handle:
        assert run(handle, path, "--upload-images") == 0

    [upload] = server.asked("POST", "/upload/image")
    assert PNG in upload.body
    graph = json.loads(server.asked("POST", "/prompt")[0].body)["prompt"]
    assert graph["5"]["inputs"]["image"] == "mine (1).png"
    assert graph["6"]["inputs"]["image"] == "on the server.png"


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error(flow: Path):
    server = Server(ends("timed-out"))
    server.script = lambda server, p: [
        begin(p), *(event("progress", prompt_id=p, node="1", value=n, max=9) for n in range(2000)),
        finish(p), event("executing", prompt_id=p, node=None),
    ]  # fmt: skip
    with serve(server, speed=1.0) as handle:
        command = [sys.executable, "-m", "comfyrec", "run", str(flow), "--server", handle.url]
        with subprocess.Popen(
            [*command, "--yes", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            said = process.stderr.read()

    assert "Traceback" not in said


V2_FLOW = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "me.png"}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
}


def test_a_workflow_runs_on_a_server_of_comfy_api_v2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow, out = tmp_path / "flow.json", tmp_path / "out"
    flow.write_text(json.dumps(V2_FLOW))
    (tmp_path / "me.png").write_bytes(png())

    with serve(v2_source(token="sesame"), speed=1.0) as handle:
        flags = ["--surface", "v2", "--upload-images", "--save-images", str(out), "--json"]
        refused = run(handle, flow, *flags)
        told = capsys.readouterr()
        done = run(handle, flow, *flags, "--header", "Authorization: Bearer sesame")

    assert refused == 7
    assert "401" in told.err
    assert done == 0
    report = report_in(capsys.readouterr().out)
    assert report["outcome"] == "success"
    assert report["outputs"]["9"]["images"][0]["filename"] == "x_00001_.png"
    assert (out / "frame.000.png").read_bytes().startswith(b"\x89PNG")


FOUND = {
    "Comfy API v2": (["v2"], [], "speaks Comfy API v2, by which the workflow is run"),
    "a deployment": (["v2:prefix=/deployment/d"], [], "speaks Comfy API v2"),
    "Comfy Cloud": (["cloud:key=sesame"], ["X-API-Key: sesame"], "speaks as Comfy Cloud does"),
    "ComfyUI": (["native"], [], ""),
    "ComfyUI that speaks v2 as well": (["native", "v2"], [], ""),
}


@pytest.mark.parametrize("surfaces, headers, line", FOUND.values(), ids=FOUND)
def test_the_api_is_found_out_and_said(
    surfaces: list[str],
    headers: list[str],
    line: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flow = tmp_path / "flow.json"
    flow.write_text(json.dumps(PICTURE))
    options = ServerOptions(surfaces=tuple(map(choose_surface, surfaces)))
    path = "/deployment/d" if "prefix" in surfaces[0] else ""

    with serve(scenario_source([choose("success")], options), speed=1.0) as handle:
        given = [flag for one in headers for flag in ("--header", one)]
        done = run(handle.url.rstrip("/") + path, flow, "--json", *given)

    told = capsys.readouterr()
    assert done == 0
    assert report_in(told.out)["outcome"] == "success"
    said = [one for one in told.err.splitlines() if "speaks" in one]
    assert len(said) == bool(line)
    assert line in "".join(said)


def test_a_surface_that_is_said_is_not_looked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = tmp_path / "flow.json"
    flow.write_text(json.dumps(PICTURE))

    with serve(v2_source(), speed=1.0) as handle:
        done = run(handle, flow, "--surface", "native")

    assert done == 7
    assert "speaks" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["X-API-Key: sesame", "Authorization: Bearer sesame"])
def test_comfy_cloud_that_is_said_gets_the_key_with_the_first_socket(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = tmp_path / "flow.json"
    flow.write_text(json.dumps(PICTURE))
    options = ServerOptions(surfaces=(choose_surface("cloud:key=sesame"),))

    with serve(scenario_source([choose("success")], options), speed=1.0) as handle:
        flags = ["--surface", "cloud", "--header", name, "--record", str(tmp_path / "run.jsonl")]
        done = run(handle, flow, *flags)
    with open_cassette(tmp_path / "run.jsonl") as records:
        asked = [one.path for one in Timeline.build(records).exchanges]

    assert done == 0
    assert "speaks" not in capsys.readouterr().err
    assert asked.count("/ws") == 1


def test_comfy_cloud_that_is_said_needs_a_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = tmp_path / "flow.json"
    flow.write_text(json.dumps(PICTURE))

    assert run("http://127.0.0.1:1", flow, "--surface", "cloud") == 2
    assert "--header 'X-API-Key: KEY'" in capsys.readouterr().err


def test_a_page_workflow_is_nothing_for_v2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = tmp_path / "page.json"
    node = {"id": 1, "type": "PreviewAny", "inputs": [], "outputs": [], "widgets_values": ["a"]}
    flow.write_text(json.dumps({"nodes": [node], "links": [], "last_node_id": 1}))

    assert run("http://127.0.0.1:1", flow, "--surface", "v2") == 2
    assert "export it in API format" in capsys.readouterr().err
