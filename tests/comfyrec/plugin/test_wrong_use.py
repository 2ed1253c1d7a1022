"""Wrong uses of the pytest plugin: one sentence each, no traceback, and a mend that works.

All wrong tests stand in one file and all mended ones in another, so that two runs do for all.
"""

from __future__ import annotations

import re
from textwrap import indent
from typing import NamedTuple

import pytest

pytest_plugins = ["pytester"]

OF_PYTHON = re.compile(r"Traceback|\[Errno|During handling|<class|object has no|`int`|TypeError")


class Row(NamedTuple):
    """The keywords of the marker and the body of a test, words of the sentence, and the mend."""

    words: str
    marker: str = ""
    body: str = "pass"
    mended_marker: str = ""
    mended_body: str = "pass"
    takes: str = "comfyui"


ROWS = {
    "a scenario": Row("did you mean 'ws-silent'?", "scenario='ws-slient'",
                      mended_marker="scenario='ws-silent'"),
    "a parameter": Row("did you mean 'after'?", "scenario='ws-silent', aftr='start'",
                       mended_marker="scenario='ws-silent', after='start'"),
    "a parameter's value": Row(
        "one of 'connect', 'start' or a number", "scenario='ws-silent', after='never'",
        mended_marker="scenario='ws-silent', after=3"),
    "a keyword": Row("did you mean 'scenario'?", "scenari='ws-silent'",
                     mended_marker="scenario='ws-silent'"),
    "a place": Row("only keywords, such as comfyui(scenario='oom')", "'oom'",
                   mended_marker="scenario='oom'"),
    "a version that is none": Row("give one like 0.27.0", "version='abc'",
                                  mended_marker="version='0.27.0'"),
    "a version too new": Row("give 0.46.0, the newest that is known", "version='9.9.9'",
                             mended_marker="version='0.46.0'"),
    "a version as a number": Row("write it as '0.27.0'", "version=0.27",
                                 mended_marker="version='0.27.0'"),
    "a marker alone": Row("take the fixture comfyui as well", "scenario='oom'", takes="",
                          mended_marker="scenario='oom'"),
    "a cassette of a wrong name": Row(
        "did you mean the bundled 'all-cached'?", "cassette='all-cachd'",
        mended_marker="cassette='all-cached'"),
    "a cassette of a wrong kind": Row("neither a path nor a name nor True", "cassette=5",
                                      mended_marker="cassette='all-cached'"),
    "a cassette and a scenario": Row(
        "give one of them", "cassette='all-cached', scenario='success'",
        mended_marker="cassette='all-cached'"),
    "a parameter of a cassette": Row(
        "takes no parameters, but was given", "cassette='all-cached', delay=3",
        mended_marker="cassette='all-cached'"),
    "a model folder": Row("did you mean 'loras'?", "models={'lora': ['a']}",
                          mended_marker="models={'loras': ['a']}"),
    "models without files": Row("is not FOLDER=NAME,NAME; write it so", "models='loras'",
                                mended_marker="models='loras=a,b'"),
    "models as a list": Row("as in {'loras': ['mine.safetensors']}", "models=['a']",
                            mended_marker="models={'loras': ['mine.safetensors']}"),
    "unknown nodes": Row("did you mean 'accept'?", "unknown_nodes='acept'",
                         mended_marker="unknown_nodes='accept'"),
    "a speed": Row("give such a one or 'max'", "speed='fast'", mended_marker="speed='max'"),
    "a seed": Row("give one such as 7", "seed='x'", mended_marker="seed=7"),
    "a limit": Row("is not a number greater than 0", "timeout=0", mended_marker="timeout=1"),
    "another limit": Row("is not a number from 0", "idle_limit='x'", mended_marker="idle_limit=0"),
    "a switch": Row("give 1 or 0", "strict='maybe'", mended_marker="strict='1'"),
    "a workflow": Row("give a workflow, a folder or a pattern", "workflow='nofile.json'",
                      mended_marker="workflow='flow.json'"),
    "an object_info": Row("give what GET /object_info of a server answers", "object_info='nofile'",
                          mended_marker="object_info='info.json'"),
    "a record mode": Row("the modes are none, once,", "record='onc'",
                         mended_marker="record='once'"),
    "a recording of nothing": Row(
        "--comfyui-upstream URL", "record='once', cassette=True", mended_marker="record='once'"),
    "an upstream": Row(
        "give one like http://127.0.0.1:8188",
        "record='all', cassette=True, upstream='ftp://x'", mended_marker="upstream='http://x'"),
    "a frame": Row("did you mean 'executing'?", body="comfyui.hold_at('executin')",
                   mended_body="comfyui.hold_at('executing').release()"),
    "a field": Row("did you mean 'node'?", body="comfyui.hold_at('executing', nod='3')",
                   mended_body="comfyui.hold_at('executing', node='3').release()"),
    "a client": Row("there are me",
                    body="open_socket(comfyui, 'me'); comfyui.drop_socket('nobody')",
                    mended_body="open_socket(comfyui, 'me'); comfyui.drop_socket('me')"),
    "a close code": Row("give a code from 1000 to 4999", body="comfyui.drop_socket(code=99)",
                        mended_body="comfyui.drop_socket(code=1001)"),
    "a method": Row("did you mean 'PATCH'?",
                    body="comfyui.wait_for_request('PATSCH', '/prompt', timeout=0.01)",
                    mended_body="comfyui.aio; comfyui.requests_to('PATCH', '/prompt')"),
    "a path without a slash": Row(
        "give '/prompt' in place of 'prompt'", body="comfyui.wait_for_request('GET', 'prompt')",
        mended_body="ask(comfyui, '/prompt'); comfyui.wait_for_request('GET', '/prompt')"),
    "a path with /api": Row(
        "give '/prompt'", body="comfyui.wait_for_request('GET', '/api/prompt')",
        mended_body="ask(comfyui, '/api/prompt'); comfyui.wait_for_request('GET', '/prompt')"),
    "a scenario later": Row("did you mean 'ws-silent'?", body="comfyui.scenario('ws-slient')",
                            mended_body="comfyui.scenario('ws-silent')"),
    "a scenario of another address": Row(
        "name it in the marker", body="comfyui.scenario('tls-self-signed')",
        mended_marker="scenario='tls-self-signed'"),
    "a plan": Row("did you mean 'seconds'?", body="comfyui.plan({'3': {'secnds': 2}})",
                  mended_body="comfyui.plan({'3': {'seconds': 2}}, strict=False)"),
    "a workflow later": Row("cannot be read (No such file", body="comfyui.learn('nofile.json')",
                            mended_body="comfyui.learn('flow.json')"),
    "a part": Row("did you mean 'queue'?", body="comfyui.reset(['quue'])",
                  mended_body="comfyui.reset(['queue'])"),
    "time": Row("give 0 or more seconds", body="comfyui.advance(-1)",
                mended_body="comfyui.advance(0)"),
    "a speed later": Row("give a number from 0, or 'max'", body="comfyui.set_speed('fast')",
                         mended_body="comfyui.set_speed('max')"),
    "a factory's keyword": Row(
        "did you mean 'scenario'?", body="comfyui_factory(scenari='oom')",
        mended_body="comfyui_factory(scenario='oom')", takes="comfyui_factory"),
    "a factory's version": Row(
        "give 0.46.0", body="comfyui_factory(version='9.9.9')",
        mended_body="comfyui_factory(version='0.46.0')", takes="comfyui_factory"),
}  # fmt: skip

