"""The files that are written: Python that runs, whatever is in the words."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from comfyrec.cassette.files import write_cassette
from comfyrec.check.causes.shrink_files import Remains, scenario_file, test_file
from comfyrec.check.recorded import choices_in
from tests.support.shrink_session import session

test_file.__test__ = False  # type: ignore[attr-defined]  # its name only begins like a test's

REMAINS = Remains(
    name='what\'s "this"-2',
    summary='it prints """ and \\ and crashes',
    truth=("success",),
    cassette=Path("found.jsonl"),
    argv=("python", "it's.py", "{url}"),
    story=('  <- executing {"node": null}', '"""'),
)


@pytest.mark.parametrize("write", [scenario_file, test_file])
def test_any_words_make_a_file_that_parses(write: object) -> None:
    text = write(Path("found.py"), REMAINS)  # type: ignore[operator]

    assert 'It prints """ and \\ and crashes.' in str(ast.get_docstring(ast.parse(text)))


def test_a_scenario_file_is_played_from_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    module, cassette = tmp_path / "deep" / "found.py", tmp_path / "found.jsonl"
    write_cassette(cassette, session())
    module.write_text(scenario_file(module, Remains(**{**fields(REMAINS), "cassette": cassette})))

    (choice,) = choices_in(str(module))

    assert choice.title == REMAINS.name
    assert choice.scenario.summary == REMAINS.summary


def test_a_test_file_runs_the_command() -> None:
    tree = ast.parse(test_file(Path("test_found.py"), REMAINS))

    (function,) = [one for one in tree.body if isinstance(one, ast.FunctionDef)]
    assert function.name == "test_what_s__this__2"
    assert "('python', \"it's.py\", '{url}')" in ast.unparse(tree)


def test_a_test_file_starts_a_client_that_takes_jobs_as_one() -> None:
    remains = Remains(**{**fields(REMAINS), "lines": True})

    assert "timeout_s=10.0, lines=True)" in test_file(Path("test_found.py"), remains)
    assert "lines" not in test_file(Path("test_found.py"), REMAINS)


def fields(remains: Remains) -> dict[str, object]:
    return {name: getattr(remains, name) for name in remains.__struct_fields__}
