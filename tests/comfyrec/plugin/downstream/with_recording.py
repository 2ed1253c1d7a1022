"""Tests that pytest-recording serves and blocks."""

import _socket
import socket

import pytest
import requests


@pytest.fixture(scope="module")
def vcr_config():
    return {"ignore_localhost": True}


@pytest.mark.vcr
@pytest.mark.parametrize("n", range(15))
def test_vcr_beside_it(comfyui, n):
    assert requests.get(f"{comfyui.url}/history", timeout=5).json() == {}


def reach_out():
    with socket.socket() as outside:
        outside.connect(("192.0.2.1", 80))


@pytest.mark.block_network(allowed_hosts=["127.0.0.1"])
@pytest.mark.parametrize("n", range(15))
def test_its_block_beside_it(comfyui, n):
    assert requests.get(f"{comfyui.url}/history", timeout=5).json() == {}
    with pytest.raises(RuntimeError, match="Network is disabled"):
        reach_out()


@pytest.mark.block_network(allowed_hosts=["127.0.0.1"])
@pytest.mark.comfyui(block_network=True)
def test_both_blocks(comfyui):
    assert requests.get(f"{comfyui.url}/history", timeout=5).json() == {}
    with pytest.raises(Exception, match=r"may not reach 192\.0\.2\.1:80|Network is disabled"):
        reach_out()


def test_both_blocks_are_lifted(pytestconfig):
    assert socket.socket.connect is _socket.socket.connect
    assert pytestconfig.getoption("--record-mode") is None
