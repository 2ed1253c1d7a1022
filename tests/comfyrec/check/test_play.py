"""A scenario on a port of its own, and what is judged of it."""

from __future__ import annotations

import json
import sys
import time
from typing import Any
from urllib.request import urlopen

import pytest

from comfyrec.check.case import Report
from comfyrec.check.play import SECRET, Playing, play
from comfyrec.errors import ScenarioError, UsageError
from fake_server.scenarios import choose


def submit(playing: Playing) -> str:
    body = json.dumps({"prompt": playing.workflow}).encode()
    with urlopen(f"{playing.url}/prompt", body, timeout=10) as answer:
        return str(json.load(answer)["prompt_id"])


def history(playing: Playing, prompt_id: str) -> Any:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with urlopen(f"{playing.url}/history/{prompt_id}", timeout=10) as answer:
            if entry := json.load(answer).get(prompt_id):
                return entry
    raise AssertionError("the prompt never ends")


def test_a_client_that_says_what_the_history_says_passes() -> None:
    with play(choose("success")) as playing:
        prompt_id = submit(playing)
        outputs = history(playing, prompt_id)["outputs"]
        report = Report(outcomes=("success",), at_s=time.monotonic(), outputs=outputs)
        result = playing.conclude(report, took_s=0.5)

    failed = {verdict.invariant for verdict in result.failed}
    assert (result.reported, result.took_s) == ("the truth", 0.5)
    assert failed <= {"K7"}  # it has no socket
    assert result.traffic.posts == 1
    assert result.traffic.quiet_s >= 0


def test_outputs_that_are_missing_or_invented_are_named() -> None:
    with play(choose("success")) as playing:
        history(playing, submit(playing))
        invented = {"9": {"images": [{"filename": "x.png", "subfolder": "", "type": "output"}]}}
        report = Report(outcomes=("success",), at_s=time.monotonic(), outputs=invented)
        result = playing.conclude(report)

    assert [verdict.invariant for verdict in result.failed] == ["K5"]


def test_a_run_that_failed_has_its_story() -> None:
    with play(choose("success")) as playing:
        prompt_id = submit(playing)
        history(playing, prompt_id)
        failed = playing.conclude(Report(outcomes=("error",), at_s=time.monotonic()))
    with play(choose("success")) as playing:
        outputs = history(playing, submit(playing))["outputs"]
        report = Report(outcomes=("success",), at_s=time.monotonic(), outputs=outputs)
        passed = playing.conclude(report)

    told = [f"{moment.who} {moment.words}" for moment in failed.story]
    assert told[0].startswith("client POST /prompt")
    assert "prompt is over: success" in told
    assert f"client GET /history/{prompt_id}: 200" in told
    assert told[-1] == "client reports error"
    assert passed.fine
    assert passed.story == ()


def test_a_key_in_an_address_is_not_in_the_story() -> None:
    with play(choose("success")) as playing:
        with urlopen(f"{playing.url}/queue?token=hf_abcdefghijklmnop&x=1", timeout=10):
            pass
        failed = playing.conclude(Report(outcomes=("error",), at_s=time.monotonic()))

    assert failed.story[0].words == f"GET /queue?token={19 * '*'}&x=1: 200"


def test_each_scenario_has_a_server_of_its_own() -> None:
    with play(choose("success")) as one, play(choose("success")) as other:
        assert one.url != other.url
        assert one.ws_url == one.url.replace("http", "ws", 1)
        assert one.url.endswith(str(one.port))


def test_a_path_and_tls_are_part_of_the_address() -> None:
    with play(choose("base-path")) as below, play(choose("tls-self-signed")) as secure:
        assert below.url.count("/") > secure.url.count("/")
        assert not below.url.endswith("/")
        assert secure.url.startswith("https://")


def test_a_secret_is_known_to_the_truth() -> None:
    with play(choose("success")) as playing:
        submit(playing)
        report = Report(outcomes=("failed",), at_s=time.monotonic(), text=f"key {SECRET}")
        result = playing.conclude(report)

    assert result.status == "fail"


def test_nothing_listens_any_more_afterwards() -> None:
    with play(choose("success")) as playing:
        url = playing.url

    with pytest.raises(OSError, match="refused"):
        urlopen(f"{url}/prompt", timeout=5)


def test_a_host_that_is_out_of_ports_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_port(*_: Any, **__: Any) -> None:
        raise UsageError("port 1 is taken; give another --port")

    monkeypatch.setattr(sys.modules[play.__module__], "serve", no_port)
    with pytest.raises(ScenarioError, match="no port could be opened for its server: port 1"):
        play(choose("success")).__enter__()
