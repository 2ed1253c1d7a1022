"""What is drawn is what it says: valid graphs, true messages, legal streams, labelled faults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from comfyrec.errors import DecodeError, ScenarioError, UsageError
from comfyrec.events import BinaryMisfit, Misfit, Unknown, UnknownBinary, decode
from comfyrec.strategies import (
    FAULTS,
    Stream,
    events,
    faulty_streams,
    graphs,
    malformed_messages,
    misfit_events,
    scenarios,
    streams,
    unknown_events,
)
from comfyrec.strategies.messages import types_of
from comfyrec.versions import ERAS
from fake_server.nodes.catalogue import Catalogue
from fake_server.options import ServerOptions
from fake_server.simulated_server import SimulatedServer
from fake_server.source import Request, RequestReceived, Respond
from tests.support.lanes import DEEP

FUZZ = settings(
    max_examples=400 if DEEP else 25,
    database=None,
    derandomize=not DEEP,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SEARCH = settings(
    max_examples=15,
    database=None,
    derandomize=True,
    # What the explaining phase finds is printed with a failure; here there is none to print.
    phases=(Phase.generate, Phase.shrink),
)
STRANGE = (Unknown, UnknownBinary, Misfit, BinaryMisfit)
SMALL: dict[str, Any] = {
    "Make": {
        "input": {"required": {"seed": ["INT", {"default": 0, "max": 1 << 64}]}},
        "output": ["THING"],
    },
    "Show": {
        "input": {"required": {"thing": ["THING"], "how": [["a", "b"]]}},
        "output": [],
        "output_node": True,
    },
    "Lonely": {"input": {"required": {"x": ["NOBODY_MAKES_THIS"]}}, "output": ["THING"]},
}


def accepted(graph: Mapping[str, Any], catalogue: Catalogue | None = None) -> dict[str, Any]:
    world = SimulatedServer(ServerOptions(catalogue=catalogue or Catalogue.core()))
    body = json.dumps({"prompt": graph}).encode()
    actions = world.handle(RequestReceived(1, Request("POST", "/prompt", body=body)), 0)
    (answer,) = [action.answer for action in actions if isinstance(action, Respond)]
    told: dict[str, Any] = json.loads(answer.body)
    return {"status": answer.status, **told}


# --- graphs --------------------------------------------------------------------------------------


@FUZZ
@given(graphs())
def test_a_server_accepts_every_graph_whole(graph: dict[str, Any]) -> None:
    answer = accepted(graph)

    assert (answer["status"], answer["node_errors"]) == (200, {})


@FUZZ
@given(graphs(SMALL, max_nodes=4))
def test_a_graph_fits_the_catalogue_that_is_given(graph: dict[str, Any]) -> None:
    answer = accepted(graph, Catalogue.from_object_info(SMALL))

    assert (answer["status"], answer["node_errors"]) == (200, {})
    assert 2 <= len(graph) <= 4
    assert {node["class_type"] for node in graph.values()} == {"Make", "Show"}


@pytest.mark.parametrize("most", [1, 2, 5])
@FUZZ
@given(data=st.data())
def test_no_graph_is_larger_than_wanted(most: int, data: st.DataObject) -> None:
    assert 1 <= len(data.draw(graphs(max_nodes=most))) <= most


def test_no_two_nodes_of_a_graph_are_the_same() -> None:
    assert FUZZ(given(graphs())(_has_no_twins))() is None


def _has_no_twins(graph: dict[str, Any]) -> None:
    assert len({json.dumps(node, sort_keys=True) for node in graph.values()}) == len(graph)


def test_the_smallest_graph_is_one_output_node() -> None:
    found = find(graphs(), lambda graph: True, settings=SEARCH)

    assert found == {"1": {"class_type": "PreviewAny", "inputs": {"source": ""}}}


def test_a_graph_shrinks_to_what_matters() -> None:
    def saves(graph: dict[str, Any]) -> bool:
        return "SaveAnimatedPNG" in {node["class_type"] for node in graph.values()}

    found = find(graphs(), saves, settings=settings(SEARCH, max_examples=1_000))

    source, saver = found.values()
    assert saver["class_type"] == "SaveAnimatedPNG"
    assert not any(isinstance(value, list) for value in source["inputs"].values())


@pytest.mark.parametrize(
    "info, most",
    {"no output node": ({"Make": SMALL["Make"]}, 9), "too few nodes": (SMALL, 1)}.values(),
    ids=["no output node", "too few nodes"],
)
def test_a_catalogue_without_a_graph_is_said_at_once(info: Any, most: int) -> None:
    with pytest.raises(ValueError, match="no output node of this catalogue"):
        graphs(info, max_nodes=most)


def test_what_is_no_catalogue_is_said_at_once() -> None:
    with pytest.raises(UsageError, match="object_info must be a JSON object"):
        graphs({})


# --- messages ------------------------------------------------------------------------------------

TYPES = [(version, kind) for version in ERAS for kind in types_of(version)]


@pytest.mark.parametrize("version", ERAS)
@FUZZ
@given(data=st.data())
def test_every_message_decodes_to_its_own_type(version: str, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([*types_of(version)]))

    event = decode(data.draw(events(version, type=kind)))

    assert event.type == kind
    assert not isinstance(event, STRANGE)
    assert not getattr(getattr(event, "data", None), "misfits", None)


@FUZZ
@given(events())
def test_messages_of_any_version_are_known(message: str | bytes) -> None:
    assert not isinstance(decode(message), STRANGE)


@FUZZ
@given(unknown_events())
def test_unknown_messages_are_unknown(message: str | bytes) -> None:
    assert isinstance(decode(message), Unknown | UnknownBinary)


@FUZZ
@given(misfit_events())
def test_misfit_messages_are_misfits(message: str | bytes) -> None:
    assert isinstance(decode(message), Misfit | BinaryMisfit)


@FUZZ
@given(malformed_messages())
def test_malformed_messages_are_none(message: str | bytes) -> None:
    with pytest.raises(DecodeError):
        decode(message)


def test_old_servers_do_not_send_new_types() -> None:
    old, new = types_of("2024-07"), types_of("0.27.0")

    assert set(new) - set(old) >= {"progress_state", "execution_success", "feature_flags", "TEXT"}
    assert set(old) <= set(new)


def test_a_type_that_is_not_sent_is_a_wrong_call() -> None:
    with pytest.raises(ValueError, match="no message of type 'progress_state'"):
        events("2024-07", type="progress_state")


# --- streams -------------------------------------------------------------------------------------


LEGAL = streams()
FAULTY = faulty_streams()


@FUZZ
@given(LEGAL)
def test_a_legal_stream_breaks_no_rule(stream: Stream) -> None:
    assert stream.violations == []
    assert stream.label == "legal"
    assert stream.truth == (stream.outcome,)


@FUZZ
@given(LEGAL)
def test_the_history_of_a_stream_is_of_its_prompt(stream: Stream) -> None:
    assert stream.history is not None
    assert stream.history["prompt"][1:3] == [stream.prompt_id, stream.graph]
    assert len(stream.times_us) == len(stream.messages)
    assert list(stream.times_us) == sorted(stream.times_us)


@FUZZ
@given(FAULTY)
def test_a_fault_shows_where_its_label_says_so(stream: Stream) -> None:
    shows = FAULTS[stream.label].shows

    assert shows in (None, bool(stream.violations)), stream.violations


@FUZZ
@given(FAULTY)
def test_the_history_tells_the_truth_unless_the_label_says_otherwise(stream: Stream) -> None:
    assert stream.recoverable == (stream.history is not None)
    assert (stream.truth == (stream.outcome,)) == stream.recoverable


@pytest.mark.parametrize("label", FAULTS if DEEP else ("cut",))
def test_a_fault_shrinks_to_one_node_and_the_earliest_place(label: str) -> None:
    found = find(faulty_streams(labels=(label,)), lambda stream: True, settings=SEARCH)

    assert (len(found.graph), found.position, found.nodes) == (1, 0, {})
    assert len(repr(found)) < 250


@pytest.mark.parametrize("outcome", ["error", "interrupted"])
def test_an_outcome_shrinks_to_one_node(outcome: str) -> None:
    found = find(
        streams(),
        lambda stream: stream.outcome == outcome,
        settings=settings(SEARCH, max_examples=1_000),
    )

    assert (len(found.graph), len(found.nodes)) == (1, 1)


def test_a_graph_of_ones_own_is_used() -> None:
    graph = {"7": {"class_type": "PreviewAny", "inputs": {"source": "a"}}}

    own = find(streams(graph, version="0.3.10"), lambda stream: True, settings=SEARCH)

    assert (own.graph, own.version) == (graph, "0.3.10")


CALLS: dict[str, tuple[Any, type[Exception], str]] = {
    "no such fault": (lambda: faulty_streams(labels=("late",)), ValueError, "no fault 'late'"),
    "no such version": (lambda: streams(version="new"), UsageError, "is not a version"),
    "no such scenario": (lambda: scenarios("nothing-like-it"), ScenarioError, "nothing-like-it"),
}


@pytest.mark.parametrize("call, error, words", CALLS.values(), ids=CALLS)
def test_a_wrong_call_is_said_at_once(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
