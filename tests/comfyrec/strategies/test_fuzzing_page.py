"""docs/fuzzing.md says what is there."""

from __future__ import annotations

import pytest

from comfyrec import strategies
from tests.support import fuzzed

PAGE = fuzzed.PAGE.read_text(encoding="utf-8")
STRATEGIES = (
    "graphs", "events", "unknown_events", "misfit_events", "malformed_messages", "streams",
    "faulty_streams", "runs", "scenarios",
)  # fmt: skip
FUNCTIONS = ("fake_comfyui", "save_example", "client_machine", "played")


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_is_in_the_table(name: str) -> None:
    assert f"| `{name}(" in PAGE
    assert name in strategies.__all__


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_on_the_page(name: str) -> None:
    assert name in PAGE
    assert name in strategies.__all__


@pytest.mark.parametrize("label, kind", strategies.FAULTS.items(), ids=strategies.FAULTS)
def test_every_fault_is_in_the_table(label: str, kind: strategies.faults.Kind) -> None:
    shows = {None: "depends", True: "yes", False: "no"}[kind.shows]
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{label}` |"))

    assert row.startswith(f"| `{label}` | {kind.what} | {shows}")
