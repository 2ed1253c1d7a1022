"""The blocking client against a server that follows a script, over real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfyrec.client import BlockingClient, Effect, Outcome, ProgressEvent
from fake_server.server.thread import Handle, serve
from tests.support.scripted_comfyui import (
    GRAPH,
    PNG,
    Server,
    answer,
)


def served(server: Server) -> Handle:
    return serve(server, speed=1.0)


def test_the_blocking_client_calls_back_on_the_thread_that_waits():
    import threading

    threads: set[str] = set()
    types: list[str] = []

    def note(told: ProgressEvent) -> None:
        threads.add(threading.current_thread().name)
        types.append(told.type)

    with served(Server()) as handle, BlockingClient(handle.url, environment={}) as client:
        prompt = client.submit(GRAPH, on_event=note)
        result = prompt.wait()

    assert result.outcome is Outcome.SUCCESS
    assert threads == {threading.current_thread().name}
    assert (types[0], types[-1]) == ("submitted", "completed")


def test_the_blocking_client_has_the_same_methods(tmp_path: Path):
    server = Server()
    server.routes["POST", "/upload/image"] = lambda _: answer({"name": "a.png"})
    with served(server) as handle, BlockingClient(handle.url, environment={}) as client:
        result = client.run(GRAPH)
        [written] = client.save(result, tmp_path)
        again = client.watch(result.prompt_id).wait()

        assert client.fetch(result.files[0]) == written.read_bytes() == PNG
        assert client.upload(PNG, name="a.png").name == "a.png"
        assert client.history(result.prompt_id) == server.history[result.prompt_id]
        assert client.position(result.prompt_id).position is None
        assert client.interrupt(result.prompt_id) is Effect.TOO_LATE
        assert again.outcome is Outcome.SUCCESS

    with pytest.raises(RuntimeError, match="closed"):
        client.run(GRAPH)
