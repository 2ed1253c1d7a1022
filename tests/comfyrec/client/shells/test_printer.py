"""Events on a terminal and on standard output."""

from __future__ import annotations

import io
import json

import pytest

from comfyrec.client import LiveProgress, ProgressPrinter
from tests.support.scripted_comfyui import OUTPUTS
from tests.support.tracker_sim import PROMPT, Sim, a_run

RUN = a_run()


def printed(**options: object) -> list[str]:
    file = io.StringIO()
    printer = ProgressPrinter(file, **options)  # type: ignore[arg-type]  # a table of options
    for told in RUN:
        printer(told)
    return file.getvalue().splitlines()


def strictly(line: str) -> dict[str, object]:
    """JSON as the standard has it, without NaN."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    value: dict[str, object] = json.loads(line, parse_constant=refuse)
    return value


def test_json_is_one_strict_line_per_event():
    lines = [strictly(line) for line in printed()]

    assert (lines[0]["type"], lines[-1]["type"]) == ("submitted", "completed")
    assert lines[-1]["nodes_progress"] == 1.0
    assert lines[-1]["nodes_done"] == ["1", "2"]


def test_the_default_stream_is_standard_output(capsys: pytest.CaptureFixture[str]):
    ProgressPrinter()(RUN[0])

    assert strictly(capsys.readouterr().out)["type"] == "submitted"


def test_only_the_allowed_types_are_printed():
    lines = [strictly(line) for line in printed(event_types=["executed", "completed"])]

    assert [line["type"] for line in lines] == ["executed", "completed"]


def test_raw_prints_the_servers_own_message():
    [line] = printed(event_types=["executed"], raw=True)

    assert strictly(line)["data"]["output"] == OUTPUTS["2"]  # type: ignore[index]  # JSON
    assert "nodes_progress" not in line


def test_a_format_string_makes_a_line():
    lines = printed(format="{type} {node_current} {nodes_done}/{nodes_total} {nodes_progress:.0%}")

    assert lines[0] == "submitted  0/2 0%"
    assert "executing 2 1/2 50%" in lines
    assert lines[-1] == "completed 2 2/2 100%"


@pytest.mark.parametrize(
    "pattern", ["{nope}", "{type:d}", "{", "{0}", "{type.x}", "{nodes_total!x}"]
)
def test_a_format_that_does_not_fit_is_said_once_and_json_follows(pattern: str):
    lines = printed(format=pattern)

    assert lines[0].startswith("Format error: ")
    assert sum(line.startswith("Format error") for line in lines) == 1
    assert strictly(lines[1])["type"] == "submitted"


def test_an_unknown_field_is_named_with_those_that_there_are():
    [first, *_] = printed(format="{nope}")

    assert "'nope'" in first
    assert "nodes_progress" in first


def test_the_same_line_is_printed_once():
    statuses = [
        line for line in printed(format="{type}", event_types=["status"]) if line == "status"
    ]

    assert len(statuses) == 1


def test_text_is_for_a_person():
    lines = printed(format="text")

    assert lines[0] == f"[  0%] submitted as {PROMPT}"
    assert "[ 50%] 1 of 2 nodes cached" in lines
    assert "[ 50%] node 2: nan/20" in lines
    assert lines[-1].startswith("[100%] completed in 5.1 s")


def test_what_comes_from_the_wire_cannot_steer_a_terminal():
    sim = Sim()
    sim.accept()
    sim.start()
    sim.ours("executing", node="\x1b[2Jgone", display_node="1")
    file = io.StringIO()

    ProgressPrinter(file, format="text")(sim.events[-1])

    assert "\x1b" not in file.getvalue()
    assert "\\x1b[2Jgone" in file.getvalue()


def test_secrets_are_veiled_in_every_line():
    file = io.StringIO()
    printer = ProgressPrinter(file, redact=lambda line: line.replace(PROMPT, "***"))

    printer(RUN[0])

    assert PROMPT not in file.getvalue()


def test_live_bars_take_everything_that_happens():
    file = io.StringIO()
    with LiveProgress(file, names={"2": "SaveImage"}) as bars:
        for told in RUN:
            bars(told)

    assert bars._bars is not None
    assert bars._bars.tasks[0].completed == 1.0
