"""A client of Comfy Cloud that is right, and wrong relatives of it.

``FAILS`` says in which scenarios each of them has to fail.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import aiohttp

from comfyrec.check.play import SECRET
from tests.comfyrec.check.specimens.right import TROUBLES, Client, Over, files_in

FAILS: Final[dict[type[Client], tuple[str, ...]]] = {}
WRONG_ANYWHERE: Final[set[type[Client]]] = set()
"""What these do wrong a normal run may show, too."""
TOKENS: Final = {"cloud-key-to-storage": "comfyui-fake-key"}
"""The keys of scenarios that ask for one of their own."""


def fails(*scenarios: str) -> Any:
    """Enter a wrong client into the table."""

    def enter(client: type[Client]) -> type[Client]:
        FAILS[client] = scenarios
        return client

    return enter


class CloudClient(Client):
    """Keys, ``/api``, job status; otherwise the right client of a local server."""

    key = SECRET
    ends: dict[str, str] = {  # noqa: RUF012  # read only
        "success": "success", "completed": "success", "error": "error",
        "non_retryable_error": "error", "retryable_error": "error", "cancelled": "interrupted",
        "lost": "lost",
    }  # fmt: skip

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.root, self.base = self.base, f"{self.base}/api"

    async def be_ready(self) -> None:
        self.http.headers["X-API-Key"] = self.key
        async with self.http.get(f"{self.base}/user") as answer:
            if answer.status != 200:
                raise Over("rejected", f"GET /user: {answer.status} {await answer.text()}")

    async def connect(self) -> None:
        self.socket = None
        address = f"{self.root}/ws?clientId={self.client_id}&token={self.key}"
        try:
            self.socket = await asyncio.wait_for(self.http.ws_connect(address), self.request_s)
        except TROUBLES as error:
            self.problems.append(f"no socket: {type(error).__name__}")

    async def look_up(self) -> None:
        """Ask how the job stands; what it gave, once it is over."""
        status = await self.get(f"/job/{self.prompt_id}/status")
        outcome = self.outcome_of(status["status"])
        if outcome is None:
            return
        detail = await self.get(f"/jobs/{self.prompt_id}")
        if outcome == "success":
            raise Over("success", outputs=detail.get("outputs") or {})
        error = detail.get("execution_error") or {}
        raise Over(outcome, str(error.get("exception_message") or status.get("error_message")))

    def outcome_of(self, word: str) -> str | None:
        """None while the job goes on."""
        return self.ends.get(word)

    async def in_queue(self) -> bool:
        return True  # the status would have said if not

    async def fetch(self, outputs: dict[str, Any]) -> None:
        for item in files_in(outputs):
            query = {name: item[name] for name in ("filename", "subfolder", "type")}
            try:
                self.files[item["filename"]] = await self.fetch_one(query)
            except TROUBLES as error:
                self.problems.append(f"{item['filename']} could not be fetched: {error!r}")

    async def fetch_one(self, query: dict[str, str]) -> bytes:
        view = f"{self.base}/view"
        async with self.http.get(view, params=query, allow_redirects=False) as answer:
            if answer.status != 302:
                raise ValueError(f"GET /view: {answer.status}")
            signed = answer.headers["Location"]
        async with aiohttp.ClientSession() as bare, bare.get(signed) as answer:
            answer.raise_for_status()
            return await answer.read()


@fails("cloud-status-words")
class WaitsForCompleted(CloudClient):
    """The official quick start until docs#1406: it waits for a word that never comes."""

    def outcome_of(self, word: str) -> str | None:
        return "success" if word == "completed" else None


WRONG_ANYWHERE.add(WaitsForCompleted)


@fails("cloud-status-words")
class KnowsTheWordsInFlight(CloudClient):
    """What it has not read of is a failure to it."""

    def outcome_of(self, word: str) -> str | None:
        known = ("submitted", "queued_waiting", "preparing", "executing", "cancel_requested")
        return None if word in known else self.ends.get(word, "error")


@fails("cloud-failure-words")
class KnowsOneFailure(CloudClient):
    """``error`` is the only word for a failure that it knows."""

    def outcome_of(self, word: str) -> str | None:
        return {"success": "success", "error": "error"}.get(word)


@fails("cloud-key-to-storage")
class TakesItsKeyAlong(CloudClient):
    """It lets its library follow the redirect."""

    async def fetch_one(self, query: dict[str, str]) -> bytes:
        async with self.http.get(f"{self.base}/view", params=query) as answer:
            answer.raise_for_status()
            return await answer.read()


@fails("cloud-error-fields")
class NeedsEveryField(CloudClient):
    """It reads a local server's fields, and knows nothing else."""

    def take(self, kind: str, data: dict[str, Any]) -> bool:
        if kind == "execution_error":
            where = f"{data['node_type']} {data['node_id']}"
            raise Over("error", f"{where}: {data['exception_message']}")
        return super().take(kind, data)


@fails("cloud-all-sockets-hear-all", "cloud-jobs-in-parallel")
class TakesAnyEnd(CloudClient):
    """On its socket everything is its own, it thinks."""

    def is_ours(self, kind: str, data: Any) -> bool:
        return isinstance(data, dict)

    def take(self, kind: str, data: dict[str, Any]) -> bool:
        if super().take(kind, data):
            raise Over("success", outputs=self.outputs)
        return False


@fails("cloud-history-404")
class AsksALocalHistory(CloudClient):
    """A 404 of ``/history/{id}`` says to it that the job is gone."""

    async def look_up(self) -> None:
        async with self.http.get(f"{self.base}/history/{self.prompt_id}") as answer:
            if answer.status == 404 and not self.seen_end:
                raise Over("lost", "the server does not know the prompt")
        await super().look_up()


@fails("cloud-insufficient-credits")
class SaysNothing(CloudClient):
    """It reports a refusal without its reason."""

    async def report(self, over: Over) -> dict[str, Any]:
        self.problems = []
        return json.loads(json.dumps(await super().report(Over(over.outcome, "", over.outputs))))  # type: ignore[no-any-return]  # a report
