"""Plain tests and a unittest class, a client of requests and websockets.sync."""

import unittest

import pytest
import requests
from helper import GRAPH
from websockets.sync.client import connect


def run(comfyui):
    with requests.Session() as http, connect(f"{comfyui.ws_url}/ws?clientId=me") as ws:
        body = {"prompt": GRAPH, "client_id": "me"}
        prompt_id = http.post(f"{comfyui.url}/prompt", json=body).json()["prompt_id"]
        while '"execution_success"' not in ws.recv(timeout=5):
            pass
        return http.get(f"{comfyui.url}/history/{prompt_id}").json()[prompt_id]


@pytest.mark.parametrize("n", range(28))
def test_each_has_a_server_of_its_own(comfyui, n):
    assert requests.get(f"{comfyui.url}/history", timeout=5).json() == {}
    assert run(comfyui)["status"]["status_str"] == "success"
    comfyui.assert_socket_before_post()


@pytest.mark.usefixtures("_server")
class TestUnittest(unittest.TestCase):
    @pytest.fixture
    def _server(self, comfyui):
        self.comfyui = comfyui

    def test_one(self):
        self.assertEqual(run(self.comfyui)["status"]["status_str"], "success")

    def test_another(self):
        self.assertEqual(self.comfyui.prompts, [])
