"""A drawn stream as a cassette: what a replay says is what was drawn."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comfyrec.cassette.files import open_cassette
from comfyrec.errors import CassetteExists
from comfyrec.strategies import FAULTS, Stream, faulty_streams, played, runs, save_example
from comfyrec.strategies.streams import FLAGS
from comfyrec.timeline import Timeline
from tests.support.replay_rig import Rig

FUZZ = settings(
    max_examples=15,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
ONE_NODE = Stream(graph={"1": {"class_type": "PreviewAny", "inputs": {"source": ""}}})


def saved(stream: Stream, suffix: str = ".jsonl") -> Timeline:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"example{suffix}")
        save_example(stream, path)
        with open_cassette(path) as reader:
            records = list(reader)
            assert reader.problems == []
    return Timeline.build(records)


def replayed(stream: Stream, suffix: str = ".jsonl") -> tuple[list[str | bytes], object]:
    """What a live client is sent and answered, under the drawn prompt's id."""
    rig = Rig(saved(stream, suffix))
    socket = rig.connect(stream.client_id)
    if stream.flags:
        rig.say(socket, FLAGS)
    live = rig.submit(stream.graph, stream.client_id)
    rig.run()
    history = json.dumps(rig.get(f"/history/{live}")).replace(live, stream.prompt_id)
    return [named(message, live, stream.prompt_id) for message in socket.messages], history


def named(message: str | bytes, live: str, drawn: str) -> str | bytes:
    if isinstance(message, bytes):
        return message.replace(live.encode(), drawn.encode())
    return message.replace(live, drawn)


@pytest.mark.slow
@FUZZ
@given(runs())
def test_a_replay_says_what_was_drawn(stream: Stream) -> None:
    messages, history = replayed(stream)

    assert messages == list(stream.messages)
    entry = {} if stream.history is None else {stream.prompt_id: stream.history}
    assert json.loads(str(history)) == entry


@pytest.mark.parametrize("label", FAULTS)
@settings(FUZZ, max_examples=1)
@given(data=st.data())
def test_packed_files_too(label: str, data: st.DataObject) -> None:
    stream = data.draw(faulty_streams(labels=(label,)))

    messages, _ = replayed(stream, ".crec")

    assert messages == list(stream.messages)


def test_the_file_says_what_it_is_an_example_of(tmp_path: Path) -> None:
    save_example(played(ONE_NODE), tmp_path / "a.jsonl")

    with open_cassette(tmp_path / "a.jsonl") as reader:
        about = reader.header.about

    assert about["label"] == "legal"
    assert "PreviewAny" in about["example"]


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    stream = played(ONE_NODE)
    save_example(stream, tmp_path / "a.jsonl")

    with pytest.raises(CassetteExists):
        save_example(stream, tmp_path / "a.jsonl")

    save_example(stream, tmp_path / "a.jsonl", overwrite=True)
