"""Restless users against small clients: the right one stands it, the wrong ones do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from comfyrec.strategies import Judged, client_machine
from tests.support.json_over_http import get_json, post_json
from tests.support.lanes import DEEP

FUZZ = settings(
    max_examples=300 if DEEP else 15,
    stateful_step_count=20,
    database=None,
    derandomize=True,
    phases=(Phase.generate,),
)
POLLS_MAX = 100


class Poller:
    """Right: it asks history and queue until each prompt is in one of them no more."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.told: dict[str, list[str]] = {}

    def submit(self, workflow: dict[str, Any]) -> str:
        prompt_id = str(self.post("/prompt", {"prompt": workflow})["prompt_id"])
        self.told[prompt_id] = []
        return prompt_id

    def interrupt(self, prompt_id: str) -> None:
        self.post("/interrupt", {"prompt_id": prompt_id})

    def delete(self, prompt_id: str) -> None:
        self.post("/queue", {"delete": [prompt_id]})

    def reconnect(self) -> None:
        self.look()

    def outcomes(self) -> Mapping[str, Sequence[str]]:
        return self.told

    def settle(self) -> None:
        for _ in range(POLLS_MAX):
            self.look()
            if all(self.told.values()):
                return

    def close(self) -> None:
        self.told = {}

    def look(self) -> None:
        queue = self.get("/queue")
        there = {row[1] for row in [*queue["queue_running"], *queue["queue_pending"]]}
        history = self.get("/history")
        for prompt_id, told in self.told.items():
            if prompt_id in history and not told:
                told.append(self.outcome(history[prompt_id]))
            elif prompt_id not in there and not told:
                told.append("lost")

    def outcome(self, entry: Mapping[str, Any]) -> str:
        kinds = [kind for kind, _ in entry["status"]["messages"]]
        failed = "interrupted" if "execution_interrupted" in kinds else "error"
        return failed if entry["status"]["status_str"] == "error" else "success"

    def get(self, path: str) -> Any:
        return get_json(f"{self.url}{path}")

    def post(self, path: str, body: Any) -> Any:
        return post_json(f"{self.url}{path}", body)


class AllIsWell(Poller):
    """Wrong: what is in the history has succeeded."""

    def outcome(self, entry: Mapping[str, Any]) -> str:
        return "success"


class SaysItTwice(Poller):
    """Wrong: when it connects anew, it reports what it has reported before."""

    def reconnect(self) -> None:
        super().reconnect()
        for told in self.told.values():
            told += told[:1]


class Waits(Poller):
    """Wrong: what it does not find in the history it waits for."""

    def look(self) -> None:
        history = self.get("/history")
        for prompt_id, told in self.told.items():
            if prompt_id in history and not told:
                told.append(self.outcome(history[prompt_id]))


class Hasty(Poller):
    """Wrong: what is accepted has succeeded."""

    def submit(self, workflow: dict[str, Any]) -> str:
        prompt_id = super().submit(workflow)
        self.told[prompt_id].append("success")
        return prompt_id


WRONG = {
    AllIsWell: "it reported success; true is",
    SaysItTwice: "has 2 outcomes: ",
    Waits: "no outcome for",
    Hasty: "it reported success; true is",
}


@pytest.mark.slow
def test_the_right_client_stands_it() -> None:
    run_state_machine_as_test(client_machine(Poller), settings=FUZZ)


@pytest.mark.slow
@pytest.mark.parametrize("client, words", WRONG.items(), ids=[one.__name__ for one in WRONG])
def test_a_wrong_client_is_found(client: type[Poller], words: str) -> None:
    with pytest.raises(Judged, match=words):
        run_state_machine_as_test(client_machine(client), settings=settings(FUZZ, max_examples=100))


def test_older_servers_too() -> None:
    machine = client_machine(Poller, version="0.8.2")

    run_state_machine_as_test(machine, settings=settings(FUZZ, max_examples=5))