HELP = """
import pytest, urllib.request
from websockets.sync.client import connect

sockets = []

def open_socket(comfyui, client_id):
    sockets.append(connect(f"{comfyui.ws_url}/ws?clientId={client_id}"))
    comfyui.wait_for_socket()

def ask(comfyui, path):
    urllib.request.urlopen(comfyui.url + path).read()

@pytest.fixture(autouse=True)
def _closed():
    yield
    while sockets:
        sockets.pop().close()
"""
FLOW = '{"1": {"class_type": "ShowMe", "inputs": {}}}'
INFO = '{"ShowMe": {"input": {}, "output": []}}'


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makefile(".json", flow=FLOW, info=INFO)
    return pytester


def _file(rows: dict[str, Row], *, mended: bool) -> str:
    tests = [HELP]
    for name, row in rows.items():
        marker = row.mended_marker if mended else row.marker
        takes = (row.takes or "comfyui") if mended else row.takes
        body = row.mended_body if mended else row.body
        mark = f"@pytest.mark.comfyui({marker})\n" if marker else ""
        tests.append(f"{mark}def test_{_word(name)}({takes}):\n{indent(body, '    ')}\n")
    return "\n".join(tests)


def _word(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _run(project: pytest.Pytester, rows: dict[str, Row], *, mended: bool) -> dict[str, list[str]]:
    """Test -> the sentences of its failures."""
    project.makepyfile(_file(rows, mended=mended))
    reports = project.inline_run("-p", "no:cacheprovider").getreports("pytest_runtest_logreport")
    found: dict[str, list[str]] = {_word(name): [] for name in rows}
    for report in reports:
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            said = str(report.longrepr) if crash is None else crash.message
            found[report.nodeid.rpartition("::test_")[2]].append(said)
    return found


@pytest.mark.slow
def test_each_wrong_use_is_one_sentence(project: pytest.Pytester) -> None:
    found = _run(project, ROWS, mended=False)

    for name, row in ROWS.items():
        sentences = found[_word(name)]
        assert len(sentences) == 1, (name, sentences)
        assert row.words in sentences[0], name
        assert "\n" not in sentences[0].strip(), name
        assert not OF_PYTHON.search(sentences[0]), name


def test_each_mend_works(project: pytest.Pytester) -> None:
    found = _run(project, ROWS, mended=True)

    assert found == {_word(name): [] for name in ROWS}


COLLECTED = {
    "a pattern": ("@pytest.mark.comfyui_scenarios('all-chached')", "comfyui", "'all-cached'?"),
    "no fixture": ("@pytest.mark.comfyui_scenarios('oom')", "", "take the fixture comfyui as well"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COLLECTED)
def test_scenarios_that_cannot_be_are_said_when_tests_are_collected(
    project: pytest.Pytester, name: str
) -> None:
    marker, takes, words = COLLECTED[name]
    project.makepyfile(f"import pytest\n{marker}\ndef test({takes}): pass\n")

    said = project.runpytest_inprocess("-p", "no:cacheprovider").stdout.str()

    assert words in said
    assert not OF_PYTHON.search(said)


def test_a_wrong_use_is_shown_at_the_line_of_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it='def test_one(comfyui):\n    comfyui.reset("journl")\n')

    shown = pytester.runpytest_inprocess("-p", "no:cacheprovider").stdout.str()
    whole = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--full-trace").stdout.str()

    assert "test_it.py:2: UsageError" in shown
    assert "there is no part 'journl'" in shown
    assert ("handle.py" in shown, "handle.py" in whole) == (False, True)
