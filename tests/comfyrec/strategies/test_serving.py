"""The ten-line recipe finds what is wrong with each wrong client, and nothing in the right one.

``COMFYREC_FUZZ=deep`` shrinks what it finds, too, and looks at what is left to read.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from comfyrec.strategies import Judged, Stream, fake_comfyui, played, scenarios
from tests.comfyrec.check.specimens.matrix import SPECIMENS
from tests.comfyrec.check.specimens.right import Client
from tests.support.fuzzed import SHORT, WHOLE, client_of, fuzz, recipe
from tests.support.lanes import DEEP

pytestmark = pytest.mark.long

# What a client holds in memory is in no report; ``comfyrec check`` measures its process.
WRONG = [name for name in SPECIMENS[1:] if name != "hoards"]
ONE_NODE = {"1": {"class_type": "PreviewAny", "inputs": {"source": ""}}}


def test_the_recipe_has_ten_lines_at_most() -> None:
    assert len([line for line in recipe().splitlines() if line.strip()]) <= 10


def told_of(found: BaseException) -> str:
    """What hypothesis prints of a failure: the error and the example."""
    return "\n".join([f"{type(found).__name__}: {found}", *getattr(found, "__notes__", ())])


@pytest.mark.parametrize("name", WRONG)
def test_the_recipe_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    found = fuzz(monkeypatch, name, examples=500, phases=WHOLE if DEEP else SHORT)

    assert found is not None
    assert not DEEP or len(told_of(found)) < 1_000


def test_what_is_found_is_short_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    found = fuzz(monkeypatch, "trusts_the_null", examples=100, phases=WHOLE)

    assert found is not None
    assert "reported success; the prompt" in str(found)
    assert str(found).count("class_type") == 1


def test_nothing_is_found_in_the_right_client(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fuzz(monkeypatch, "right", examples=1_000 if DEEP else 40) is None


# --- the parts of it ------------------------------------------------------------------------------


def run_right(url: str, workflow: Any) -> SimpleNamespace:
    return SimpleNamespace(**asyncio.run(Client(url).run(workflow)))


def test_a_client_runs_in_real_time_too() -> None:
    with fake_comfyui(played(Stream(graph=ONE_NODE))) as server:
        told = server.bounded(lambda: run_right(server.url, server.workflow))
        server.judge(told.outcome, told.outputs)

    assert told.outcome == "success"


def test_a_scenario_is_served_by_name() -> None:
    with fake_comfyui("execution-error") as server:
        told = server.bounded(lambda: run_right(server.url, server.workflow))

        with pytest.raises(Judged, match="reported success; the prompt failed"):
            server.judge("success")

    assert told.outcome == "error"


def test_scenarios_are_chosen_by_a_pattern() -> None:
    assert scenarios("ws-*") is not None


def test_a_client_that_hangs_is_named_as_that() -> None:
    with (
        fake_comfyui(played(Stream(graph=ONE_NODE))) as server,
        pytest.raises(Judged, match="never reported an outcome"),
    ):
        server.bounded(server.hung, seconds=5)


def test_a_client_that_raises_raises() -> None:
    with (
        fake_comfyui(played(Stream(graph=ONE_NODE))) as server,
        pytest.raises(ZeroDivisionError),
    ):
        server.bounded(lambda: 1 // 0)


def test_a_client_that_crashed_is_named_as_that() -> None:
    with (
        fake_comfyui(played(Stream(graph=ONE_NODE))) as server,
        pytest.raises(Judged, match="ended without an outcome: ZeroDivisionError"),
    ):
        server.crashed(ZeroDivisionError())


def test_wrong_outputs_are_named() -> None:
    graph = {
        "1": {"class_type": "SaveText", "inputs": {
            "text": "a", "filename_prefix": "a", "format": "txt"}},
    }  # fmt: skip
    with fake_comfyui(played(Stream(graph=graph))) as server:
        told = server.bounded(lambda: client_of("right")(server.url, server.workflow))

        with pytest.raises(Judged, match="it did not report a_00001"):
            server.judge(told.outcome, {})


def test_an_outcome_that_is_no_word_is_a_wrong_call() -> None:
    with (
        fake_comfyui(played(Stream(graph=ONE_NODE))) as server,
        pytest.raises(ValueError, match="unknown outcome 'fine'; the outcomes are success"),
    ):
        server.judge("fine")
