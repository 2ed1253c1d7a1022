"""The recordings that come with the package: whole, readable, small, and listed."""

from __future__ import annotations

import re

import pytest

from comfyrec.cassette.files import bundled, find_cassette, open_cassette
from comfyrec.events import SocketClosed, SocketOpened, Unknown, check, decode
from comfyrec.timeline import Timeline
from tests.support.paths import ROOT
from tests.support.replay_rig import timeline_of

FOLDER = ROOT / "cassettes"
ROWS = re.findall(
    r"^\| `([a-z0-9.-]+)` \| (\S+) \| (.+) \|$", (FOLDER / "README.md").read_text(), re.M
)
ERAS = {"2024-07", "0.3.10", "0.3.64", "0.8.2", "0.27.0"}


def test_there_are_many_and_they_are_small() -> None:
    sizes = [path.stat().st_size for path in FOLDER.iterdir()]

    assert len(bundled()) >= 16
    assert sum(sizes) <= 4 * 1024 * 1024


def test_they_are_of_all_generations_of_servers() -> None:
    assert {timeline_of(name).comfyui_version for name in bundled()} == ERAS


def test_the_table_lists_each_with_its_version() -> None:
    listed = {name: version for name, version, _ in ROWS}

    assert listed == {name: timeline_of(name).comfyui_version for name in bundled()}


@pytest.mark.parametrize("name", bundled())
def test_each_is_named_for_what_happens_and_reads_clean(name: str) -> None:
    with open_cassette(find_cassette(name)) as reader:
        records = sum(1 for _ in reader)
        problems = list(reader.problems)

    assert re.fullmatch(r"[a-z0-9]+(\.[0-9]+)*(-[a-z0-9]+(\.[0-9]+)*)*", name)
    assert (records > 5, problems, timeline_of(name).problems) == (True, [], ())


@pytest.mark.parametrize("name", bundled())
def test_each_frame_of_each_decodes(name: str) -> None:
    events = [decode(m.data) for s in timeline_of(name).sockets for m in s.received]

    types = {e.type for e in events if isinstance(e, Unknown)}
    assert not {kind for kind in types if "." not in str(kind)}


@pytest.mark.parametrize("name", bundled())
def test_none_breaks_the_servers_order(name: str) -> None:
    timeline = timeline_of(name)

    assert check(_stream(timeline), whole=False) == []


def _stream(timeline: Timeline) -> list[object]:
    """What the sockets saw, in order, with their beginnings and ends."""
    entries: list[tuple[int, int, object]] = []
    for socket in timeline.sockets:
        entries.append((socket.upgrade.request.at, 0, SocketOpened(socket.number)))
        entries += ((m.at, 1, (decode(m.data), socket.number)) for m in socket.received)
        if socket.closing is not None:
            entries.append((socket.closing.at, 2, SocketClosed(socket.number)))
    entries.sort(key=lambda entry: entry[:2])
    return [entry for _, _, entry in entries]
