"""Every source has the whole protocol, and nobody looks for what is inside one by its name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_server.scenarios import Stage
from fake_server.source import Source, Wrapper
from fake_server.surfaces.task_server import Sequencer
from tests.support.paths import ROOT

PROTOCOL = {name for name in vars(Source) if not name.startswith("_")}
# Modules that are handed any source and must not ask which one it is.
STRANGERS = [
    *(ROOT / "comfyrec").rglob("*.py"),
    *(ROOT / "fake_server" / "server").rglob("*.py"),
    *(ROOT / "fake_server" / "surfaces").rglob("*.py"),
    ROOT / "fake_server" / "source.py",
]
# What is inside a source, or belongs to its protocol.
INSIDE = PROTOCOL | {
    "base", "context", "engine", "folders", "inner", "observer", "player", "source", "stage",
    "stepwise", "worker", "workers",
}  # fmt: skip


def looks_by_name(path: Path) -> Iterator[str]:
    """Every ``getattr`` or ``hasattr`` for something that is inside a source."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("getattr", "hasattr")
            and isinstance(node.args[1], ast.Constant)
            and node.args[1].value in INSIDE
        ):
            yield f"{path.relative_to(ROOT)}:{node.lineno}"


@pytest.mark.slow
def test_nobody_looks_inside_a_source_by_the_name_of_an_attribute() -> None:
    found = [place for path in STRANGERS for place in looks_by_name(path)]

    assert found == []


def test_a_look_by_name_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    module = tmp_path / "control.py"
    module.write_text('engine = getattr(getattr(source, "base", source), "engine", None)\n')

    assert len(list(looks_by_name(module))) == 2


def sources_of(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Name and bases of every class that takes inputs as a source does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and any(
            isinstance(one, ast.FunctionDef)
            and one.name == "handle"
            and [argument.arg for argument in one.args.args] == ["self", "happened", "now"]
            for one in node.body
        ):
            yield node.name, {ast.unparse(base) for base in node.bases}


@pytest.mark.slow
def test_every_source_says_that_it_is_one() -> None:
    rooms = ("fake_server", "comfyrec/check", "comfyrec/cli", "comfyrec/testing")
    paths = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    found = {name: bases for path in paths for name, bases in sources_of(path)}

    declared = {"Protocol", "Source", "Wrapper"}
    silent = {name for name, bases in found.items() if not bases & declared}

    assert {"Gate", "Player", "Sequencer", "SimulatedServer", "Stage", "Witness"} <= set(found)
    assert silent == set()


@pytest.mark.parametrize("kind", [Wrapper, Sequencer, Stage], ids=lambda kind: kind.__name__)
def test_what_has_sources_inside_answers_everything_itself(kind: type[Source]) -> None:
    left_to_the_protocol = PROTOCOL - set(vars(kind))

    assert left_to_the_protocol == set()
