"""The plugin as a downstream project uses it: fresh projects, run by pytest itself."""

from __future__ import annotations

import re
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
    "a test runs once for each scenario of a category": """
        import pytest
        @pytest.mark.comfyui_scenarios("silence")
        def test(comfyui, request):
            assert f"[{comfyui.settings.scenario}]" in request.node.name
        """,
    "another scenario, a cassette and a plan from now on": """
        from helper import run
        def test(comfyui):
            url = comfyui.url
            assert "execution_error" in run(comfyui.scenario("execution-error"))
            assert "execution_success" in run(comfyui.plan({"1": {"steps": 2}}))
            comfyui.cassette("all-cached")
            assert comfyui.url == url
            assert len(comfyui.prompts) == 2
        """,
    "scenarios that are more than frames": """
        import pytest
        @pytest.mark.comfyui(scenario="tls-self-signed")
        def test_tls(comfyui):
            assert comfyui.url.startswith("https://")
            assert comfyui.ws_url.startswith("wss://")
        @pytest.mark.comfyui(scenario="base-path")
        def test_a_path_in_front(comfyui):
            assert comfyui.url.endswith("/prefix")
        def test_not_from_now_on(comfyui):
            with pytest.raises(Exception, match="name it in the marker, or use comfyui_factory"):
                comfyui.scenario("tls-self-signed")
        """,
    "uploads and requests are journalled": """
        import http.client
        from helper import get
        def test(comfyui):
            lines = [
                b"--b",
                b'Content-Disposition: form-data; name="image"; filename="a.png"',
                b"", b"x", b"--b--", b"",
            ]
            body = bytes([13, 10]).join(lines)
            http_ = http.client.HTTPConnection(comfyui.host, comfyui.port, timeout=5)
            http_.request("POST", "/upload/image", body,
                          {"Content-Type": "multipart/form-data; boundary=b"})
            assert http_.getresponse().status == 200
            http_.close()
            assert [r.path for r in comfyui.uploads] == ["/upload/image"]
            get(comfyui, "/api/queue?x=1")
            assert str(comfyui.requests[-1]) == "GET /queue -> 200"
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
            assert os.environ["COMFYUI_HOST"] == comfyui.host
            same = ("COMFY_BASE_URL", "COMFYUI_BASE_URL", "AUTOFLOW_COMFYUI_SERVER_URL")
            assert {os.environ[name] for name in same} == {comfyui.url}
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
    # A session of thousands of tests must not keep the frames of all of them.
    "nothing_is_left_of_a_server": """
        import gc, weakref
        SERVERS = []
        def test_a_server(comfyui):
            SERVERS.append(weakref.ref(comfyui))
        def test_is_gone_after_its_test():
            gc.collect()
            assert SERVERS[0]() is None
        """,
}


@pytest.mark.slow
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
        ["give one of them"],
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
    "holds and faults in the timeline": (
        "from helper import GRAPH, connect, post\n"
        "def test(comfyui):\n"
        "    with connect(f'{comfyui.ws_url}/ws?clientId=a') as ws:\n"
        "        hold = comfyui.hold_at('executing', node='2')\n"
        "        post(comfyui, '/prompt', {'prompt': GRAPH, 'client_id': 'a'})\n"
        "        with hold: comfyui.drop_socket('a')\n"
        "    comfyui.restart()\n"
        "    assert 0",
        ["-- held at executing, node='2'", "sockets [1] cut", "-- released", "the server stops"],
    ),
    "a hold that is never reached": (
        "def test(comfyui): comfyui.hold_at('executed').wait(timeout=0.05)",
        ["waited 0.05 s for the frame executed", "it has sent nothing"],
    ),
    "the timeline of a failing test": (
        "from helper import run\ndef test(comfyui):\n    run(comfyui)\n    assert 0",
        ["comfyui timeline", "-> POST /prompt", "execution_success"],
    ),
    "a client that posts before it connects, and waits for ever": (
        "from helper import GRAPH, connect, post\n"
        "import pytest\n"
        "@pytest.mark.comfyui(idle_limit=0.3)\n"
        "def test(comfyui):\n"
        "    post(comfyui, '/prompt', {'prompt': GRAPH, 'client_id': 'a'})\n"
        "    comfyui.wait_until(lambda: comfyui.messages_to_nobody > 9, 'its end')\n"
        "    with connect(f'{comfyui.ws_url}/ws?clientId=a') as ws:\n"
        "        while True:\n            ws.recv()",
        [
            "a client waited 0.3 s for a server that had nothing more to say",
            "was posted before its socket was open; 1",
            "frames went to nobody",
        ],
    ),
    "the story of a failing test": (
        "from helper import run\n"
        "import pytest\n"
        "@pytest.mark.comfyui(scenario='execution-error')\n"
        "def test(comfyui):\n    assert run(comfyui) == 0",
        ["comfyui story", "diagnosis: prompt ", " failed: ", "1 prompt: 1 failed"],
    ),
    "a scenario that did not take place": (
        "from helper import run\n"
        "@pytest.mark.comfyui(scenario='missing-outputs-after-success', node_ids=['99'])\n"
        "def test(comfyui): run(comfyui)",
        ["the fake server complains", "missing-outputs-after-success"],
    ),
    "two cassettes": (
        "@pytest.mark.comfyui(cassette='all-cached')\n"
        "@pytest.mark.comfyui(cassette='fresh-run-previews')\n"
        "def test(comfyui): pass",
        ["two comfyui markers name the cassettes 'fresh-run-previews' and 'all-cached'"],
    ),
    "a list of cassettes": (
        "@pytest.mark.comfyui(cassette=['a', 'b'])\ndef test(comfyui): pass",
        ["comfyui cassette: ['a', 'b'] is neither a path nor a name nor True"],
    ),
    "a cassette of a wrong name": (
        "@pytest.mark.comfyui(cassette='all-chached')\ndef test(comfyui): pass",
        ["all-chached", "all-cached"],
    ),
    "a parameter for a cassette": (
        "@pytest.mark.comfyui(cassette='all-cached', count=3)\ndef test(comfyui): pass",
        ["a replayed cassette takes no parameters, but was given count"],
    ),
    "a hold that is never released": (
        "from helper import GRAPH, connect, post\n"
        "def test(comfyui):\n"
        "    hold = comfyui.hold_at('execution_start')\n"
        "    with connect(f'{comfyui.ws_url}/ws?clientId=a'):\n"
        "        post(comfyui, '/prompt', {'prompt': GRAPH, 'client_id': 'a'})\n"
        "        hold.wait()",
        ["the server is still held at execution_start; release() it before the test ends"],
    ),
    "a hold that nobody waits for and that is never reached": (
        "from helper import run\n"
        "def test(comfyui):\n"
        "    comfyui.hold_at('executing', node='99')\n"
        "    run(comfyui)",
        [
            "the server was never held at executing, node='99': no such frame was sent to a client",
            "or release() the hold if that is as it should be",
        ],
    ),
    "a test that waits for what it holds": (
        "from helper import GRAPH, connect, post\n"
        "@pytest.mark.comfyui(timeout=0.05)\n"
        "def test(comfyui):\n"
        "    hold = comfyui.hold_at('execution_start')\n"
        "    with connect(f'{comfyui.ws_url}/ws?clientId=a') as ws:\n"
        "        post(comfyui, '/prompt', {'prompt': GRAPH, 'client_id': 'a'})\n"
        "        while 'execution_success' not in ws.recv(): pass",
        ["ConnectionClosedError", "held at execution_start for 0.3 s and was not released"],
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


@pytest.mark.slow
def test_failures_explain_themselves(project: pytest.Pytester) -> None:
    codes = {name: f"import pytest\n{code}" for name, (code, _) in FAILING.items()}

    result = run_projects(project, codes, "--continue-on-collection-errors")

    text = result.stdout.str() + result.stderr.str()
    missing = {name: [w for w in words if w not in text] for name, (_, words) in FAILING.items()}
    assert "INTERNALERROR" not in text
    told = re.findall(r"^(?:FAILED|ERROR) test_(\d+)\.py", text, re.MULTILINE)
    assert {int(number) for number in told} == set(range(len(FAILING)))
    assert {name: words for name, words in missing.items() if words} == {}, text


@pytest.mark.slow
def test_a_server_thread_that_dies_fails_the_test_and_does_not_hang(
    project: pytest.Pytester,
) -> None:
    result = run_project(
        project,
        """
        from helper import until_refused
        def test(comfyui):
            def dies():
                raise SystemExit("gone")
            comfyui._handle.thread.loop.call_soon_threadsafe(dies)
            until_refused(comfyui)
            comfyui.wait_for_request("GET", "/never", timeout=0.05)
        """,
    )

    text = result.stdout.str()
    assert "its thread has ended: SystemExit('gone')" in text
    assert "the thread of the fake server has ended" in text
    assert "INTERNALERROR" not in text


CUSTOM = """
import json, urllib.request, urllib.error, pytest
GRAPH = {"1": {"class_type": "MyLoader", "inputs": {"lora_name": "mine.safetensors"}},
         "2": {"class_type": "ShowMe", "inputs": {"model": ["1", 0]}}}
