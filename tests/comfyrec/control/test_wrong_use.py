"""Wrong uses of the control plane: status 400, one sentence, and a mend that works.

A row has a wrong request, words of the sentence, and the request that the sentence leads to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import pytest
from websockets.sync.client import connect

from comfyrec.control import controlled
from comfyrec.testing.handle import ComfyUI
from comfyrec.testing.settings import PluginSettings
from tests.support.scripted_source import Plain

PROMPT = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}
OF_PYTHON = re.compile(r"Traceback|\[Errno|<class|object has no|`\w+`|\(char \d")


class Row(NamedTuple):
    """A request below ``/__fake__``, words of the answer, and the path or body that is right."""

    request: str
    body: Any
    words: str
    mended: Any
    """The body; or a whole request as text, without a body."""


SCENARIO, SERVERS, DROP = "PUT /scenario", "POST /servers", "POST /sockets/drop"
ROWS = {
    "an unknown scenario": Row(
        SCENARIO, {"name": "sucess"}, "did you mean 'success'?", {"name": "success"}),
    "an unknown parameter": Row(
        SCENARIO, {"name": "success", "params": {"nods": {}}}, "did you mean 'nodes'?",
        {"name": "success", "params": {"nodes": {}}}),
    "an unknown key of a plan": Row(
        SCENARIO, {"name": "success", "params": {"nodes": {"1": {"secnds": 1}}}}, "'seconds'",
        {"name": "success", "params": {"nodes": {"1": {"seconds": 1}}}}),
    "an unknown field": Row(SCENARIO, {"nam": "success"}, "did you mean 'name'?",
                            {"name": "success"}),
    "no name": Row(SCENARIO, {}, '"name" is missing; write it as in {"name": "ws-silent"',
                   {"name": "ws-silent"}),
    "a name that is not text": Row(SCENARIO, {"name": 3}, '"name" is wrong: expected a text',
                                   {"name": "success"}),
    "parameters that are no object": Row(
        SCENARIO, {"name": "success", "params": [1]}, "expected an object, got a list",
        {"name": "success", "params": {}}),
    "a body that is not JSON": Row(SCENARIO, b"{", "not valid JSON", {"name": "success"}),
    "a body that is not an object": Row(SCENARIO, [1], "must be a JSON object",
                                        {"name": "success"}),
    "a scenario of another address": Row(
        SCENARIO, {"name": "tls-self-signed"}, "from its start or not at all",
        {"name": "success"}),
    "an unknown thing to reset": Row("POST /reset", {"what": ["quue"]}, "did you mean 'queue'?",
                                     {"what": ["queue"]}),
    "a reset of no list": Row("POST /reset", {"what": "queue"}, "expected a list",
                              {"what": ["queue"]}),
    "a socket that is not there": Row(DROP, {"socket": 99}, "GET /__fake__/sockets",
                                      "GET /sockets"),
    "a code that is none": Row(DROP, {"code": 99}, "a whole number >= 1000", {"code": 1000}),
    "a reason too long": Row(DROP, {"code": 1000, "reason": "x" * 124}, "123 bytes",
                             {"code": 1000, "reason": "x" * 123}),
    "a client that is not there": Row(DROP, {"client_id": "you"}, "open are those of me",
                                      {"client_id": "me"}),
    "a reason without a code": Row(DROP, {"reason": "x"}, 'goes with "code"',
                                   {"reason": "x", "code": 1000}),
    "time backwards": Row("POST /time/advance", {"seconds": -1}, "a number >= 0",
                          {"seconds": 0}),
    "a time that is none": Row("POST /time/advance", {"seconds": "soon"}, "expected a number",
                               {"seconds": 2}),
    "a speed that is none": Row("PUT /time/speed", {"speed": "fast"}, "it is one of max",
                                {"speed": "max"}),
    "a speed below 0": Row("PUT /time/speed", {"speed": -1}, '{"speed": "max"}',
                           {"speed": "max"}),
    "nothing to learn from": Row("POST /catalogue", {}, '{"workflow": a workflow}',
                                 {"workflow": PROMPT}),
    "a workflow that is a list": Row("POST /catalogue", {"workflow": [1]}, "expected an object",
                                     {"workflow": PROMPT}),
    "what is not a workflow": Row("POST /catalogue", {"workflow": {"a": 1}}, "no workflow in it",
                                  {"workflow": PROMPT}),
    "a place in the journal that is none": Row(
        "GET /journal?after=x", None, "expected a whole number", "GET /journal?after=0"),
    "a kind of entry that is none": Row(
        "GET /journal?what=requests", None, "mean 'request'?", "GET /journal?what=request"),
    "a filter that is none": Row(
        "GET /requests?paht=/prompt", None, "did you mean 'path'?", "GET /requests?path=/prompt"),
    "a query where none is": Row("GET /time?at=3", None, "has no filter 'at'; leave it out",
                                 "GET /time"),
    "a frame of no type": Row("GET /frames?type=progres", None, "did you mean 'progress'?",
                              "GET /frames?type=progress"),
    "an event that is none": Row("POST /holds", {"event": "executin"}, "mean 'executing'?",
                                 {"event": "executing"}),
    "a field that is none": Row(
        "POST /holds", {"event": "executing", "where": {"nod": "1"}}, "did you mean 'node'?",
        {"event": "executing", "where": {"node": "1"}}),
    "a hold that is not there": Row("DELETE /holds/7", None, "GET /__fake__/holds lists them",
                                    "GET /holds"),
    "a server that is not there": Row("GET /servers/7/time", None, "GET /__fake__/servers",
                                      "GET /servers"),
    "no scenarios": Row("PUT /scenarios", {"scenarios": []}, '{"scenarios": ["success"]}',
                        {"scenarios": ["success"]}),
    "an unknown one of several": Row(
        "PUT /scenarios", {"scenarios": ["success", "sucess"]}, "did you mean 'success'?",
        {"scenarios": ["success", "ws-silent"]}),
    "a cassette that is not there": Row(
        "PUT /cassette", {"file": "all-cachd"}, "did you mean the bundled 'all-cached'?",
        {"file": "all-cached"}),
    "two kinds of bounds": Row(
        "POST /verify", {"request": {}, "count": 1, "at_least": 1}, 'either "count"',
        {"request": {}, "count": 1}),
    "bounds the wrong way": Row(
        "POST /verify", {"request": {}, "at_least": 3, "at_most": 1}, "below",
        {"request": {}, "at_least": 1, "at_most": 3}),
    "a pattern with an unknown part": Row(
        "POST /verify", {"request": {"pth": "/prompt"}}, "unknown field",
        {"request": {"path": "/prompt"}}),
    "an assertion that is none": Row("POST /assert", {"name": "closed"}, "mean 'all_closed'?",
                                     {"name": "all_closed", "timeout_s": 0}),
    "a prompt like nothing": Row("POST /assert", {"name": "prompt"}, '{"expected": the graph}',
                                 {"name": "prompt", "expected": PROMPT}),
    "a server of two kinds": Row(
        SERVERS, {"scenario": "success", "scenarios": ["success"]}, "either",
        {"scenarios": ["success"]}),
    "a plan over a cassette": Row(
        SERVERS, {"plan": {}, "cassette": "all-cached"}, '"plan" goes with',
        {"plan": {}}),
    "parameters of no scenario": Row(SERVERS, {"params": {"nodes": {}}}, '"params" are those',
                                     {"scenario": "success", "params": {"nodes": {}}}),
    "a server of an unknown scenario": Row(
        SERVERS, {"scenario": "ws-silnt"}, "did you mean 'ws-silent'?",
        {"scenario": "ws-silent"}),
    "a server of no version": Row(SERVERS, {"version": "banana"}, "give one like 0.27.0",
                                  {"version": "0.27.0"}),
    "a server of a version too new": Row(SERVERS, {"version": "9.9.9"}, "give 0.46.0",
                                         {"version": "0.46.0"}),
    "a wait without end": Row(
        "POST /wait/request", {"method": "GET", "path": "/queue", "timeout_s": 9999}, "<= 600",
        {"method": "GET", "path": "/queue", "timeout_s": 5}),
    "a method that is none": Row(
        "POST /wait/request", {"method": "GTE", "path": "/queue"}, "did you mean 'GET'?",
        {"method": "GET", "path": "/queue"}),
    "a path with /api": Row(
        "POST /wait/request", {"method": "GET", "path": "/api/queue"}, "give '/queue' in place",
        {"method": "GET", "path": "/queue"}),
}  # fmt: skip


@pytest.fixture
def server() -> Iterator[ComfyUI]:
    with closing(controlled(PluginSettings(speed=0.0))) as server:
        yield server


def ask(server: ComfyUI, request: str, body: Any = None, below: str = "/__fake__") -> Any:
    method, path = request.split()
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"{method} {below}{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
    with Plain(server.port) as client:
        status, fields, got = client.ask(head, data)
    return status, json.loads(got) if "json" in fields.get("content-type", "") else got


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_a_wrong_use_is_one_sentence_with_a_mend_that_works(server: ComfyUI, name: str) -> None:
    row = ROWS[name]
    with connect(f"{server.ws_url}/ws?clientId=me"):
        ask(server, "GET /queue", below="")
        status, told = ask(server, row.request, row.body)

        assert (status, list(told)) == (400, ["error"])
        assert row.words in told["error"]
        assert "\n" not in told["error"] and not OF_PYTHON.search(told["error"])

        if isinstance(row.mended, str):
            status, told = ask(server, row.mended)
        else:
            status, told = ask(server, row.request, row.mended)
        assert status == 200, told
