"""What a person types, and what the environment says, as an address."""

from __future__ import annotations

import pytest

from comfyrec.client import address
from comfyrec.errors import UsageError

WRITTEN = {
    "a host": ("gpu.local", "http://gpu.local:8188"),
    "a host and a port": ("gpu.local:9000", "http://gpu.local:9000"),
    "a URL": ("http://127.0.0.1:8188", "http://127.0.0.1:8188"),
    "a URL with a slash": ("http://127.0.0.1:8188/", "http://127.0.0.1:8188"),
    "a URL without a port": ("http://gpu.local", "http://gpu.local:80"),
    "TLS": ("https://gpu.local", "https://gpu.local:443"),
    "a socket's URL": ("ws://gpu.local:8188", "http://gpu.local:8188"),
    "a secure socket's URL": ("wss://gpu.local", "https://gpu.local:443"),
    "IPv6 with brackets": ("[::1]:8188", "http://[::1]:8188"),
    "IPv6 with brackets alone": ("[::1]", "http://[::1]:8188"),
    "IPv6 bare": ("::1", "http://[::1]:8188"),
    "a base path": ("https://gpu.local/comfy/", "https://gpu.local:443/comfy"),
    "a host with a path": ("gpu.local/comfy", "http://gpu.local:8188/comfy"),
    "blanks around": ("  gpu.local ", "http://gpu.local:8188"),
}


@pytest.mark.parametrize(("text", "shown"), WRITTEN.values(), ids=WRITTEN)
def test_an_address_may_be_written_in_many_ways(text: str, shown: str):
    assert str(address.parse(text)) == shown


def test_a_password_is_sent_and_never_shown():
    found = address.parse("http://me:p%40ss@gpu.local:1")

    assert str(found) == "http://gpu.local:1"
    assert found.authorization == "Basic bWU6cEBzcw=="


@pytest.mark.parametrize(
    ("text", "word"),
    {
        "port 0": ("gpu:0", "port 0"),
        "an odd scheme": ("ftp://gpu", "'ftp'"),
        "no host": ("http://:8188", "no host"),
        "nothing": ("", "no host"),
        "a port that is none": ("gpu:port", "is not an address"),
        "a port too big": ("gpu:70000", "is not an address"),
        "a query": ("http://gpu/?a=1", "no '?'"),
    }.values(),
    ids=str,
)
def test_what_is_no_address_is_refused_with_the_flag(text: str, word: str):
    with pytest.raises(UsageError) as caught:
        address.parse(text)

    assert "--server" in str(caught.value)
    assert word in str(caught.value)


def test_a_refused_address_does_not_show_its_password():
    with pytest.raises(UsageError) as caught:
        address.parse("http://me:hush@gpu:port")

    assert "hush" not in str(caught.value)


ENVIRONMENTS = {
    "nothing": ({}, "http://127.0.0.1:8188"),
    "the URL": ({"COMFYUI_URL": "http://a:1"}, "http://a:1"),
    "the URL wins": ({"COMFYUI_HOST": "b", "COMFYUI_URL": "http://a:1"}, "http://a:1"),
    "an empty one does not count": ({"COMFYUI_URL": " ", "COMFYUI_HOST": "b"}, "http://b:8188"),
    "host and port": ({"COMFYUI_HOST": "b", "COMFYUI_PORT": "9"}, "http://b:9"),
    "host with its own port": ({"COMFYUI_HOST": "b:7", "COMFYUI_PORT": "9"}, "http://b:7"),
    "host as a URL": ({"COMFYUI_HOST": "https://b", "COMFYUI_PORT": "9"}, "https://b:443"),
    "IPv6 host": ({"COMFYUI_HOST": "::1", "COMFYUI_PORT": "9"}, "http://[::1]:9"),
    "bracketed host": ({"COMFYUI_HOST": "[::1]", "COMFYUI_PORT": "9"}, "http://[::1]:9"),
    "the official SDK's": ({"COMFY_BASE_URL": "http://c:2"}, "http://c:2"),
    "Open WebUI's": ({"COMFYUI_BASE_URL": "http://d:3"}, "http://d:3"),
    "autoflow's": ({"AUTOFLOW_COMFYUI_SERVER_URL": "http://e:4"}, "http://e:4"),
    "Salad's port": ({"COMFYUI_PORT_HOST": "5"}, "http://127.0.0.1:5"),
}


@pytest.mark.parametrize(("environment", "shown"), ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_the_environment_is_read_in_the_stated_order(environment: dict[str, str], shown: str):
    assert str(address.from_environment(environment)) == shown


def test_a_port_alone_is_refused():
    with pytest.raises(UsageError, match="COMFYUI_HOST"):
        address.from_environment({"COMFYUI_PORT": "8188"})


def test_an_error_names_the_variable():
    with pytest.raises(UsageError, match=r"^COMFYUI_BASE_URL: "):
        address.from_environment({"COMFYUI_BASE_URL": "ftp://x"})


def test_variables_name_the_address() -> None:
    variables = address.address_variables("http://127.0.0.1:8188")

    assert variables["COMFYUI_URL"] == "http://127.0.0.1:8188"
    assert (variables["COMFYUI_HOST"], variables["COMFYUI_PORT"]) == ("127.0.0.1", "8188")
