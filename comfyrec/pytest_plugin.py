"""Fixtures, markers and options: a fake ComfyUI server for each test that asks for one.

Every pytest run of every project that has comfyrec installed imports this module, so it imports
next to nothing but pytest. What the fixtures are made of is in ``comfyrec.testing``.

Settings are looked up in this order: command line, marker, fixture, ini file, default.

PYTEST_DONT_REWRITE: the assertions of a plugin need no rewriting, see ``AsInstalled``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from comfyrec.testing.record_mode import RecordMode

if TYPE_CHECKING:
    from comfyrec.testing.handle import ComfyUI
    from comfyrec.testing.sessions import PluginSession

# setting -> (what the option's help says, choices). Option --comfyui-X, ini comfyui_X, fixture
# comfyui_X, and as a keyword of the marker: one name everywhere.
SETTINGS: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "record": ("record mode of cassettes (default none: replay, never record)", tuple(RecordMode)),
    "upstream": ("address of the ComfyUI server to record", None),
    "speed": ("speed of virtual time: a number, or max (default max)", None),
    "version": ("ComfyUI version that the fake server simulates", None),
    "object_info": ("file with a server's /object_info: the fake server's node catalogue", None),
    "workflows": ("workflows that the fake server shall run: files, folders or patterns", None),
    "models": ("model files of the fake server: lines of FOLDER=NAME,NAME", None),
    "unknown_nodes": ("what the fake server does with unknown node classes", ("refuse", "accept")),
    "seed": ("seed of everything random in the fake server (default 0)", None),
    "cassette_dir": ("folder of cassettes (default: cassettes/ next to the test file)", None),
    "strict": ("a replayed cassette answers only what was recorded", None),
    "block_network": ("refuse connections to other machines while a test runs", None),
    "timeout": ("longest wait of the comfyui fixture in seconds (default 5)", None),
    "idle_limit": (
        "seconds that a client may wait for a server with nothing more to say "
        "(default 10; 0: for ever)",
        None,
    ),
}

SWITCHES = ("strict", "block_network")
"""Settings that are on or off: options without a value."""
SWITCH_WORDS = ("1", "true", "yes", "on", "0", "false", "no", "off")

MARKERS = (
    "comfyui(scenario=None, cassette=None, workflow=None, models=None, unknown_nodes=None, "
    "speed=None, version=None, **params): what the comfyui fixture's server does; other keywords "
    "are parameters of the scenario",
    "comfyui_scenarios(*patterns): run the test once for each scenario whose name or category fits",
)


_OURS = ("comfyrec", "fake_server")


class AsInstalled:
    """Finds our modules as Python finds all others, before pytest's assertion rewriter does.

    pytest marks every package of a distribution that has a plugin for rewriting: some 90 modules
    here, whose installed bytecode is left aside for that. Where no bytecode may be written
    (``PYTHONDONTWRITEBYTECODE``) that costs each run a quarter of a second. The assertions of a
    user's tests, conftests and own plugins are rewritten as ever; ours have messages.
    """

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of one of our modules; None leaves a module to the next finder."""
        if name.partition(".")[0] in _OURS:
            return PathFinder.find_spec(name, path, target)
        return None


# pytest's own finder is in place when plugins are imported, so this one comes before it.
sys.meta_path.insert(0, AsInstalled)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options and ini keys, one of each for every setting."""
    group = parser.getgroup("comfyui", "fake ComfyUI server (comfyrec)")
    for name, (text, choices) in SETTINGS.items():
        option = f"--comfyui-{name.replace('_', '-')}"
        parser.addini(f"comfyui_{name}", text, default=None)
        if name in SWITCHES:
            group.addoption(option, action="store_const", const="1", default=None, help=text)
            for word in SWITCH_WORDS:  # joined to it: what stands alone is a file of tests
                group.addoption(
                    f"{option}={word}", dest=f"comfyui_{name}", action="store_const", const=word,
                    default=None, help=argparse.SUPPRESS,
                )  # fmt: skip
            continue
        metavar = "MODE" if name == "record" else name.rpartition("_")[2].upper()
        group.addoption(option, choices=choices, default=None, metavar=metavar, help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each scenario that ``@pytest.mark.comfyui_scenarios`` names."""
    marker = metafunc.definition.get_closest_marker("comfyui_scenarios")
    if marker is None:
        return
    from comfyrec.testing.resolve_settings import scenario_names

    where = metafunc.definition.nodeid
    if "comfyui_scenario" not in metafunc.fixturenames:
        raise pytest.Collector.CollectError(
            f"{where}: its comfyui_scenarios marker does nothing; take the fixture comfyui as well"
        )
    names = scenario_names(marker.args, where=where)
    metafunc.parametrize("comfyui_scenario", names, ids=names, indirect=True)


# --- settings: override them in a conftest, in any scope -------------------------------------


@pytest.fixture
def comfyui_scenario(request: pytest.FixtureRequest) -> str | None:
    """Name of the scenario; None: ``success``."""
    return getattr(request, "param", None)


@pytest.fixture(scope="session")
def comfyui_record() -> str | None:
    """Record mode."""
    return None


@pytest.fixture(scope="session")
def comfyui_upstream() -> str | None:
    """Address of the server that is recorded."""
    return None


@pytest.fixture(scope="session")
def comfyui_speed() -> float | str | None:
    """Pace of the fake server: 1 is real time, 10 ten times as fast, ``max`` never waits."""
    return None


@pytest.fixture(scope="session")
def comfyui_version() -> str | None:
    """ComfyUI version that the fake server simulates."""
    return None


@pytest.fixture(scope="session")
def comfyui_object_info() -> Any:
    """A server's ``/object_info``: the mapping itself, or the path of a JSON file."""
    return None


