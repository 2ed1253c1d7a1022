"""``comfyrec check`` as a person types it."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from comfyrec.check.process_tree import children_of
from comfyrec.check.runner import filled_in
from comfyrec.cli import main
from fake_server.scenarios import Directions, Scenario, register, unregister
from fake_server.scenarios.kit import drop, event
from fake_server.server.thread import loop_thread
from tests.support.paths import ROOT

pytestmark = pytest.mark.long

BOUND_S = 30.0
RIGHT = [
    sys.executable,
    "-m",
    "tests.comfyrec.check.specimens.right",
    "{url}",
    "{workflow}",
    "{out}",
]
WRONG = [
    sys.executable,
    "-m",
    "tests.comfyrec.check.specimens.trusts_the_null",
    "{url}",
    "{workflow}",
]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_a_client_that_runs_its_own_workflow_passes_with_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = tmp_path / "flow.json"
    flow.write_text(
        '{"1": {"class_type": "MyPicture", "inputs": {"ckpt_name": "mine.safetensors"}},'
        ' "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}}}'
    )
    own = [str(flow) if part == "{workflow}" else part for part in RIGHT]

    status = main(["check", "--scenarios", "success", "--json", "--learn", str(flow), "--", *own])

    said = capsys.readouterr()
    assert (status, json.loads(said.out)["summary"]["scenarios"]) == (0, 1)
    assert said.err.startswith("comfyrec check: learned 1 new class, 1 model file")


def test_a_correct_client_passes_and_the_status_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = "success,null-after-error,ws-silent,view-truncated,base-path"

    status = main(["check", "--jobs", "2", "--scenarios", chosen, "--json", "--", *RIGHT])

    found = json.loads(capsys.readouterr().out)
    assert status == 0
    assert {result["status"] for result in found["results"]} == {"pass"}
    assert found["summary"]["scenarios"] == 5


def test_a_client_that_goes_by_the_id_it_is_given_passes() -> None:
    chosen = "success,reconnect-mid-run,sid-changes,shared-client-id"
    client = [*RIGHT[:2], "tests.comfyrec.check.specimens.given_its_id", *RIGHT[3:5]]

    assert main(["check", "--scenarios", chosen, "--", *client]) == 0


def test_a_wrong_client_fails_and_the_report_says_why(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    junit, page = tmp_path / "j.xml", tmp_path / "p.html"
    files = ["--junit", str(junit), "--html", str(page)]

    status = main(["check", "--scenarios", "A05,success", *files, "--", *WRONG])

    out, log = capsys.readouterr()
    assert status == 1
    assert "(untrue)" in out
    table = out.partition("Fix first")[0]
    assert max(map(len, table.splitlines())) <= 80
    cause = "It takes what it hears for a success, and never asks the history"
    assert f"Fix first:\n1. {cause}: it reported success; the prompt failed.\n" in out
    assert "To reproduce: comfyrec check --scenarios null-after-error -- " in out
    assert "fail          null-after-error: K3: reported success; the prompt failed" in log
    suites = ElementTree.parse(junit).getroot()
    assert (suites.get("tests"), suites.get("failures")) == ("2", "1")
    text = page.read_text(encoding="utf-8")
    assert "open-webui" in text
    assert "://" not in text.replace("https://github.com", "").replace("http://127", "")


def test_a_command_that_hangs_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    sleeper = [sys.executable, "-c", "import signal; signal.pause()"]

    status = main(["check", "--scenarios", "success", "--timeout", "0.5", "--json", "--", *sleeper])

    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert status == 1
    assert (result["ended"], result["status"]) == ("hung", "fail")


def test_what_a_client_prints_cannot_break_the_reports(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code = r"print('\x1b]0;x\x07 </script> ]]> \x00 & <b>'); raise SystemExit(1)"
    junit, page = tmp_path / "j.xml", tmp_path / "p.html"
    files = ["--junit", str(junit), "--html", str(page)]

    main(["check", "--scenarios", "success", *files, "--", sys.executable, "-c", code])

    ElementTree.parse(junit)
    text = page.read_text(encoding="utf-8")
    assert "&amp; &lt;b&gt;" in text
    assert "& <b>" not in text
    assert "\x1b" not in capsys.readouterr().out


def test_the_addresses_are_in_the_environment_and_keys_are_not_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = (
        "import os, sys, urllib.request;"
        "url = os.environ['COMFYUI_URL'];"
        "assert url == sys.argv[1] == os.environ['COMFY_BASE_URL'];"
        "assert url.endswith(':' + os.environ['COMFYUI_PORT']) and sys.argv[2] in url;"
        "urllib.request.urlopen(url + '/queue').read();"
        "print(sys.argv[3])"
    )
    argv = [sys.executable, "-c", code, "{url}", "{host}:{port}", "{token}"]

    main(["check", "--scenarios", "partner-unauthorized", "--json", "--", *argv])

    (result,) = json.loads(capsys.readouterr().out)["results"]
    said = {verdict["invariant"]: verdict["why"] for verdict in result["verdicts"]}
    assert result["outcome"] == "success"
    assert said["K9"] == "printed a secret"


NEVER_CAME = {
    "its command has no {url}": (
        [],
        "The client never contacted the server, and its command has no {url}; it printed: lost",
    ),
    "though it was told the address": (
        ["{url}"],
        "The client never contacted the server at {url}; it printed: lost",
    ),
}


@pytest.mark.parametrize("places, sentence", NEVER_CAME.values(), ids=NEVER_CAME)
def test_a_client_that_never_comes_is_reported_first_and_alone(
    places: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "import sys; print('lost', file=sys.stderr); sys.exit(1)"
    client = [sys.executable, "-c", code, *places]

    status = main(["check", "--scenarios", "A05,success,oom", "--", *client])

    out, log = capsys.readouterr()
    assert status == 1
    assert f"Fix first:\n1. {sentence}.\n" in out
    assert "2." not in out
    assert "3 scenarios: 0 passed, 1 failed" in out
    assert "2 not run" in out
    assert log.count("\n") == 1


CRASHES = """
import sys, urllib.request
urllib.request.urlopen(sys.argv[1] + "/queue").read()
raise KeyError("no")
"""


def test_a_client_that_fails_where_nothing_goes_wrong_is_run_no_further(
    capsys: pytest.CaptureFixture[str],
) -> None:
    client = [sys.executable, "-c", CRASHES, "{url}"]

    main(["check", "--scenarios", "A05,success", "--json", "--", *client])

    found = json.loads(capsys.readouterr().out)
    cause = "The client fails where nothing goes wrong: it crashes: KeyError: 'no' (<string>:4)"
    assert [fix["cause"] for fix in found["fixes"]] == [cause]
    assert [result["name"] for result in found["results"]] == ["success"]
    assert found["summary"]["not_run"] == 1


def test_everything_is_run_with_keep_going(capsys: pytest.CaptureFixture[str]) -> None:
    client = [sys.executable, "-c", CRASHES, "{url}"]

    main(["check", "--scenarios", "A05,success", "--keep-going", "--json", "--", *client])

    found = json.loads(capsys.readouterr().out)
    (fix,) = found["fixes"]
    assert fix["cause"] == "It crashes: KeyError: 'no' (<string>:4)"
    assert sorted(fix["scenarios"]) == ["null-after-error", "success"]
    assert (len(found["results"]), found["summary"]["not_run"]) == (2, 0)


def test_help_fits_a_terminal_of_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    assert main(["check", "--help"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 80] == []


NUISANCES = {
    "never ends": "while True: signal.pause()",
    "ignores SIGTERM": "signal.signal(15, signal.SIG_IGN)\nwhile True: signal.pause()",
    "prints garbage for ever": "while True: os.write(1, os.urandom(65536))",
    "prints an outcome without end": """
