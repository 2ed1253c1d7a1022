"""The asyncio client against a server that follows a script, over real sockets."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

import comfyrec.client
from comfyrec.client import BlockingClient, Client, Effect, Outcome, ProgressEvent, chain_callbacks
from comfyrec.errors import (
    BadAnswer,
    NoServer,
    OutputError,
    Rejected,
    TimedOut,
    UsageError,
    WorkflowError,
)
from fake_server.server.thread import Handle, serve
from fake_server.source import HangUp, Request, Respond, Response, Send
from tests.support.scripted_comfyui import (
    GRAPH,
    OUTPUTS,
    PICTURE,
    PNG,
    Server,
    answer,
    begin,
    entry,
    event,
    finish,
    fresh,
    silent,
    status,
)

T = TypeVar("T")


Talk = Callable[[Client], Awaitable[T]]


def talk(handle: Handle | str, what: Talk[T], **options: Any) -> T:
    """Run ``what`` with a client; no test waits longer than its bound."""
    options.setdefault("environment", {})

    async def main() -> T:
        url = handle if isinstance(handle, str) else handle.url
        async with asyncio.timeout(20), Client(url, **options) as client:
            return await what(client)

    return asyncio.run(main())


def served(server: Server) -> Handle:
    return serve(server, speed=1.0)


def run(handle: Handle | str, **options: Any) -> Any:
    return talk(handle, lambda client: client.run(GRAPH), **options)


@pytest.mark.slow
def test_all_cached_ends_with_one_completed_found_by_history():
    told: list[ProgressEvent] = []
    with served(Server(silent)) as handle:
        begun = time.monotonic()
        result = talk(
            handle, lambda client: client.run(GRAPH, on_event=told.append), idle_limit_s=0.5
        )
        took_s = time.monotonic() - begun

    assert result.outcome is Outcome.SUCCESS
    assert [t.type for t in told if t.type == "completed"] == ["completed"]
    assert told[-1]["detected_by"] == "history"
    assert 0.5 <= took_s < 2  # the bound itself is measured under virtual time


def test_the_same_run_with_frames_carries_no_marker():
    told: list[ProgressEvent] = []
    with served(Server()) as handle:
        result = talk(handle, lambda client: client.run(GRAPH, on_event=told.append))

    assert result.outcome is Outcome.SUCCESS
    assert result.outputs == OUTPUTS
    assert result.detected_by == "frames"
    assert "detected_by" not in dict(told[-1])


def test_the_socket_is_open_and_greeted_before_the_post():
    server = Server()
    order: list[str] = []
    server.routes["POST", "/prompt"] = lambda _: order.append(f"post, {len(server.sockets)} open")
    with served(server) as handle:
        run(handle)

    assert order == ["post, 1 open"]


def test_frames_that_leave_before_the_answer_to_the_post_are_not_lost():
    class Early(Server):
        def _accept(self, request: Request, now: int) -> Response:
            accepted = super()._accept(request, now)
            prompt_id = json.loads(accepted.body)["prompt_id"]
            for step in fresh(self, prompt_id):
                if isinstance(step, str):
                    self._out.append(Send(tuple(self.sockets), step))
            self._plays.clear()
            self.history[prompt_id] = entry(prompt_id)
            return accepted

    told: list[ProgressEvent] = []
    with served(Early()) as handle:
        result = talk(handle, lambda client: client.run(GRAPH, on_event=told.append))

    assert result.detected_by == "frames"
    assert [t.type for t in told][:3] == ["submitted", "execution_start", "execution_cached"]


@pytest.mark.slow
def test_the_total_limit_raises_an_error_with_the_prompt_id():
    def never(server: Server, prompt_id: str) -> Iterator[Any]:
        yield begin(prompt_id)

    with served(Server(never)) as handle, pytest.raises(TimedOut) as caught:
        talk(handle, lambda client: client.run(GRAPH, timeout_s=0.3))

    assert caught.value.prompt_id == "00000000-0000-0000-0000-000000000001"
    assert caught.value.prompt_id in str(caught.value)


@pytest.mark.slow
def test_after_the_total_limit_the_prompt_can_be_waited_for_by_its_id():
    server = Server(lambda server, prompt_id: [begin(prompt_id), 600_000, finish(prompt_id)])

    async def twice(client: Client) -> Any:
        with pytest.raises(TimedOut) as caught:
            await client.run(GRAPH, timeout_s=0.2)
        again = await client.watch(caught.value.prompt_id)
        return await again.wait()

    with served(server) as handle:
        result = talk(handle, twice, idle_limit_s=0.5)

    assert result.outcome is Outcome.SUCCESS


@pytest.mark.parametrize(
    ("arguments", "error"),
    {
        "UI format": ({"graph": {"nodes": [], "links": []}}, WorkflowError),
        "empty": ({"graph": {}}, WorkflowError),
        "a limit of nothing": ({"graph": GRAPH, "timeout_s": 0}, ValueError),
        "a limit that is not a number": ({"graph": GRAPH, "timeout_s": float("nan")}, ValueError),
        "a callback that cannot be called": ({"graph": GRAPH, "on_event": 3}, TypeError),
    }.values(),
    ids=str,
)
def test_wrong_arguments_raise_before_anything_is_sent(
    arguments: dict[str, Any], error: type[Exception]
):
    server = Server()
    with served(server) as handle:
        with pytest.raises(error):
            talk(handle, lambda client: client.run(**arguments))
        with pytest.raises(error), BlockingClient(handle.url, environment={}) as client:
            client.run(**arguments)

    assert not server.requests
    assert not server.sockets


def test_callbacks_keep_their_order_and_none_is_skipped():
    seen: list[str] = []
    chained = chain_callbacks(
        lambda told: seen.append(f"a {told.type}"), None, lambda told: seen.append(f"b {told.type}")
    )
    with served(Server()) as handle:
        talk(handle, lambda client: client.run(GRAPH, on_event=chained))

    assert seen[:4] == ["a submitted", "b submitted", "a execution_start", "b execution_start"]


@pytest.mark.parametrize("blocking", [False, True], ids=["asyncio", "blocking"])
def test_a_callback_that_raises_is_reported_and_the_run_goes_on(
    blocking: bool, caplog: pytest.LogCaptureFixture
):
    seen: list[str] = []

    def fail(told: ProgressEvent) -> None:
        raise LookupError("not here")

    chained = chain_callbacks(fail, lambda told: seen.append(told.type))
    with served(Server()) as handle, caplog.at_level(logging.ERROR):
        if blocking:
            with BlockingClient(handle.url, environment={}) as client:
                result = client.run(GRAPH, on_event=chained)
        else:
            result = talk(handle, lambda client: client.run(GRAPH, on_event=chained))

    assert result.outcome is Outcome.SUCCESS
    assert result.warnings == ("on_event raised LookupError: not here",)
    assert seen[-1] == "completed"
    assert "on_event raised" in caplog.text


def test_every_client_has_an_id_of_its_own():
    ids = {Client("127.0.0.1", environment={}).client_id for _ in range(50)}

    assert len(ids) == 50


def test_fifty_prompts_at_once_each_get_their_own_outputs():
    def own(server: Server, prompt_id: str) -> Iterator[Any]:
        outputs = {"2": {"text": [prompt_id]}}
        yield begin(prompt_id)
        yield event("execution_start", prompt_id=prompt_id, timestamp=1)
        yield 1000
        yield event("execution_success", prompt_id=prompt_id, timestamp=1)
        yield finish(prompt_id, outputs=outputs)
        yield event("executing", node=None, prompt_id=prompt_id)

    async def fifty(client: Client) -> list[Any]:
        return await asyncio.gather(*(client.run(GRAPH) for _ in range(50)))

    with served(Server(own)) as handle:
        results = talk(handle, fifty)

    assert len({r.prompt_id for r in results}) == 50
    assert all(r.texts[0].text == r.prompt_id for r in results)


def held_by_the_client() -> int:
    """Bytes that were allocated in the client's own modules and are still there."""
    gc.collect()
    ours = tracemalloc.take_snapshot().filter_traces(
        [tracemalloc.Filter(True, str(Path(comfyrec.client.__file__).parent / "*.py"))]
    )
    return sum(found.size for found in ours.statistics("filename"))


