"""A small client as a downstream project might have; the plugin's tests copy it there."""

import http.client
import json

from websockets.sync.client import connect

GRAPH = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 7},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
}


def post(server, path, body):
    http_ = http.client.HTTPConnection(server.host, server.port, timeout=5)
    http_.request("POST", path, json.dumps(body))
    answer = http_.getresponse()
    data = answer.read()
    http_.close()
    return answer.status, json.loads(data) if data else None


def get(server, path):
    http_ = http.client.HTTPConnection(server.host, server.port, timeout=5)
    http_.request("GET", path)
    data = http_.getresponse().read()
    http_.close()
    return json.loads(data)


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
