"""A small client as a downstream project might have; the plugin's tests copy it there."""

import http.client
import json
from contextlib import closing

from websockets.sync.client import connect

GRAPH = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 7},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
}


def ask(server, method, path, body=None):
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=5)) as line:
        line.request(method, path, body)
        answer = line.getresponse()
        return answer.status, answer.read()


def post(server, path, body):
    status, data = ask(server, "POST", path, json.dumps(body))
    return status, json.loads(data) if data else None


def get(server, path):
    return json.loads(ask(server, "GET", path)[1])


def run(server, graph=GRAPH, client_id="me"):
    types = []
    with connect(f"{server.ws_url}/ws?clientId={client_id}") as ws:
        status, said = post(server, "/prompt", {"prompt": graph, "client_id": client_id})
        assert status == 200, said
        while True:
            frame = ws.recv(timeout=5)
            if isinstance(frame, bytes):
                continue
            frame = json.loads(frame)
            types.append(frame["type"])
            if frame["type"] == "executing" and frame["data"]["node"] is None:
                return types


def until_refused(server):
    """Ask until there is nobody who answers; each time with a bound."""
    for _ in range(1_000):
        try:
            get(server, "/queue")
        except (ConnectionError, http.client.HTTPException):
            return
    raise AssertionError("it still answers")
