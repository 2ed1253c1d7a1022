"""Record modes, with a fake server as the one that is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

# What is imported here is not imported anew by each run of pytest in this process.
import comfyrec.client.shells.blocking  # see above
import comfyrec.testing.sessions  # noqa: F401  # likewise
import fake_server.replay  # noqa: F401  # likewise
from comfyrec.cassette.files import open_cassette
from fake_server.scenarios import catalogue
from fake_server.server.clock import MAX
from fake_server.server.thread import serve
from fake_server.simulated_server import SimulatedServer
from fake_server.testing import running
from tests.support.paths import ROOT

catalogue()

pytest_plugins = ["pytester"]

CLIENT = (Path(__file__).parent / "downstream_client.py").read_text(encoding="utf-8")

RUNS_ONE_PROMPT = """
import pytest
from helper import run

@pytest.mark.comfyui(cassette=True)
def test_one(comfyui):
    assert "execution_success" in run(comfyui)
"""
RUNS_TWO_PROMPTS = """
import pytest
from helper import GRAPH, get, run

@pytest.mark.comfyui(cassette=True)
def test_one(comfyui):
    assert "execution_success" in run(comfyui)
    wider = {**GRAPH["1"], "inputs": {**GRAPH["1"]["inputs"], "width": 16}}
    assert "execution_success" in run(comfyui, {**GRAPH, "1": wider})
    assert get(comfyui, f"/history/{comfyui.prompts[-1].prompt_id}")
"""
CASSETTE = "cassettes/test_it/test_one.jsonl"


@pytest.fixture
def upstream() -> Iterator[str]:
    """A server to record."""
    with running() as url:
        yield url


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A downstream project with one test that has a cassette."""
    pytester.makepyfile(helper=CLIENT, test_it=RUNS_ONE_PROMPT)
    return pytester


def run_pytest(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    return project.runpytest_inprocess("-W", "error", "-p", "no:cacheprovider", *args)


def recording(mode: str, upstream: str) -> tuple[str, ...]:
    return (f"--comfyui-record={mode}", f"--comfyui-upstream={upstream}")


def sessions_in(cassette: Path) -> int:
    with open_cassette(cassette) as records:
        return sum(type(record).__name__ == "Session" for record in records)


def example_of_the_page() -> str:
    page = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")
    section = page.partition("## Recording in tests")[2]
    return section.partition("```python\n")[2].partition("```")[0]


def test_the_example_of_the_page_is_recorded_and_replayed(
    pytester: pytest.Pytester, upstream: str
) -> None:
    pytester.makepyfile(test_it=example_of_the_page())

    recorded = run_pytest(pytester, *recording("once", upstream))
    replayed = run_pytest(pytester, "--comfyui-block-network=1")

    recorded.assert_outcomes(passed=1)
    replayed.assert_outcomes(passed=1)


LOOKS_AT_EVERYTHING = """
import pytest
from helper import GRAPH, run

@pytest.mark.comfyui(cassette=True)
def test_one(comfyui):
    assert "execution_success" in run(comfyui)
    (prompt,) = comfyui.prompts
    assert prompt.graph == GRAPH
    assert prompt.request.status == 200
    (request,) = comfyui.requests_to("POST", "/prompt")
    assert (request.serial, request.status) == (prompt.request.serial, 200)
    assert prompt.request.json()["prompt"] == GRAPH
    assert [s.client_id for s in comfyui.sockets] == [prompt.client_id]
    assert len(comfyui.accepted_sockets()) == 1
    assert comfyui.uploads == []
    assert any("execution_success" in m for _, _, m in comfyui.frames if isinstance(m, str))
    assert comfyui.assert_one_terminal_event() == "execution_success"
    comfyui.assert_socket_before_post()
    comfyui.assert_no_foreign_prompt_used()
    comfyui.assert_prompt(GRAPH)
    comfyui.assert_all_closed()
    with pytest.raises(AssertionError, match="nobody posted to /interrupt"):
        comfyui.assert_interrupted()
"""


def test_what_was_seen_is_the_same_while_recording(project: pytest.Pytester, upstream: str) -> None:
    project.makepyfile(test_it=LOOKS_AT_EVERYTHING)

    recorded = run_pytest(project, *recording("once", upstream))
    replayed = run_pytest(project)

    recorded.assert_outcomes(passed=1)
    replayed.assert_outcomes(passed=1)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["once", "new_episodes", "all", "rewrite"])
