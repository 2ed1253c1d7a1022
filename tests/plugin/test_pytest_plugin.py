"""The plugin as a downstream project uses it: fresh projects, run by pytest itself."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CLIENT = (Path(__file__).parent / "downstream_client.py").read_text(encoding="utf-8")


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A downstream project with a small client of its own."""
    pytester.makepyfile(helper=CLIENT)
    return pytester


def run_projects(project: pytest.Pytester, codes: dict[str, str], *args: str) -> pytest.RunResult:
    """All of them in one run of pytest, each in a module of its own."""
    for number, code in enumerate(codes.values()):
        project.makepyfile(**{f"test_{number}": textwrap.dedent(code)})
    return run_pytest(project, *args)


def run_project(project: pytest.Pytester, code: str, *args: str) -> pytest.RunResult:
    project.makepyfile(test_it=textwrap.dedent(code))
    return run_pytest(project, *args)


def run_pytest(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    return project.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider", *args, timeout=60)


PASSING = {
    "a prompt runs": """
        from helper import run
        def test(comfyui):
            assert "execution_success" in run(comfyui)
            assert comfyui.assert_one_terminal_event() == "execution_success"
            comfyui.assert_socket_before_post()
            comfyui.assert_all_closed()
            comfyui.assert_no_foreign_prompt_used()
        """,
    "each test has a server of its own": """
        import pytest
        from helper import run, get
        @pytest.mark.parametrize("n", range(3))
        def test(comfyui, n):
            assert get(comfyui, "/history") == {}
            run(comfyui)
            assert len(get(comfyui, "/history")) == 1
        """,
    "a marker chooses the scenario and its parameters": """
        import pytest
        from helper import run
        @pytest.mark.comfyui(scenario="execution-error", exception_type="torch.OutOfMemoryError")
        def test(comfyui):
            assert "execution_error" in run(comfyui)
        """,
    "a test runs once for each scenario of a pattern": """
        import pytest
        @pytest.mark.comfyui_scenarios("duplicate-status", "all-cached")
        def test(comfyui, request):
            assert comfyui.settings.scenario in request.node.name
        """,
    "the server stops at an event and its state stays there": """
        from helper import GRAPH, connect, get, post
        def test(comfyui):
            hold = comfyui.hold_at("executing", node="2")
            with connect(f"{comfyui.ws_url}/ws?clientId=a") as ws:
                post(comfyui, "/prompt", {"prompt": GRAPH, "client_id": "a"})
                with hold:
                    assert len(get(comfyui, "/queue")["queue_running"]) == 1
                    assert get(comfyui, "/history") == {}
                    last = '"node": "2"'
                    while last not in ws.recv(timeout=5):
                        pass
                while "execution_success" not in ws.recv(timeout=5):
                    pass
        """,
    "a held server goes on frame by frame": """
        import json
        from helper import GRAPH, connect, post
        def test(comfyui):
            hold = comfyui.hold_at("execution_start")
            with connect(f"{comfyui.ws_url}/ws?clientId=a") as ws:
                post(comfyui, "/prompt", {"prompt": GRAPH, "client_id": "a"})
                hold.wait()
                assert json.loads(comfyui.step())["type"] == "execution_cached"
                stopped = comfyui.run_until("executed", node="2")
                assert json.loads(stopped.message)["data"]["node"] == "2"
                comfyui.release()
        """,
    "a socket is dropped in the middle of a run": """
        import pytest
        from helper import GRAPH, connect, post
        from websockets.exceptions import ConnectionClosedError
        def test(comfyui):
            hold = comfyui.hold_at("executing", node="2")
            with connect(f"{comfyui.ws_url}/ws?clientId=a") as ws:
                post(comfyui, "/prompt", {"prompt": GRAPH, "client_id": "a"})
                with hold:
                    assert comfyui.drop_socket("a") == 1
                with pytest.raises(ConnectionClosedError):
                    while True:
                        ws.recv(timeout=5)
        """,
    "a restart forgets everything and keeps the port": """
        from helper import run, get
        def test(comfyui):
            run(comfyui)
            port = comfyui.port
            comfyui.restart()
            assert comfyui.port == port
            assert get(comfyui, "/history") == {}
            run(comfyui)
            assert len(comfyui.prompts) == 2
        """,
    "a server that stopped refuses": """
        import pytest
        from helper import get
        def test(comfyui):
            comfyui.stop()
            with pytest.raises(ConnectionRefusedError):
                get(comfyui, "/queue")
            comfyui.start()
            assert get(comfyui, "/queue") == {"queue_running": [], "queue_pending": []}
        """,
    "virtual time moves when the test says so": """
        from helper import GRAPH, get, post
        def test(comfyui):
            comfyui.plan({"1": {"seconds": 60}})
            comfyui.pause()
            post(comfyui, "/prompt", {"prompt": GRAPH, "client_id": "a"})
            comfyui.advance(59)
            assert len(get(comfyui, "/queue")["queue_running"]) == 1
            comfyui.advance(2)
            assert len(get(comfyui, "/history")) == 1
        """,
    "several servers": """
        from helper import run
        def test(comfyui, comfyui_factory):
            other = comfyui_factory(scenario="execution-error")
            assert other.port != comfyui.port
            assert "execution_success" in run(comfyui)
            assert "execution_error" in run(other)
        """,
    "the environment names the server": """
        import os
        def test(comfyui, comfyui_environment):
            assert os.environ["COMFYUI_URL"] == comfyui.url
            assert os.environ["COMFYUI_PORT"] == str(comfyui.port)
        """,
    "unittest classes": """
        import unittest, pytest
        from helper import run
        @pytest.mark.usefixtures("_server")
        class TestIt(unittest.TestCase):
            @pytest.fixture
            def _server(self, comfyui):
                self.comfyui = comfyui
            def test(self):
                assert "execution_success" in run(self.comfyui)
        """,
    "waiting for what the client does": """
        import threading
        from helper import run
        def test(comfyui):
            client = threading.Thread(target=run, args=(comfyui,))
            client.start()
            assert comfyui.wait_for_request("POST", "/prompt").json()["client_id"] == "me"
            assert comfyui.wait_for_socket().client_id == "me"
            client.join(10)
        """,
}


def test_downstream_tests_pass(project: pytest.Pytester) -> None:
    result = run_projects(project, PASSING)

    outcomes = result.parseoutcomes()
    assert result.ret == 0, result.stdout.str()
    assert outcomes.keys() == {"passed"}
    assert outcomes["passed"] >= len(PASSING)


# code of a test that fails, and words that its report must have
FAILING = {
    "unknown scenario": (
        "@pytest.mark.comfyui(scenario='execution-eror')\ndef test(comfyui): pass",
        ["execution-eror", "execution-error"],
    ),
    "unknown parameter": (
        "@pytest.mark.comfyui(scenario='duplicate-status', m=3)\ndef test(comfyui): pass",
        ["m"],
    ),
    "scenario and cassette": (
        "@pytest.mark.comfyui(scenario='success', cassette='x')\ndef test(comfyui): pass",
        ["take one of them"],
    ),
    "missing cassette": (
        "@pytest.mark.comfyui(cassette=True)\ndef test(comfyui): pass",
        ["--comfyui-record"],
    ),
    "a pattern that fits nothing": (
        "@pytest.mark.comfyui_scenarios('all-chached')\ndef test(comfyui): pass",
        ["all-chached", "all-cached"],
    ),
    "a wrong speed": (
        "@pytest.mark.comfyui(speed='fast')\ndef test(comfyui): pass",
        ["speed", "'fast'"],
    ),
    "a hold that is never reached": (
        "def test(comfyui): comfyui.hold_at('executed').wait(timeout=0.05)",
        ["waited 0.05 s for the frame executed", "it has sent nothing"],
    ),
    "the time line of a failing test": (
        "from helper import run\ndef test(comfyui):\n    run(comfyui)\n    assert 0",
        ["comfyui time line", "-> POST /prompt", "execution_success"],
    ),
    "a scenario that did not take place": (
        "from helper import run\n"
        "@pytest.mark.comfyui(scenario='missing-outputs-after-success', node_ids=['99'])\n"
        "def test(comfyui): run(comfyui)",
        ["not all took place"],
    ),
    "a plan for a node that the prompt does not have": (
        "from helper import run\n"
        "def test(comfyui):\n"
        "    comfyui.plan({'22': {'seconds': 1}})\n"
        "    run(comfyui)",
        ["fake_plan_does_not_fit", "22"],
    ),
    "a graph that differs": (
        "from helper import run, GRAPH\n"
        "def test(comfyui):\n"
        "    run(comfyui)\n"
        "    comfyui.assert_prompt({**GRAPH, '1': {**GRAPH['1'], 'class_type': 'Other'}})",
        ['1/class_type: "EmptyImage", expected "Other"'],
    ),
}


def test_failures_explain_themselves(project: pytest.Pytester) -> None:
    codes = {name: f"import pytest\n{code}" for name, (code, _) in FAILING.items()}

    result = run_projects(project, codes, "--continue-on-collection-errors")

    text = result.stdout.str() + result.stderr.str()
    missing = {name: [w for w in words if w not in text] for name, (_, words) in FAILING.items()}
    assert "INTERNALERROR" not in text
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] + outcomes["errors"] == len(FAILING)
    assert {name: words for name, words in missing.items() if words} == {}, text