os.write(1, b'{"comfyrec": {')
while True: os.write(1, b'x' * 65536)
""",
    "leaves a daemon": "os.fork() or (os.setsid(), os.fork() or signal.pause())",
    "is killed": "os.kill(os.getpid(), 9)",
    "prints what is no outcome": 'print(\'{"comfyrec": {"outcome": [1]}}\')',
    "saves a folder of links": "os.symlink('/dev/zero', sys.argv[1] + '/endless'); sys.exit(1)",
}


@pytest.mark.parametrize("code", NUISANCES.values(), ids=NUISANCES)
def test_whatever_a_command_does_there_is_a_result_and_nothing_is_left(
    code: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comfyrec.check.command.GRACE_S", 0.2)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = left_over()
    command = [sys.executable, "-c", f"import os, signal, sys\n{code}", "{out}"]

    status = main(["check", "--scenarios", "success", "--timeout", "0.6", "--json", "--", *command])

    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert status == 1
    assert result["status"] == "fail"
    assert len(result["tail"]) < 10_000
    assert left_over() == before
    assert list(tmp_path.iterdir()) == []


def left_over() -> tuple[list[int], int, set[str]]:
    """Children, descriptors and threads of this process; the loop thread and its own stay."""
    loop_thread().call(lambda: None)
    threads = {thread.name for thread in threading.enumerate()}
    return children_of(os.getpid()), len(list(Path("/dev/fd").iterdir())), threads


def test_a_port_that_never_opens_is_said_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def no_port(*arguments: Any, **options: Any) -> Any:
        tried.append(1)
        if len(tried) == 1:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return open_one(*arguments, **options)

    open_one = socket.create_server
    monkeypatch.setattr(socket, "create_server", no_port)

    status = main(["check", "--scenarios", "success,null-after-error", "--json", "--", *RIGHT])

    first, second = json.loads(capsys.readouterr().out)["results"]
    assert status == 1
    assert (first["status"], first["ended"], second["status"]) == ("error", "not run", "pass")
    assert first["notes"] == [
        "no port could be opened for its server: cannot listen on 127.0.0.1:0: Too many open files"
    ]


@pytest.mark.parametrize("attempts, patient", [(1, False), (4, True)])
def test_a_client_may_give_up_on_a_server_that_never_starts_but_not_at_once(
    attempts: int, patient: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    code = f"""
