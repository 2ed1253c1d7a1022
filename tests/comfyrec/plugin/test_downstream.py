"""The plugin beside others: fresh projects, each with just the plugins it means, no warnings.

Each has a leak check of its own (``downstream/leaks.py``), on threads, tasks, sockets and
descriptors, over at least thirty tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.long

pytest_plugins = ["pytester"]

HERE = Path(__file__).parent
CLIENT = (HERE / "downstream_client.py").read_text(encoding="utf-8")


def text_of(name: str) -> str:
    """The code of one of the files that are copied into the projects."""
    return (HERE / "downstream" / f"{name}.py").read_text(encoding="utf-8")


class Project(NamedTuple):
    """A downstream project."""

    code: str
    """Its tests, a file in ``downstream``."""
    needs: tuple[str, ...]
    """Modules that have to be there."""
    options: tuple[str, ...]


PROJECTS = {
    "requests, websockets.sync, unittest": Project("with_requests", ("requests",), ()),
    "random order": Project(
        "with_requests",
        ("requests", "pytest_randomly"),
        ("-p", "pytest_randomly", "--randomly-seed=4"),
    ),
    "pytest-asyncio": Project(
        "with_asyncio",
        ("pytest_asyncio",),
        ("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function"),
    ),
    "anyio": Project("with_anyio", ("anyio", "trio"), ("-p", "anyio.pytest_plugin")),
    "two workers": Project("on_workers", ("xdist",), ("-p", "xdist.plugin", "-n", "2")),
    "pytest-recording": Project(
        "with_recording", ("pytest_recording", "requests"), ("-p", "pytest_recording.plugin")
    ),
}


@pytest.mark.parametrize("project", PROJECTS.values(), ids=PROJECTS)
def test_the_fixture_works_beside(pytester: pytest.Pytester, project: Project) -> None:
    for module in project.needs:
        pytest.importorskip(module, reason=f"{module} is not installed")
    pytester.makepyfile(helper=CLIENT, test_it=text_of(project.code))
    pytester.makeconftest(text_of("leaks"))

    result = pytester.runpytest_subprocess(
        "-W", "error", "-p", "no:cacheprovider", *project.options, timeout=60
    )

    outcomes = result.parseoutcomes()
    assert outcomes.keys() == {"passed"}, result.stdout.str() + result.stderr.str()
    assert outcomes["passed"] >= 30
    assert result.ret == 0