@pytest.mark.slow
def test_many_prompts_one_after_the_other_leave_nothing_behind():
    async def many(client: Client) -> tuple[int, int]:
        held = []
        tracemalloc.start()
        for _ in range(3):
            for _ in range(60):
                await client.run(GRAPH, on_event=lambda told: None)
            held.append(held_by_the_client())
        tracemalloc.stop()
        return held[2] - held[1], len(asyncio.all_tasks())

    def forget(server: Server, prompt_id: str) -> Iterator[Any]:
        server.history.clear()
        server.requests.clear()
        yield from fresh(server, prompt_id)

    with served(Server(forget)) as handle:
        grown, tasks = talk(handle, many)

    # The test itself, the socket's reader, and at most the request that has just ended.
    assert tasks <= 3
    assert grown < 30_000


def test_a_dropped_socket_is_opened_again_and_the_end_in_the_gap_is_found():
    def dropped(server: Server, prompt_id: str) -> Iterator[Any]:
        yield begin(prompt_id)
        yield event("execution_start", prompt_id=prompt_id, timestamp=1)
        yield Server.cut
        yield 50_000
        yield finish(prompt_id)

    told: list[ProgressEvent] = []
    with served(Server(dropped)) as handle:
        result = talk(
            handle, lambda client: client.run(GRAPH, on_event=told.append), idle_limit_s=60.0
        )

    assert result.outcome is Outcome.SUCCESS
    assert result.detected_by == "history"
    assert next(t.data["state"] for t in told if t.type == "connection") == "lost"


