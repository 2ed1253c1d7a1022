"""Where a setting comes from: command line, marker, fixture, ini file, default, in that order."""

from __future__ import annotations

import itertools
import re

import pytest

from comfyrec.pytest_plugin import SETTINGS
from comfyrec.testing.handle import ComfyUI
from tests.support.paths import ROOT

pytest_plugins = ["pytester"]

COMMAND_LINE, MARKER, FIXTURE, INI, DEFAULT = 11, 12, 13, 14, 0
TESTS = """
import pytest

class TestNoFixture:
    def test_no_marker(self, comfyui_settings):
        assert comfyui_settings.seed == {neither}

    @pytest.mark.comfyui(seed=12)
    def test_marker(self, comfyui_settings):
        assert comfyui_settings.seed == {marker}

class TestFixture:
    @pytest.fixture
    def comfyui_seed(self):
        return 13

    def test_no_marker(self, comfyui_settings):
        assert comfyui_settings.seed == {fixture}

    @pytest.mark.comfyui(seed=12)
    def test_marker(self, comfyui_settings):
        assert comfyui_settings.seed == {both}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command_line", "ini"),
    [*itertools.product([COMMAND_LINE, None], [INI, None])],
    ids=["command line and ini", "command line", "ini", "neither"],
)
def test_the_first_place_that_speaks_counts(
    pytester: pytest.Pytester, command_line: int | None, ini: int | None
) -> None:
    """All sixteen sets of places, and so every pair."""
    below = DEFAULT if ini is None else ini
    expected = {"neither": below, "marker": MARKER, "fixture": FIXTURE, "both": MARKER}
    if command_line is not None:
        expected = dict.fromkeys(expected, command_line)
    pytester.makepyfile(TESTS.format(**expected))
    if ini is not None:
        pytester.makeini(f"[pytest]\ncomfyui_seed = {ini}\n")
    options = [] if command_line is None else [f"--comfyui-seed={command_line}"]

    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)

    assert result.parseoutcomes() == {"passed": 4}, result.stdout.str()


NEARER = """
import pytest
pytestmark = pytest.mark.comfyui(seed=1, speed=2, scenario="execution-error")

@pytest.fixture
def comfyui_strict():
    return True

class TestOne:
    pytestmark = pytest.mark.comfyui(seed=2, cassette="all-cached")

    def test_class_over_module(self, comfyui_settings):
        assert (comfyui_settings.seed, comfyui_settings.speed) == (2, 2.0)
        assert comfyui_settings.cassette == "all-cached"

    @pytest.mark.comfyui(seed=3, scenario="ws-silent", after="start")
    def test_test_over_class(self, comfyui_settings):
        assert comfyui_settings.seed == 3
        assert comfyui_settings.scenario == "ws-silent"
        assert comfyui_settings.cassette is None
        assert comfyui_settings.params == {"after": "start"}

    @pytest.mark.comfyui(strict=False)
    def test_no_is_an_answer_too(self, comfyui_settings):
        assert comfyui_settings.strict is False

    def test_a_fixture_of_the_module(self, comfyui_settings):
        assert comfyui_settings.strict is True

def test_a_fixture_of_the_test(comfyui_settings, comfyui_speed):
    assert comfyui_speed is None
"""


def test_the_nearest_marker_counts(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(NEARER)
    pytester.makeini("[pytest]\ncomfyui_strict = 1\n")

    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")

    assert result.parseoutcomes() == {"passed": 5}, result.stdout.str()


EVERY = {
    "record": ("once", "once"),
    "upstream": ("http://gpu:8188", "http://gpu:8188"),
    "speed": ("10", 10.0),
    "version": ("0.3.10", "0.3.10"),
    "object_info": ("info.json", {"A": {}}),
    "seed": ("7", 7),
    "cassette_dir": ("tapes", None),
    "strict": ("yes", True),
    "block_network": ("on", True),
    "timeout": ("2.5", 2.5),
    "idle_limit": ("3", 3.0),
}


@pytest.mark.parametrize("place", ["option", "ini", "fixture"])
def test_every_setting_can_be_given_everywhere(pytester: pytest.Pytester, place: str) -> None:
    pytester.makefile(".json", info='{"A": {}}')
    fields = {
        f"{name}_s" if name in ("timeout", "idle_limit") else name: value
        for name, (_, value) in EVERY.items()
        if name != "cassette_dir"
    }
    checks = [f"    assert comfyui_settings.{name} == {value!r}" for name, value in fields.items()]
    pytester.makepyfile(
        "\n".join(
            [
                "import pytest",
                "@pytest.mark.comfyui(cassette=True)",
                "def test(comfyui_settings):",
                *checks,
                "    assert comfyui_settings.cassette.parts[-3:] == ('tapes', *OWN)",
            ]
        ).replace("*OWN", "'test_every_setting_can_be_given_everywhere', 'test.jsonl'")
    )
    options = [f"--comfyui-{n.replace('_', '-')}={text}" for n, (text, _) in EVERY.items()]
    lines = [f"comfyui_{name} = {text}" for name, (text, _) in EVERY.items()]
    fixtures = [
        f"@pytest.fixture\ndef comfyui_{name}(): return {text!r}\n"
        for name, (text, _) in EVERY.items()
    ]
    pytester.makeini("\n".join(["[pytest]", *(lines if place == "ini" else [])]))
    pytester.makeconftest("\n".join(["import pytest", *(fixtures if place == "fixture" else [])]))

    result = pytester.runpytest_inprocess(
        "-p", "no:cacheprovider", *(options if place == "option" else [])
    )

    assert result.parseoutcomes() == {"passed": 1}, result.stdout.str()


PAGE = ROOT.joinpath("docs", "pytest.md").read_text(encoding="utf-8")


def test_the_page_names_every_setting_method_and_cassette_rightly() -> None:
    methods = [name for name in dir(ComfyUI) if not name.startswith("_") and name != "close"]
    told = {"unused": "", "settings": ""}
    bundled = {path.stem for path in (ROOT / "cassettes").glob("*.*")}

    assert [s for s in SETTINGS if f"| `comfyui_{s}` |" not in PAGE] == []
    assert [name for name in methods if told.get(name, f"{name}") not in PAGE] == []
    assert set(re.findall(r'cassette="([\w-]+)"', PAGE)) <= bundled


SURFACE = """
import json, urllib.request
import pytest

BODY = {"workflow": {"1": {"class_type": "PreviewAny", "inputs": {"source": "a"}}}}

def submit(url):
    data = json.dumps(BODY).encode()
    request = urllib.request.Request(f"{url}/api/v2/jobs", data, {"Content-Type": "x"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.status

@pytest.mark.comfyui(surface="v2")
def test_one(comfyui):
    assert submit(comfyui.url) == 201
    assert [seen.path for seen in comfyui.requests] == ["/v2/jobs"]

@pytest.mark.comfyui(surface=["v2:queue_max=1", "native"], scenario="long-quiet-node")
def test_several(comfyui):
    assert submit(comfyui.url) == 201

@pytest.mark.comfyui(surface="v3")
def test_wrong(comfyui):
    pass
"""


def test_a_server_speaks_the_surfaces_that_its_marker_names(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SURFACE)

    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")

    result.stdout.fnmatch_lines(["*comfyui surface: there is no surface 'v3'*"])
    assert result.parseoutcomes() == {"passed": 2, "errors": 1}