def test_what_was_recorded_is_replayed_without_the_server(
    project: pytest.Pytester, upstream: str, mode: str
) -> None:
    recorded = run_pytest(project, *recording(mode, upstream))
    replayed = run_pytest(project, "--comfyui-block-network=1")

    assert recorded.ret == 0, recorded.stdout.str()
    assert (project.path / CASSETTE).exists()
    assert replayed.ret == 0, replayed.stdout.str()


def test_once_leaves_a_cassette_alone_that_is_there(
    project: pytest.Pytester, upstream: str
) -> None:
    run_pytest(project, *recording("once", upstream))
    before = (project.path / CASSETTE).read_bytes()

    again = run_pytest(project, *recording("once", "http://127.0.0.1:9"))

    assert again.ret == 0, again.stdout.str()
    assert (project.path / CASSETTE).read_bytes() == before


def test_all_adds_and_rewrite_replaces(project: pytest.Pytester, upstream: str) -> None:
    run_pytest(project, *recording("once", upstream))
    run_pytest(project, *recording("all", upstream))
    after_all = sessions_in(project.path / CASSETTE)

    run_pytest(project, *recording("rewrite", upstream))

    assert (after_all, sessions_in(project.path / CASSETTE)) == (2, 1)


def test_the_recording_of_a_failed_test_is_not_kept(
    project: pytest.Pytester, upstream: str
) -> None:
    project.makepyfile(test_it=RUNS_ONE_PROMPT + "    assert 0\n")

    result = run_pytest(project, *recording("once", upstream))

    assert result.ret == 1
    assert list(project.path.rglob("*.jsonl")) == []


PROBLEMS = {
    "no upstream": (["--comfyui-record=all"], "--comfyui-upstream URL"),
    "no such mode": (["--comfyui-record=al"], "invalid choice"),
    "no address": (["--comfyui-record=all", "--comfyui-upstream=http://"], "http://"),
    "nobody there": (
        ["--comfyui-record=once", "--comfyui-upstream=http://me:secret@127.0.0.1:9"],
        "the server to record does not answer at http://127.0.0.1:9 (Connection refused)",
    ),
    "no cassette": ([], "record it with --comfyui-record once --comfyui-upstream URL"),
}


