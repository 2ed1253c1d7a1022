"""What is left of a recording -> a Python file: a scenario, or a test of the client."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

__all__ = ["Remains", "scenario_file", "test_file"]


class Remains(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, and of what."""

    name: str
    summary: str
    """What the client does wrong, a sentence without its period."""
    truth: tuple[str, ...]
    """What a client may truthfully report."""
    cassette: Path
    argv: tuple[str, ...]
    """The client's command."""
    lines: bool = False
    """It lives on and takes jobs."""
    story: tuple[str, ...]


def scenario_file(path: Path, found: Remains) -> str:
    """A module with one scenario: ``comfyrec check --scenarios FILE.py`` plays it."""
    return f"""{_docstring(found)}

from pathlib import Path

from comfyrec.check.recorded import recorded_scenario

SCENARIO = recorded_scenario(
    {_beside(path, found.cassette)},
    name={found.name!r},
    summary={found.summary!r},
    truth={found.truth!r},
)
"""


def test_file(path: Path, found: Remains) -> str:
    """A module with one test, which runs the client's command on the recording."""
    function = (
        "".join(letter if letter.isalnum() else "_" for letter in found.name).strip("_").lower()
    )
    words = "".join(f"    {word!r},\n" for word in found.argv)
    return f"""{_docstring(found)}

from pathlib import Path

from comfyrec.check.recorded import recorded_scenario
from comfyrec.check.render import why_in_words
from comfyrec.check.runner import CheckOptions, check_one
from fake_server.scenarios import Choice

CASSETTE = {_beside(path, found.cassette)}
COMMAND = (
{words})


def test_{function or "client"}(tmp_path: Path) -> None:
    scenario = recorded_scenario(CASSETTE, truth={found.truth!r})
    options = CheckOptions(argv=COMMAND, timeout_s=10.0{", lines=True" if found.lines else ""})

    result = check_one(Choice(scenario, scenario.settings()), options, tmp_path / "run")

    assert result.status == "pass", why_in_words(result)
"""


def _beside(path: Path, cassette: Path) -> str:
    way = Path(os.path.relpath(cassette, str(path.parent))).as_posix()
    return f"Path(__file__).parent / {way!r}"


def _docstring(found: Remains) -> str:
    text = "\n".join((_capital(found.summary) + ".", "", *found.story))
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'"""{escaped}\n"""'


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