import sys, urllib.request
for _ in range({attempts}):
    try: urllib.request.urlopen(sys.argv[1] + '/prompt')
    except OSError as error: print(error)
print('{{"comfyrec": {{"outcome": "lost"}}}}')
"""
    never = ["--speed", "1", "--scenarios", "slow-start:refuse_s=3600"]

    status = main(["check", *never, "--json", "--", sys.executable, "-c", code, "{url}"])

    (result,) = json.loads(capsys.readouterr().out)["results"]
    failed = [verdict["why"] for verdict in result["verdicts"] if verdict["passed"] is False]
    assert (status, result["reported"]) == (0 if patient else 1, "the truth")
    assert failed == ([] if patient else ["gave up after 1 attempt on a starting server"])


def test_an_operator_that_matches_nothing_is_an_error_of_the_scenario(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    idle = Scenario(
        name="idle",
        category="drift",
        summary="Nothing.",
        correct="does",
        direct=lambda settings: Directions(
            operators=(drop(event("no_such_event"), "what never is"),)
        ),
    )
    junit = tmp_path / "j.xml"
    register(idle)
    try:
        status = main(["check", "--scenarios", "idle", "--junit", str(junit), "--", *RIGHT])
    finally:
        unregister("idle")

    out = capsys.readouterr().out
    sentence = "the operator 'drop what never is' matched nothing that was sent or asked"
    assert status == 1
    assert "1 could not be played" in out
    assert ElementTree.parse(junit).find(".//error").get("message") == sentence  # type: ignore[union-attr]  # it is there


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by /proc")
@pytest.mark.parametrize(
    "specimen, flags, passes",
    [("right", [], True), ("hoards", [], False), ("hoards", ["--memory", "off"], True)],
)
def test_a_client_that_keeps_every_message_fails_k8(
    specimen: str, flags: list[str], passes: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        sys.executable,
        "-m",
        f"tests.comfyrec.check.specimens.{specimen}",
        "{url}",
        "{workflow}",
    ]

    status = main(["check", "--scenarios", "event-flood", *flags, "--json", "--", *command])

    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert (status == 0) is passes
    assert (result["grew_bytes"] < 80 * 1024 * 1024) is (specimen == "right")


def test_an_interrupted_check_tells_what_it_has_found(tmp_path: Path) -> None:
    # It passes the first scenario, and waits for ever in the second.
    code = f"""
import signal, runpy, sys
from pathlib import Path
mark = Path({str(tmp_path / "mark")!r})
if mark.exists(): signal.pause()
mark.touch()
runpy.run_module("tests.comfyrec.check.specimens.right", run_name="__main__")
"""
    junit, badge = tmp_path / "j.xml", tmp_path / "b.svg"
    chosen = ["--scenarios", "success,all-cached", "--junit", str(junit), "--badge", str(badge)]
    command = [sys.executable, "-c", code, "{url}", "{workflow}"]
    checking = subprocess.Popen(
        [sys.executable, "-m", "comfyrec", "check", *chosen, "--", *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert checking.stderr is not None
    assert checking.stderr.readline() == "pass          success\n"

    checking.send_signal(signal.SIGINT)
    out, said = checking.communicate(timeout=BOUND_S)

    assert checking.returncode == 130
    assert "2 scenarios: 1 passed" in out
    assert "it was interrupted: 1 scenario of 2 were not run" in said
    assert 'tests="1"' in junit.read_text()
    assert "1 of 1 passed" in badge.read_text()


def test_a_table_for_a_readme_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--scenarios", "success", "--table", "--", *RIGHT]) == 0

    assert capsys.readouterr().out.splitlines()[2:] == [
        "| normal | 1 | 0 | 0 |  |",
        "| all | 1 | 0 | 0 |  |",
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_check_ends_its_commands(number: int, tmp_path: Path) -> None:
    fifo = tmp_path / "pid"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    code = """