def test_a_server_that_refuses_the_socket_is_used_without_it():
    server = Server(silent)
    server.refuse_sockets = Response(status=403)
    with served(server) as handle:
        result = run(handle, poll_interval_s=0.1)

    assert result.outcome is Outcome.SUCCESS


def test_a_server_that_is_reachable_below_api_only_is_found():
    class Below(Server):
        def _asked(self, happened: Any, now: int) -> None:
            request = happened.request
            target = request.target.removeprefix("/api")
            if target == request.target:
                self._out.append(Respond(happened.exchange, Response(status=404)))
                return
            inner = msgspec.structs.replace(request, target=target)
            super()._asked(msgspec.structs.replace(happened, request=inner), now)

        def _knocked(self, happened: Any) -> None:
            below = happened.request.target.startswith("/api/")
            self.refuse_sockets = None if below else Response(status=404)
            super()._knocked(happened)

    with served(Below(silent)) as handle:
        result = run(handle, poll_interval_s=0.1, idle_limit_s=0.5)

    assert result.outcome is Outcome.SUCCESS


def test_frames_of_any_size_are_read():
    def big(server: Server, prompt_id: str) -> Iterator[Any]:
        yield begin(prompt_id)
        yield b"\x00\x00\x00\x01\x00\x00\x00\x01" + bytes(6 << 20)
        yield from list(fresh(server, prompt_id))[1:]

    told: list[ProgressEvent] = []
    with served(Server(big)) as handle:
        result = talk(handle, lambda client: client.run(GRAPH, on_event=told.append))

    assert result.detected_by == "frames"


HTML = b"<!doctype html><html><head><title>Bad\n gateway</title></head></html>"


VALIDATION = {
    "error": {
        "type": "prompt_outputs_failed_validation",
        "message": "Prompt outputs failed validation",
        "details": "",
        "extra_info": {},
    },
    "node_errors": {
        "4": {
            "errors": [
                {
                    "type": "value_not_in_list",
                    "message": "Value not in list",
                    "details": "sampler: 'x' not in ['a']",
                    "extra_info": {},
                }
            ],
            "dependent_outputs": ["9"],
            "class_type": "KSampler",
        }
    },
}


REFUSALS: dict[str, tuple[Response, tuple[str, ...]]] = {
    "validation": (
        answer(VALIDATION, 400),
        ("Prompt outputs failed validation", "node 4 (KSampler): Value not in list: sampler"),
    ),
    "old servers": (answer({"error": "no prompt", "node_errors": []}, 400), ("no prompt",)),
    "400 with a text": (Response(status=400, body=b"nonsense"), ("nonsense",)),
    "500 text": (
        Response(status=500, body=b"500 Internal Server Error\n\nServer got itself in trouble"),
        ("500", "Server got itself in trouble"),
    ),
    "413 text": (
        Response(status=413, body=b"Maximum request body size 104857600 exceeded."),
        ("Maximum request body size", "--max-upload-size"),
    ),
    "401": (Response(status=401, body=b"token please"), ("401", "token please", "--header")),
    "403": (Response(status=403), ("403", "Origin")),
    "429": (answer({"message": "slow down"}, 429), ("429", "slow down")),
    "a web page": (
        Response(headers=(("Content-Type", "text/html"),), body=HTML),
        ("a web page titled 'Bad gateway' instead of JSON",),
    ),
    "a web page with 502": (
        Response(status=502, headers=(("Content-Type", "text/html"),), body=HTML),
        ("502", "a web page titled 'Bad gateway'"),
    ),
    "a redirect": (
        Response(status=302, headers=(("Location", "https://login.example/?token=hush"),)),
        ("302", "a redirect to https://login.example/", "give the address"),
    ),
    "no prompt_id": (answer({"exec_info": {"queue_remaining": 0}}), ("has no prompt_id",)),
    "a list": (answer([1]), ("has no prompt_id",)),
    "an empty 200": (Response(), ("an empty response",)),
    "an error without words": (answer({}, 400), ("response without a reason (400)",)),
}


