"""Recordings over real sockets: an independent client does what was done and gets what was sent."""

from __future__ import annotations

import concurrent.futures
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.sync.client import connect

from comfyrec.cassette.files import bundled
from comfyrec.cassette.import_capture import records_of_capture
from comfyrec.cassette.records import AnyRecord, WsFrame
from comfyrec.timeline import Timeline
from fake_server.replay import Player
from fake_server.server.clock import MAX
from fake_server.server.thread import serve
from tests.support.json_over_http import get_json, post_json
from tests.support.paths import SHARED
from tests.support.replay_rig import graph_of, records_of
from tests.support.wire_client import WAIT_S, WireClient

HERE = "http://127.0.0.1"

CAPTURES = SHARED / "recordings"
CAPTURED = sorted(CAPTURES.glob("*/*.jsonl"))
MADE_BY_ONE_CLIENT = ["image-only", "all-cached", "interrupted-by-id", "reconnect-mid-run"]


@contextmanager
def replayed(records: tuple[AnyRecord, ...], **options: Any) -> Iterator[int]:
    """The port of a server that replays, as fast as the wire."""
    player = Player(Timeline.build(records), match="graph", **options)
    with serve(player, port=0, speed=MAX) as handle:
        yield int(handle.url.rpartition(":")[2])


def text_and_binary(records: tuple[AnyRecord, ...]) -> int:
    return sum(isinstance(r, WsFrame) and r.side == 1 and r.head[0] & 15 < 8 for r in records)


@pytest.mark.slow
@pytest.mark.parametrize("name", bundled())
def test_a_bundled_cassette_over_the_wire(name: str) -> None:
    records = records_of(name)

    with replayed(records) as port:
        client = WireClient(records, port)
        client.run()

    assert client.frames == text_and_binary(records)


@pytest.mark.skipif(not CAPTURED, reason="the captures of real servers are not here")
@pytest.mark.long
def test_every_capture_of_a_real_server_over_the_wire() -> None:
    frames = 0
    for path in CAPTURED:
        with path.open("rb") as lines:
            records = tuple(records_of_capture(lines))
        with replayed(records) as port:
            client = WireClient(records, port)
            client.run()
        assert client.frames == text_and_binary(records), path
        frames += client.frames

    assert frames > 3_000


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE_BY_ONE_CLIENT)
def test_clients_one_after_the_other_each_get_the_whole_recording(name: str) -> None:
    records = records_of(name)

    with replayed(records) as port:
        for _ in range(3):
            WireClient(records, port).run()


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MADE_BY_ONE_CLIENT, "pending-deleted"])
def test_clients_at_once_each_get_the_whole_recording(name: str) -> None:
    records = records_of(name)

    with replayed(records) as port, concurrent.futures.ThreadPoolExecutor(8) as pool:
        running = [pool.submit(WireClient(records, port).run) for _ in range(8)]
        for client in running:
            client.result(timeout=WAIT_S)


def test_questions_that_nobody_asked_fit_the_time_line() -> None:
    """Polls all the while; a prompt only ever goes from waiting over running to done."""
    records = records_of("async-nodes")
    graph = graph_of(Timeline.build(records))
    stages: list[int] = []

    with replayed(records) as port:
        with connect(f"ws://127.0.0.1:{port}/ws?clientId=mine", compression=None) as socket:
            prompt_id = post_json(f"{HERE}:{port}/prompt", {"prompt": graph, "client_id": "mine"})[
                "prompt_id"
            ]
            over = threading.Event()

            def ask() -> None:
                while not over.is_set() or not stages or stages[-1] < 2:
                    queue = get_json(f"{HERE}:{port}/queue")
                    done = prompt_id in get_json(f"{HERE}:{port}/history/{prompt_id}")
                    runs = [item[1] for item in queue["queue_running"]] == [prompt_id]
                    stages.append(2 if done else 1 if runs else 0)

            asking = threading.Thread(target=ask)
            asking.start()
            last = ""
            while last != "executing null":
                event = json.loads(socket.recv(timeout=WAIT_S))
                ended = event["type"] == "executing" and event["data"]["node"] is None
                last = "executing null" if ended else event["type"]
            over.set()
            asking.join(WAIT_S)
        queue, prompt = get_json(f"{HERE}:{port}/queue"), get_json(f"{HERE}:{port}/prompt")

    assert stages == sorted(stages)
    assert stages[-1] == 2
    assert queue == {"queue_running": [], "queue_pending": []}
    assert prompt == {"exec_info": {"queue_remaining": 0}}


@pytest.mark.slow
def test_a_client_that_never_makes_a_recorded_request_is_not_kept_waiting() -> None:
    records = records_of("interrupted")
    graph = graph_of(Timeline.build(records))

    with (
        replayed(records) as port,
        connect(f"ws://127.0.0.1:{port}/ws?clientId=mine", compression=None) as socket,
    ):
        post_json(f"{HERE}:{port}/prompt", {"prompt": graph, "client_id": "mine"})
        types = [json.loads(socket.recv(timeout=WAIT_S))["type"] for _ in range(20)]

    assert types[-3:] == ["execution_interrupted", "status", "executing"]
