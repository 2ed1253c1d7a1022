"""Clients that depend on one fact of the wire: right on one version of ComfyUI, wrong on another.

python -m tests.comfyrec.check.specimens.of_one_version progress_state URL WORKFLOW
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from typing import Any

from tests.comfyrec.check.specimens.right import Client, Over, main


class OwnPromptId(Client):
    """It goes by the id that it chose, and never looks at the one it was given."""

    async def submit(self, workflow: Any) -> None:
        mine = str(uuid.uuid4())
        await self.post({"prompt": workflow, "client_id": self.client_id, "prompt_id": mine})
        self.prompt_id = mine


class ProgressState(Client):
    """The end of a prompt is a ``progress_state`` in which every node is finished."""

    states: dict[str, Any]

    async def wait(self) -> None:
        self.states = {}
        while not self.states or any(one["state"] != "finished" for one in self.states.values()):
            await self.listen(3)
            if now_over(self):
                raise Over("timed-out", f"no progress_state of prompt {self.prompt_id}")
        await super().wait()

    def take(self, kind: str, data: dict[str, Any]) -> bool:
        super().take(kind, data)
        if kind == "progress_state":
            self.states = data["nodes"]
        return kind == "progress_state"


class NullExecuting(Client):
    """Only the null ``executing`` is the end of a prompt."""

    async def wait(self) -> None:
        while not await self.listen(3):
            if now_over(self):
                raise Over("timed-out", f"no null executing of prompt {self.prompt_id}")
        await super().wait()

    def take(self, kind: str, data: dict[str, Any]) -> bool:
        super().take(kind, data)
        return kind == "executing" and data["node"] is None


class CachedHistory(Client):
    """It submits as nobody, and what was cached still has its outputs in the history."""

    async def submit(self, workflow: Any) -> None:
        for _ in range(2):
            _status, text = await self.post({"prompt": workflow})
            self.prompt_id = json.loads(text)["prompt_id"]

    async def look_up(self) -> None:
        entry = (await self.get(f"/history/{self.prompt_id}")).get(self.prompt_id)
        if entry and not entry["outputs"]:
            raise Over("error", "the prompt has put out nothing")
        if entry:
            raise Over("success", outputs=entry["outputs"])
        await asyncio.sleep(0.05)


class JobRoutes(Client):
    """It asks for the job, not for the history."""

    async def look_up(self) -> None:
        job = await self.get(f"/api/jobs/{self.prompt_id}")
        if job["status"] == "completed":
            raise Over("success", outputs=job["outputs"])
        if job["status"] in ("failed", "cancelled"):
            raise Over("error", str(job.get("execution_error")))


class SidPlace(Client):
    """It goes by the ``sid`` of the first ``status``, and cannot do without."""

    own_id = False

    async def learn_id(self) -> None:
        kind, data = await self.receive(self.request_s) or ("", {})
        assert kind == "status"
        self.client_id = data["sid"]


def now_over(client: Client) -> bool:
    """Whether its time is over."""
    return asyncio.get_running_loop().time() > client.until


CLIENTS = {
    "client_prompt_id": OwnPromptId,
    "progress_state": ProgressState,
    "null_executing": NullExecuting,
    "cached_needs_client": CachedHistory,
    "jobs": JobRoutes,
    "sid_in_status": SidPlace,
}
"""By the fact that decides how they do."""


if __name__ == "__main__":
    chosen = CLIENTS[sys.argv.pop(1)]
    sys.exit(main(chosen))