def test_a_hold_that_is_never_released_does_not_hang(project: pytest.Pytester) -> None:
    result = run_project(
        project,
        """
        from helper import GRAPH, connect, post
        def test(comfyui):
            hold = comfyui.hold_at("execution_start")
            with connect(f"{comfyui.ws_url}/ws?clientId=a") as ws:
                post(comfyui, "/prompt", {"prompt": GRAPH, "client_id": "a"})
                hold.wait()
        """,
    )

    assert result.ret == 0, result.stdout.str()


def test_settings_come_from_the_nearest_place(project: pytest.Pytester) -> None:
    project.makeconftest(
        "import pytest\n@pytest.fixture\ndef comfyui_speed(): return 3\n"
        "@pytest.fixture\ndef comfyui_seed(): return 11\n"
    )
    project.makeini("[pytest]\ncomfyui_speed = 2\ncomfyui_seed = 4\ncomfyui_timeout = 9\n")

    result = run_project(
        project,
        """
        import pytest
        def test_fixture_over_ini(comfyui):
            assert (comfyui.settings.seed, comfyui.settings.timeout_s) == (11, 9)
        @pytest.mark.comfyui(seed=5)
        def test_marker_over_fixture(comfyui):
            assert comfyui.settings.seed == 5
        @pytest.mark.comfyui(speed=4)
        def test_command_line_over_marker(comfyui):
            assert comfyui.settings.speed == 7
        """,
        "--comfyui-speed=7",
    )

    assert result.parseoutcomes() == {"passed": 3}, result.stdout.str()