@pytest.mark.parametrize(("args", "words"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_wrong_use_is_said(project: pytest.Pytester, args: list[str], words: str) -> None:
    result = run_pytest(project, *args)

    text = result.stdout.str() + result.stderr.str()
    assert result.ret != 0
    assert words in text
    assert "secret" not in text
    assert "INTERNALERROR" not in text
    assert " passed" not in text


def test_new_episodes_records_only_prompts_that_are_new(
    project: pytest.Pytester, upstream: str
) -> None:
    run_pytest(project, *recording("once", upstream))
    project.makepyfile(test_it=RUNS_TWO_PROMPTS)

    recorded = run_pytest(project, *recording("new_episodes", upstream))
    replayed = run_pytest(project, "--comfyui-block-network=1")

    assert recorded.ret == 0, recorded.stdout.str()
    assert sessions_in(project.path / CASSETTE) == 2
    assert replayed.ret == 0, replayed.stdout.str()


@pytest.mark.slow
def test_a_prompt_with_other_values_was_recorded_unless_strictness_is_asked_for(
    project: pytest.Pytester, upstream: str
) -> None:
    run_pytest(project, *recording("once", upstream))
    project.makepyfile(test_it=RUNS_TWO_PROMPTS)

    lenient = run_pytest(project)
    strict = run_pytest(project, "--comfyui-strict", "test_it.py")

    assert (lenient.ret, strict.ret) == (0, 1)
    assert "this prompt was not recorded" in strict.stdout.str()
    assert "to add it, use --comfyui-record new_episodes" in strict.stdout.str()
    assert "width" in strict.stdout.str()


def test_a_prompt_with_other_nodes_was_not_recorded(
    project: pytest.Pytester, upstream: str
) -> None:
    run_pytest(project, *recording("once", upstream))
    inverted = '{**GRAPH, "3": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}}}'
    runs = RUNS_TWO_PROMPTS.replace('{**GRAPH, "1": wider}', inverted)
    project.makepyfile(test_it=runs)

    result = run_pytest(project)

    assert result.ret == 1
    assert "The recording has no prompt like this one" in result.stdout.str()


@pytest.mark.parametrize(
    "flags, outcome",
    [(["--comfyui-strict"], 1), (["--comfyui-strict=1"], 1), (["--comfyui-strict=0"], 0)],
)
def test_a_switch_is_an_option_without_a_value_and_may_have_one(
    flags: list[str], outcome: int, project: pytest.Pytester, upstream: str
) -> None:
    run_pytest(project, *recording("once", upstream))
    project.makepyfile(test_it=RUNS_TWO_PROMPTS)
    project.makeini(f"[pytest]\ncomfyui_strict = {1 - outcome}\n")

    assert run_pytest(project, *flags, "test_it.py").ret == outcome


@pytest.mark.slow
def test_a_new_episode_without_a_server_is_said(project: pytest.Pytester, upstream: str) -> None:
    run_pytest(project, *recording("once", upstream))
    before = (project.path / CASSETTE).read_bytes()
    project.makepyfile(test_it=RUNS_TWO_PROMPTS)

    result = run_pytest(project, *recording("new_episodes", "http://127.0.0.1:9"))

    assert result.ret == 1
    assert "the upstream http://127.0.0.1:9 cannot be reached" in result.stdout.str()
    assert (project.path / CASSETTE).read_bytes() == before


def test_what_strict_mode_does_not_have_is_shown_beside_the_closest(
    project: pytest.Pytester, upstream: str
) -> None:
    asks = RUNS_ONE_PROMPT.replace("import run", "import get, run")
    project.makepyfile(test_it=asks + '    get(comfyui, "/history?max_items=3")\n')
    run_pytest(project, *recording("once", upstream))
    project.makepyfile(test_it=asks + '    get(comfyui, "/history?max_items=4")\n')

    result = run_pytest(project, "--comfyui-strict=1")

    text = result.stdout.str()
    assert result.ret == 1
    assert "comfyui complaints" in text
    assert "GET /history?max_items=4" in text
    assert "to record it, use --comfyui-record rewrite" in text
    assert "max_items=3" in text


def test_what_was_recorded_and_not_used_is_told(project: pytest.Pytester, upstream: str) -> None:
    asks_more = '    run(comfyui)\n    assert get(comfyui, "/system_stats")\n'
    code = RUNS_ONE_PROMPT.replace("import run", "import get, run") + asks_more
    project.makepyfile(test_it=code)
    run_pytest(project, *recording("once", upstream))
    project.makepyfile(test_it=RUNS_ONE_PROMPT)

    result = run_pytest(project)

    text = result.stdout.str()
    assert result.ret == 0
    assert "recorded, but not used" in text
    assert "GET /system_stats" in text
    assert "1 more POST /prompt" in text
    assert "GET /ws" not in text


def test_a_recording_of_nothing_but_cached_nodes_is_told(project: pytest.Pytester) -> None:
    with serve(SimulatedServer(), speed=MAX) as handle:
        cold = run_pytest(project, *recording("once", handle.url))
        warm = run_pytest(project, *recording("rewrite", handle.url))

    assert "nothing was run" not in cold.stdout.str()
    assert warm.ret == 0
    assert "every node of its 1 prompt was cached, so that nothing was run" in warm.stdout.str()
