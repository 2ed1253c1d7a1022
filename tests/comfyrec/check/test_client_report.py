"""What a command printed and how it ended, read as a report."""

from __future__ import annotations

import math

import pytest

from comfyrec.check import report_of
from comfyrec.check.client_report import Ran

OUTCOMES = {
    "a line": (Ran(status=0, stdout='x\n{"comfyrec": {"outcome": "error"}}\n'), ("error",)),
    "the line wins over the status": (
        Ran(status=7, stdout='  {"comfyrec": {"outcome": "success"}}'),
        ("success",),
    ),
    "two lines": (
        Ran(status=0, stdout=2 * '{"comfyrec": {"outcome": "lost"}}\n'),
        ("lost", "lost"),
    ),
    "status 0": (Ran(status=0), ("success",)),
    "status 130": (Ran(status=130), ("interrupted",)),
    "another status": (Ran(status=4), ("failed",)),
    "stopped": (Ran(status=None), ()),
    "a signal": (Ran(status=None, signal="SIGSEGV"), ()),
    "a broken line": (Ran(status=0, stdout='{"comfyrec": {"outc'), ("success",)),
    "a line of another kind": (Ran(status=0, stdout='{"comfyrec": 3}'), ("success",)),
    "no known outcome": (Ran(status=0, stdout='{"comfyrec": {"outcome": "done"}}'), ()),
}  # fmt: skip


@pytest.mark.parametrize("ran, outcomes", OUTCOMES.values(), ids=OUTCOMES)
def test_the_outcome_comes_from_a_line_or_else_from_the_status(
    ran: Ran, outcomes: tuple[str, ...]
) -> None:
    assert report_of(ran).outcomes == outcomes


def test_a_report_may_hold_what_comfyui_writes_and_json_has_not() -> None:
    report = report_of(
        Ran(
            status=1,
            stdout='{"comfyrec": {"outcome": "success", "outputs": {"9": {"max": [Infinity]}}}}',
        )
    )

    assert report.outcomes == ("success",)
    assert report.outputs == {"9": {"max": [math.inf]}}


def test_a_stopped_command_never_reported() -> None:
    assert report_of(Ran(status=None, ended_s=3.0)).at_s is None
    assert report_of(Ran(status=0, ended_s=3.0)).at_s == 3.0


CRASHES = {
    "a signal": (Ran(status=None, signal="SIGSEGV"), "killed by SIGSEGV"),
    "a traceback": (
        Ran(status=1, stderr="Traceback (most recent call last):\n  ...\na.b.KeyError: 'x'\n"),
        "a.b.KeyError: 'x'",
    ),
    "an odd outcome": (
        Ran(status=0, stdout='{"comfyrec": {"outcome": "done"}}'),
        "unknown outcome 'done'; the outcomes are success, ",
    ),
    "nothing": (Ran(status=1, stderr="sorry"), ""),
}


@pytest.mark.parametrize("ran, words", CRASHES.values(), ids=CRASHES)
def test_a_crash_is_told_from_a_failure(ran: Ran, words: str) -> None:
    assert report_of(ran).crash.startswith(words)
    assert bool(report_of(ran).crash) == bool(words)


TRACE = """Traceback (most recent call last):
  File "/home/me/client.py", line 12, in <module>
    run()
  File "/usr/lib/python3.11/json/decoder.py", line 355, in raw_decode
    raise JSONDecodeError
json.decoder.JSONDecodeError: Expecting value
"""
PLACES = {
    "the innermost line of the client's own": (TRACE, "client.py:12"),
    "of the last traceback": (TRACE + TRACE.replace("12", "30"), "client.py:30"),
    "of a library where nothing else is known": (
        TRACE.replace("/home/me/client", "/usr/lib/python3.11/site"), "decoder.py:355"
    ),
    "of another system": (TRACE.replace("/home/me/", "C:\\\\me\\\\"), "client.py:12"),
    "nowhere": ("Traceback (most recent call last):\nKeyError: 1\n", ""),
}  # fmt: skip


@pytest.mark.parametrize("stderr, place", PLACES.values(), ids=PLACES)
def test_a_crash_is_placed_in_the_client(stderr: str, place: str) -> None:
    assert report_of(Ran(status=1, stderr=stderr)).crash_at == place


NODE = """file:///home/me/client.mjs:7
  const x = entry.meta.display
                  ^

TypeError: Cannot read properties of undefined (reading 'display')
    at parse (file:///home/me/node_modules/sdk/index.js:9:3)
    at run (file:///home/me/client.mjs:7:19)
    at async ModuleJob.run (node:internal/modules/esm/module_job:325:25)

Node.js v20.20.2
"""
CAUSED = """node:internal/deps/undici/undici:14976
      Error.captureStackTrace(err);
            ^

TypeError: fetch failed
    at node:internal/deps/undici/undici:14976:13
    at async file:///home/me/client.mjs:1:1 {
  [cause]: Error: connect ECONNREFUSED 127.0.0.1:9
      at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16)
}

Node.js v22.1.0
"""
DENO = """error: Uncaught (in promise) Error: no outputs
    at file:///C:/me/client.ts:3:7
"""


@pytest.mark.parametrize(
    "stderr, crash, place",
    [
        (
            NODE,
            "TypeError: Cannot read properties of undefined (reading 'display')",
            "client.mjs:7",
        ),
        (CAUSED, "TypeError: fetch failed", "client.mjs:1"),
        (DENO, "Error: no outputs", "client.ts:3"),
        (f"{DENO}the client goes on\n", "", ""),
    ],
    ids=["Node.js", "an error with a cause", "Deno", "an error that was only written"],
)
def test_a_crash_of_javascript_is_read_as_its_runtimes_write_it(
    stderr: str, crash: str, place: str
) -> None:
    report = report_of(Ran(status=1, stderr=stderr))

    assert (report.crash, report.crash_at) == (crash, place)


def test_the_version_of_node_is_not_what_a_client_said() -> None:
    report = report_of(Ran(status=1, stderr="no outputs\n\nNode.js v20.20.2\n"))

    assert (report.crash, report.last_words) == ("", "no outputs")


def test_the_last_line_of_the_errors_is_kept() -> None:
    assert report_of(Ran(status=1, stderr="a\n b \n\n")).last_words == "b"
    assert report_of(Ran(status=1)).last_words == ""


def test_the_error_that_a_client_reports_goes_before_what_it_wrote_elsewhere() -> None:
    line = '{"comfyrec": {"outcome": "error", "error": "no message\\nwithin 5 s"}}'

    assert report_of(Ran(status=1, stdout=line, stderr="warning")).last_words == "within 5 s"
    empty = '{"comfyrec": {"outcome": "error", "error": " "}}'
    assert report_of(Ran(status=1, stdout=empty, stderr="warning")).last_words == "warning"


def test_id_and_outputs_are_taken_where_they_are_what_they_should_be() -> None:
    good = '{"comfyrec": {"outcome": "success", "prompt_id": "p", "outputs": {"9": {}}}}'
    odd = '{"comfyrec": {"outcome": "success", "prompt_id": 3, "outputs": []}}'

    assert report_of(Ran(status=0, stdout=good)).prompt_id == "p"
    assert report_of(Ran(status=0, stdout=good)).outputs == {"9": {}}
    assert report_of(Ran(status=0, stdout=odd)).prompt_id is None
    assert report_of(Ran(status=0, stdout=odd)).outputs is None