@pytest.mark.parametrize(("refusal", "words"), REFUSALS.values(), ids=REFUSALS)
def test_a_refused_prompt_is_rejected_with_the_servers_own_reason(
    refusal: Response, words: tuple[str, ...]
):
    server = Server()
    server.routes["POST", "/prompt"] = lambda _: refusal
    with served(server) as handle, pytest.raises(Rejected) as caught:
        run(handle)

    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(server.asked("POST", "/prompt")) == 1


def test_a_rejection_keeps_type_and_node_errors():
    server = Server()
    server.routes["POST", "/prompt"] = lambda _: answer(VALIDATION, 400)
    with served(server) as handle, pytest.raises(Rejected) as caught:
        run(handle)

    assert caught.value.error_type == "prompt_outputs_failed_validation"
    assert list(caught.value.node_errors) == ["4"]
    assert caught.value.http_status == 400


def test_outputs_refused_beside_an_accepted_prompt_are_a_warning():
    class Partly(Server):
        def _accept(self, request: Request, now: int) -> Response:
            accepted = json.loads(super()._accept(request, now).body)
            return answer({**accepted, "node_errors": VALIDATION["node_errors"]})

    with served(Partly()) as handle:
        result = run(handle)

    assert result.outcome is Outcome.SUCCESS
    assert "node 4 (KSampler)" in result.warnings[0]


def test_nobody_there_is_said_with_the_address_and_without_the_password(unused_port: int):
    with pytest.raises(NoServer) as caught:
        run(f"http://me:hush@127.0.0.1:{unused_port}", connect_timeout_s=0.2)

    assert f"http://127.0.0.1:{unused_port}" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_server_that_starts_late_is_waited_for(unused_port: int):
    async def both() -> Outcome:
        async with Client(f"127.0.0.1:{unused_port}", environment={}) as client:
            running = asyncio.create_task(client.run(GRAPH))
            await client._attempted.wait()  # the first attempt has failed
            handle = await asyncio.to_thread(serve, Server(), port=unused_port, speed=1.0)
            try:
                async with asyncio.timeout(10):
                    return (await running).outcome
            finally:
                await asyncio.to_thread(handle.close)

    assert asyncio.run(both()) is Outcome.SUCCESS


@pytest.mark.slow
def test_a_server_that_answers_503_at_first_is_waited_for():
    server = Server()
    server.refuse_sockets = Response(status=503)
    questions = iter(range(100))

    def starting(_request: Request) -> Response | None:
        if next(questions) < 1:
            return Response(status=503)
        server.refuse_sockets = None
        return None

    server.routes["GET", "/queue"] = starting
    with served(server) as handle:
        assert run(handle).outcome is Outcome.SUCCESS


def test_a_certificate_that_is_not_trusted_is_said_with_the_way_out():
    with served(Server()) as handle, pytest.raises(NoServer) as caught:
        run(handle.url.replace("http", "https"), connect_timeout_s=0.2)

    assert "TLS" in str(caught.value)


def test_secrets_are_never_in_an_error_text():
    server = Server()
    server.routes["POST", "/prompt"] = lambda request: Response(
        status=401, body=f"bad token {request.header('Authorization')}".encode()
    )
    with served(server) as handle, pytest.raises(Rejected) as caught:
        run(handle, headers={"Authorization": "Bearer s3cret-key"})

    assert "bad token ***" in str(caught.value)
    assert "s3cret-key" not in str(caught.value)