import os, signal, subprocess, sys
sleep = [sys.executable, "-c", "import signal; signal.pause()"]
child = subprocess.Popen(sleep, start_new_session=True, env={})
open(sys.argv[1], "w").write(f"{os.getpid()} {child.pid}")
signal.pause()
"""
    command = [sys.executable, "-c", code, str(fifo)]
    checking = subprocess.Popen(
        [sys.executable, "-m", "comfyrec", "check", "--scenarios", "success", "--", *command],
        stderr=subprocess.DEVNULL,
    )

    select.select([reader], [], [], BOUND_S)
    pids = [int(word) for word in os.read(reader, 40).split()]
    checking.send_signal(number)
    status = checking.wait(BOUND_S)
    os.close(reader)

    assert status == 130
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_only_known_places_are_filled_in() -> None:
    assert filled_in("{url}/x{y}{{url}}", {"url": "U"}) == "U/x{y}{U}"


MISUSES = {
    "no command": (["check"], "there is no command to check; write it after '--'"),
    "no such command": (["check", "--", "/no/such"], "the command '/no/such' does not exist"),
    "no such scenario": (
        ["check", "--scenarios", "sucess", "--", "true"],
        "there is no scenario 'sucess'; did you mean 'success'?",
    ),
    "a parameter of the wrong type": (
        ["check", "--scenarios", "interrupt:delay_ms=soon", "--", "true"],
        "scenario 'interrupt': parameter 'delay_ms' is 'soon': expected a whole number",
    ),
    "a parameter out of range": (
        ["check", "--scenarios", "A16,fragmented:parts=1", "--", "true"],
        "scenario 'fragmented': parameter 'parts' is 1: expected a whole number >= 2",
    ),
    "a folder for a command": (["check", "--", "/"], "the command '/' does not exist or cannot be"),
    "no such folder": (
        ["check", "--html", "/no/such/place.html", "--", "true"],
        "/no/such/place.html cannot be written (No such file or directory)",
    ),
    "an unknown option": (["check", "--", "-x"], "unknown option '-x'; "),
}


@pytest.mark.parametrize("argv, sentence", MISUSES.values(), ids=MISUSES)
def test_wrong_use_is_one_sentence_and_status_2(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(argv)

    said = capsys.readouterr().err.strip()
    assert status == 2
    assert said.startswith(f"comfyrec {argv[0]}: {sentence}")
    assert "\n" not in said


@pytest.mark.parametrize(
    "flags",
    [["--jobs", "0"], ["--timeout", "x"], ["--speed", "-1"], ["--memory", "-3"]],
)
def test_a_wrong_value_is_status_2(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *flags, "--", "true"]) == 2
    assert flags[1] in capsys.readouterr().err


def test_it_runs_as_a_module() -> None:
    argv = [sys.executable, "-m", "comfyrec", "check", "--scenarios", "success", "--", *RIGHT]

    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, timeout=60, check=False)

    assert ended.returncode == 0, ended.stderr
    assert b"1 scenario: 1 passed" in ended.stdout


def test_a_client_of_another_surface_is_put_through_what_shows_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    client = [sys.executable, "-m", "tests.comfyrec.check.specimens.v2", "{url}", "{workflow}"]
    argv = ["check", "--surface", "v2", "--scenarios", "success,v2-sse-501,v2-redirect-signed"]

    assert main([*argv, "--", *client, "{token}"]) == 0
    assert "3 scenarios: 3 passed" in capsys.readouterr().out
    assert main([*argv, "--", *client]) == 1  # it lacks the key that one of them asks for
    assert "comfyrec check --surface v2 --scenarios v2-redirect-signed" in capsys.readouterr().out


def test_a_surface_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--surface", "v3", "--", *RIGHT]) == 2
    assert "there is no surface 'v3'" in capsys.readouterr().err
