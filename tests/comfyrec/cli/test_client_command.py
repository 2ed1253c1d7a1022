"""What the commands share that run somebody's client."""

from __future__ import annotations

import argparse

import pytest

from comfyrec.cli import bisect, check
from comfyrec.cli._client_command import command_of
from comfyrec.cli.check import _NOT_PLAYED
from comfyrec.cli.check import _flags as flags_of_check
from comfyrec.errors import UsageError

GIVEN = (
    "--surface", "v2", "--timeout", "2.5", "--late", "3", "--memory", "off", "--lines",
    "--speed", "max",
    "--seed", "7", "--comfyui-version", "0.27.0", "--fact", "jobs=off", "--fact", "sid=on",
    "--object-info", "o.json", "--models", "loras=a", "--learn", "my flows", "b.json",
    "--unknown-nodes", "accept",
)  # fmt: skip


def test_every_flag_that_says_how_a_scenario_is_played_is_written_down_as_it_was_given() -> None:
    parser = argparse.ArgumentParser()
    check.add_arguments(parser)

    played = flags_of_check(parser.parse_args([*GIVEN, "--jobs", "2", "--keep-going", "--json"]))

    assert played == GIVEN
    flags = {action.option_strings[-1]: action.dest for action in parser._actions[1:-1]}
    assert {flag for flag, name in flags.items() if name not in _NOT_PLAYED} <= set(GIVEN)


def test_what_was_not_given_is_not_written_down() -> None:
    parser = argparse.ArgumentParser()
    check.add_arguments(parser)

    assert flags_of_check(parser.parse_args(["--scenarios", "success"])) == ()


def test_bisect_writes_down_what_check_has_as_well() -> None:
    parser = argparse.ArgumentParser()
    bisect.add_arguments(parser)

    arguments = parser.parse_args(["--good", "0.27.0", "--seed", "4", "--timeout", "3"])

    assert bisect._flags(arguments) == " --timeout 3 --seed 4"


def test_a_command_that_is_started_once_has_no_places() -> None:
    words = ["--", "node", "lines.js", "{other}"]
    assert command_of(words, "check", lines=True) == tuple(words[1:])

    with pytest.raises(UsageError, match=r"started once, so \{workflow\} cannot be filled in"):
        command_of(["node", "lines.js", "--flow={workflow}"], "bisect", lines=True)
