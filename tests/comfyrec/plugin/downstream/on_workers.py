"""Tests that pytest-xdist deals out."""

import pytest
from helper import run


@pytest.mark.parametrize("n", range(60))
def test_a_prompt_runs(comfyui, n, worker_id):
    assert worker_id in ("gw0", "gw1")
    assert "execution_success" in run(comfyui)


@pytest.mark.comfyui(cassette="all-cached")
def test_a_cassette_that_is_hardly_used(comfyui):
    pass