def test_a_failing_node_that_repeats_a_key_does_not_show_it():
    def failing(server: Server, prompt_id: str) -> Iterator[Any]:
        yield begin(prompt_id)
        yield finish(
            prompt_id,
            kind="error",
            outputs={},
            node_id="1",
            node_type="X",
            exception_type="ValueError",
            exception_message="key s3cret-key is not known",
        )
        yield status(0)

    with served(Server(failing)) as handle:
        result = run(handle, extra_data={"api_key_comfy_org": "s3cret-key"}, idle_limit_s=0.5)

    assert result.outcome is Outcome.ERROR
    assert result.reason == "node 1 (X): ValueError: key *** is not known"


def test_headers_go_with_http_and_socket_and_keys_into_extra_data():
    server = Server()
    with served(server) as handle:
        run(handle, headers={"X-Key": "k1234"}, extra_data={"api_key_comfy_org": "abcd"})

    [post] = server.asked("POST", "/prompt")
    assert post.header("X-Key") == "k1234"
    assert json.loads(post.body)["extra_data"] == {"api_key_comfy_org": "abcd"}


async def submit_and_interrupt(client: Client) -> tuple[Effect, Outcome]:
    prompt = await client.submit(GRAPH)
    effect = await prompt.interrupt()
    result = await prompt.outcome()
    return effect, result.outcome


def test_an_interrupt_names_the_prompt_and_says_that_it_took_effect():
    server = Server(lambda server, prompt_id: [begin(prompt_id)])
    with served(server) as handle:
        effect, outcome = talk(handle, submit_and_interrupt)

    assert (effect, outcome) == (Effect.INTERRUPTED, Outcome.INTERRUPTED)
    [request] = server.asked("POST", "/interrupt")
    assert json.loads(request.body) == {"prompt_id": "00000000-0000-0000-0000-000000000001"}


def test_a_waiting_prompt_is_deleted_and_nothing_is_interrupted():
    server = Server(lambda server, prompt_id: [status(1)])
    server.running["somebody else's"] = 0
    with served(server) as handle:
        effect, outcome = talk(handle, submit_and_interrupt)

    assert (effect, outcome) == (Effect.DELETED, Outcome.CANCELLED)
    assert not server.asked("POST", "/interrupt")
    assert server.running


def test_an_interrupt_of_a_prompt_that_is_over_says_so():
    async def late(client: Client) -> Effect:
        result = await client.run(GRAPH)
        return await client.interrupt(result.prompt_id)

    server = Server()
    with served(server) as handle:
        assert talk(handle, late) is Effect.TOO_LATE
    assert not server.asked("POST", "/interrupt")


def test_an_interrupt_of_an_unknown_prompt_says_so():
    with served(Server()) as handle:
        assert talk(handle, lambda client: client.interrupt("nobody")) is Effect.UNKNOWN


def test_an_interrupt_that_shows_no_effect_is_told_within_its_bound():
    server = Server(lambda server, prompt_id: [begin(prompt_id)])
    server.routes["POST", "/interrupt"] = lambda _: Response()

    async def stubborn(client: Client) -> Effect:
        prompt = await client.submit(GRAPH)
        return await prompt.interrupt()

    with served(server) as handle:
        assert talk(handle, stubborn, interrupt_wait_s=0.2) is Effect.STILL_RUNNING


def test_outputs_are_saved_by_pattern(tmp_path: Path):
    async def save(client: Client) -> list[Path]:
        return await client.save(await client.run(GRAPH), tmp_path / "new", pattern="a_%04d.png")

    with served(Server()) as handle:
        written = talk(handle, save)

    assert [p.name for p in written] == ["a_0000.png"]
    assert written[0].read_bytes() == PNG


def test_a_file_in_the_way_is_not_replaced(tmp_path: Path):
    (tmp_path / "frame.000.png").write_bytes(b"mine")

    async def save(client: Client) -> list[Path]:
        return await client.save(await client.run(GRAPH), tmp_path)

    with served(Server()) as handle, pytest.raises(OutputError, match="already exists"):
        talk(handle, save)

    assert (tmp_path / "frame.000.png").read_bytes() == b"mine"


def view(answers: Callable[[Request], Response | HangUp]) -> Any:
    server = Server()
    server.routes["GET", "/view"] = answers

    async def fetch(client: Client) -> bytes:
        result = await client.run(GRAPH)
        return await client.fetch(result.files[0])

    with served(server) as handle:
        return talk(handle, fetch)