@pytest.fixture(scope="session")
def comfyui_workflows() -> Any:
    """Workflows that the server shall run: a path, a pattern or a list of them."""
    return None


@pytest.fixture(scope="session")
def comfyui_models() -> Any:
    """Model folder -> list of files."""
    return None


@pytest.fixture(scope="session")
def comfyui_unknown_nodes() -> str | None:
    """``accept`` takes any node class; ``refuse`` does as ComfyUI does."""
    return None


@pytest.fixture(scope="session")
def comfyui_seed() -> int | None:
    """Seed of everything random in the fake server, ids included."""
    return None


@pytest.fixture(scope="session")
def comfyui_cassette_dir() -> Any:
    """Folder of recorded cassettes."""
    return None


@pytest.fixture(scope="session")
def comfyui_strict() -> bool | None:
    """Whether a replayed cassette answers only what was recorded."""
    return None


@pytest.fixture(scope="session")
def comfyui_block_network() -> bool | None:
    """Whether connections to other machines are refused while a test runs."""
    return None


@pytest.fixture(scope="session")
def comfyui_idle_limit() -> float | None:
    """Seconds that a client may wait for a server that has nothing more to say; 0: for ever."""
    return None


@pytest.fixture(scope="session")
def comfyui_timeout() -> float | None:
    """Longest wait of the handle, in seconds."""
    return None


# --- what a test asks for --------------------------------------------------------------------


@pytest.fixture
def comfyui_settings(request: pytest.FixtureRequest, comfyui_scenario: str | None) -> Any:
    """All settings of this test, from command line, marker, fixture and ini file."""
    from comfyrec.testing.resolve_settings import gather, overridden

    request.node.stash[_ASKED] = True
    names = overridden(request.node, [f"comfyui_{name}" for name in SETTINGS], __name__)
    fixtures = {name.removeprefix("comfyui_"): request.getfixturevalue(name) for name in names}
    return gather(request.config, request.node, fixtures={**fixtures, "scenario": comfyui_scenario})


@pytest.fixture
def _comfyui_session(
    request: pytest.FixtureRequest, comfyui_settings: Any
) -> Iterator[PluginSession]:
    from comfyrec.testing.sessions import PluginSession

    session = PluginSession(comfyui_settings)
    request.node.stash[_SESSION] = session
    try:
        yield session
    finally:
        passed = request.node.stash.get(_PASSED, False)
        if passed:
            request.node.user_properties += [(_UNUSED, line) for line in session.unused()]
        session.close(passed=passed)
        request.node.user_properties += [(_NOTE, line) for line in session.notes()]


@pytest.fixture
def comfyui(_comfyui_session: PluginSession) -> ComfyUI:
    """A fresh fake ComfyUI server on its own port: ``url``, ``ws_url``, journal, control."""
    return _comfyui_session.first()


@pytest.fixture
def comfyui_factory(_comfyui_session: PluginSession) -> Callable[..., ComfyUI]:
    """Makes more servers, each with its own settings: ``comfyui_factory(scenario="oom")``."""
    return _comfyui_session.another


@pytest.fixture
def comfyui_environment(comfyui: ComfyUI, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set the environment variables from which ComfyUI tools take their server's address."""
    from comfyrec.client.address import address_variables

    variables = address_variables(comfyui.url)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


# --- the report of a failing test------------------------------------------------------------

_SESSION: pytest.StashKey[PluginSession] = pytest.StashKey()
_PASSED: pytest.StashKey[bool] = pytest.StashKey()
_ASKED: pytest.StashKey[bool] = pytest.StashKey()
# Properties travel with the reports, also from the workers of pytest-xdist.
_UNUSED = "comfyui_unused"
_NOTE = "comfyui_note"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """A marker of the test itself does nothing if nobody asks for the fixture."""
    yield
    marked = any(marker.name == "comfyui" for marker in item.own_markers)
    if marked and _ASKED not in item.stash:
        pytest.fail(
            f"{item.nodeid}: its comfyui marker does nothing; take the fixture comfyui as well",
            pytrace=False,
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the timeline of the fake server to the report of a test that failed."""
    if call.excinfo is not None and not item.config.getoption("fulltrace"):
        _leave_out_our_frames(call.excinfo)
    report = yield
    session = item.stash.get(_SESSION, None)
    if session is not None:
        if call.when == "call":
            item.stash[_PASSED] = report.passed
        if report.failed:
            uncut = item.config.get_verbosity() > 1
            report.sections.extend(session.report_sections(uncut=uncut))
        if call.when == "teardown":
            # pytest keeps its items to the end, and a session keeps all that its servers said.
            del item.stash[_SESSION]
    return report


def _leave_out_our_frames(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """A sentence about wrong use is shown at the line of the test that it is about."""
    errors = sys.modules.get("comfyrec.errors")
    if errors is None or not isinstance(excinfo.value, errors.ComfyrecError):
        return
    frame, last = excinfo.value.__traceback__, None
    while frame is not None:
        if frame.tb_frame.f_globals.get("__name__", "").partition(".")[0] not in _OURS:
            last = frame
        frame = frame.tb_next
    if last is not None:
        last.tb_next = None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """List the recorded interactions that their tests have not used, and notes on recordings."""
    titles = {
        _UNUSED: "comfyui cassettes: recorded, but not used",
        _NOTE: "comfyui cassettes: what was recorded",
    }
    for kind, title in titles.items():
        lines = [
            f"{report.nodeid}: {line}"
            for reports in terminalreporter.stats.values()
            for report in reports
            if getattr(report, "when", "") == "teardown"
            for name, line in report.user_properties
            if name == kind
        ]
        if lines:
            terminalreporter.section(title)
        for line in lines:
            terminalreporter.line(line)
