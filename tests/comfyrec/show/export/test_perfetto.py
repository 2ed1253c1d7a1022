"""A trace read back: the slices of nodes are the story's, and slices of a track nest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from comfyrec.cassette.files import bundled, find_cassette, open_cassette
from comfyrec.show.export.perfetto import perfetto_trace
from comfyrec.timeline import Timeline
from comfyrec.timeline.story import tell

PACKET, TIMESTAMP, EVENT, DESCRIPTOR = 1, 8, 11, 60
TYPE, TRACK, NAME = 9, 11, 23
BEGIN, END = 1, 2


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(number, integer or bytes) of each field of a message."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            size = 8 if key & 7 == 1 else varint()
            yield key >> 3, data[at : at + size]
            at += size


def read_back(trace: bytes) -> tuple[dict[int, str], list[tuple[int, dict[int, Any]]]]:
    """Names of tracks by id, and (microseconds, fields) of events in order."""
    tracks, events = {}, []
    for number, packet in fields(trace):
        assert number == PACKET
        told = dict(fields(packet))
        if DESCRIPTOR in told:
            described = dict(fields(told[DESCRIPTOR]))
            tracks[described[1]] = described[2].decode()
        else:
            events.append((told[TIMESTAMP] // 1000, dict(fields(told[EVENT]))))
    return tracks, events


@pytest.mark.slow
@pytest.mark.parametrize("name", bundled())
def test_nodes_are_slices_as_long_as_in_the_story(name: str) -> None:
    with open_cassette(find_cassette(name)) as reader:
        timeline = Timeline.build(reader)
    story = tell(timeline)

    tracks, events = read_back(perfetto_trace(timeline, story))

    stacks: dict[int, list[tuple[str, int]]] = {}
    nodes = []
    for t, event in events:
        if event[TYPE] == BEGIN:
            stacks.setdefault(event[TRACK], []).append((event[NAME].decode(), t))
        elif event[TYPE] == END:
            title, begin = stacks[event[TRACK]].pop()
            nodes += [(title, t - begin)] if tracks[event[TRACK]] == "nodes" else []
    ran = [run for prompt in story.prompts for run in prompt.nodes if run.duration_us is not None]
    lasting = {(run.name, run.duration_us) for run in ran}
    assert lasting <= set(nodes)
    assert all(stack == [] for stack in stacks.values())