def test_a_missing_file_is_an_error_with_its_name():
    with pytest.raises(OutputError, match=r"x_00001_\.png.*404"):
        view(lambda _: Response(status=404))


def test_a_file_that_comes_short_is_asked_for_again():
    tries = iter(range(9))

    def short(_request: Request) -> Response | HangUp:
        whole = Response(body=PNG)
        return HangUp(0, whole, first=150) if next(tries) < 2 else whole

    assert view(short) == PNG


def test_a_file_that_never_comes_whole_is_an_error():
    with pytest.raises(OutputError):
        view(lambda _: HangUp(0, Response(body=PNG), first=150))


def test_a_redirect_to_another_host_is_followed_without_our_headers():
    class Store(Server):
        def _answer(self, request: Request, path: str, now: int) -> Response:
            return Response(body=PNG)

    store, server = Store(), Server()
    with served(store) as elsewhere, served(server) as handle:
        target = f"{elsewhere.url}/signed/x.png?sig=abc"
        server.routes["GET", "/view"] = lambda _: Response(
            status=302, headers=(("Location", target),)
        )

        async def fetch(client: Client) -> bytes:
            return await client.fetch((await client.run(GRAPH)).files[0])

        assert talk(handle, fetch, headers={"X-API-Key": "s3cret"}) == PNG

    [asked] = store.requests
    assert asked.target == "/signed/x.png?sig=abc"
    assert asked.header("X-API-Key") == ""
    assert server.asked("GET", "/view")[0].header("X-API-Key") == "s3cret"


def test_names_with_odd_characters_reach_the_server_encoded():
    odd = {**PICTURE, "filename": "a b#+%ü.png", "subfolder": "x\\y"}
    server = Server(lambda server, p: [finish(p, outputs={"2": {"images": [odd]}}), status(0)])
    server.routes["GET", "/view"] = lambda _: Response(body=PNG)

    async def fetch(client: Client) -> bytes:
        return await client.fetch((await client.run(GRAPH)).files[0])

    with served(server) as handle:
        talk(handle, fetch, idle_limit_s=0.5)

    [asked] = server.asked("GET", "/view")
    assert asked.target == "/view?filename=a%20b%23%2B%25%C3%BC.png&subfolder=x%5Cy&type=output"


def test_an_upload_uses_the_name_that_comes_back(tmp_path: Path):
    server = Server()
    server.routes["POST", "/upload/image"] = lambda _: answer(
        {"name": "a (1).png", "subfolder": "in", "type": "input"}
    )
    file = tmp_path / "a.png"
    file.write_bytes(PNG)
    with served(server) as handle:
        stored = talk(handle, lambda client: client.upload(file, subfolder="in"))

    assert (stored.name, stored.subfolder) == ("a (1).png", "in")
    [asked] = server.asked("POST", "/upload/image")
    assert b'name="image"; filename="a.png"' in asked.body
    assert PNG in asked.body
    assert b'name="subfolder"\r\n\r\nin\r\n' in asked.body


def test_a_path_in_an_uploads_name_goes_into_the_subfolder():
    server = Server()
    server.routes["POST", "/upload/image"] = lambda _: answer({"name": "c.png"})
    with served(server) as handle:
        talk(handle, lambda client: client.upload(PNG, name="a/b\\c.png"))

    [asked] = server.asked("POST", "/upload/image")
    assert b'filename="c.png"' in asked.body
    assert b'name="subfolder"\r\n\r\na/b\r\n' in asked.body


def test_an_upload_that_is_too_big_is_an_error_with_the_servers_words():
    server = Server()
    server.routes["POST", "/upload/image"] = lambda _: Response(status=413, body=b"Maximum size")
    with served(server) as handle, pytest.raises(BadAnswer, match="413: Maximum size"):
        talk(handle, lambda client: client.upload(PNG, name="a.png"))


def test_a_closed_client_says_so():
    async def main() -> None:
        client = Client("127.0.0.1", environment={})
        await client.close()
        with pytest.raises(RuntimeError, match="closed"):
            await client.run(GRAPH)

    asyncio.run(main())


def test_an_address_that_is_none_is_a_wrong_use():
    with pytest.raises(UsageError, match="port 0"):
        Client("127.0.0.1:0", environment={})