def post(comfyui, graph=GRAPH):
    body = json.dumps({"prompt": graph}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{comfyui.url}/prompt", body)) as answer:
        return json.load(answer)
"""
ANY_WORKFLOW = {
    "a marker names the workflows": """
        from custom import json, post, pytest, urllib
        @pytest.mark.comfyui(workflow="flows/*.json", models={"vae": ["my.vae"]})
        def test(comfyui):
            assert post(comfyui)["node_errors"] == {}
            with urllib.request.urlopen(f"{comfyui.url}/models/vae") as answer:
                assert json.load(answer) == ["my.vae"]
        """,
    "any class is accepted": """
        from custom import post, pytest
        @pytest.mark.comfyui(unknown_nodes="accept")
        def test(comfyui):
            assert post(comfyui)["node_errors"] == {}
        """,
    "a server learns while it runs and goes on knowing": """
        from custom import post, pytest, GRAPH
        def test(comfyui):
            assert comfyui.learn(GRAPH)["models"] == {"loras": ["mine.safetensors"]}
            post(comfyui)
            comfyui.restart()
            assert post(comfyui)["node_errors"] == {}
        """,
    "a file is learned from as well": """
        from pathlib import Path
        from custom import post
        def test(comfyui):
            comfyui.learn(Path(__file__).parent / "flows" / "a.json")
            assert post(comfyui)["node_errors"] == {}
        """,
}


@pytest.mark.slow
def test_any_workflow_runs_in_a_test(project: pytest.Pytester) -> None:
    project.makepyfile(custom=CUSTOM)
    flows = project.mkdir("flows")
    (flows / "a.json").write_text(
        '{"1": {"class_type": "MyLoader", "inputs": {"lora_name": "mine.safetensors"}},'
        ' "2": {"class_type": "ShowMe", "inputs": {"model": ["1", 0]}}}'
    )

    run_projects(project, ANY_WORKFLOW).assert_outcomes(passed=len(ANY_WORKFLOW))


@pytest.mark.slow
def test_a_refused_class_is_hinted_at_in_the_report_of_a_failing_test(
    project: pytest.Pytester,
) -> None:
    project.makepyfile(custom=CUSTOM)

    result = run_project(
        project, "from custom import post\ndef test(comfyui):\n    post(comfyui)\n"
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*comfyui hints*",
            "'MyLoader', 'ShowMe' are not in the catalogue: name a file that uses it, as in "
            "@pytest.mark.comfyui(workflow='FILE'), or give unknown_nodes='accept'",
        ]
    )


WRONG_NODES = {
    "workflow=5": "comfyui workflow: 5 is not a path, a pattern or a list of them",
    "workflow='nothing/*.json'": "no file fits this pattern",
    "models=['a']": "is not a mapping of folders to lists of files",
    "models={'lora': ['a']}": "no model folder 'lora'; did you mean 'loras'?",
    "unknown_nodes='maybe'": "'maybe': give refuse or accept",
}


@pytest.mark.slow
def test_nodes_that_cannot_be_had_are_said_in_one_sentence(project: pytest.Pytester) -> None:
    codes = {
        keyword: f"""
        import pytest
        @pytest.mark.comfyui({keyword})
        def test(comfyui):
            pass
        """
        for keyword in WRONG_NODES
    }

    result = run_projects(project, codes)

    result.assert_outcomes(errors=len(WRONG_NODES))
    for words in WRONG_NODES.values():
        result.stdout.fnmatch_lines([f"*{words.replace('[', '[[]')}*"])
