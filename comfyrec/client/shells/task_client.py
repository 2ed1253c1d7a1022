"""(shell) Tasks on a sequencer: execute, query, wait, cancel.

::

    async with TaskClient("http://127.0.0.1:8188", api_key="consumer#key") as client:
        task_id = await client.execute(FluxLoraTask(prompt="a bridge", lora_name="ink"))
        state = await client.wait(task_id)
        print(state["result"])
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import yarl

from comfyrec.client import address
from comfyrec.client.http import task_requests
from comfyrec.client.http.exchange import HttpRequest, HttpResponse
from comfyrec.client.http.task_requests import (
    STATUSES,
    FluxLoraTask,
    Key,
    Task,
    Text2VideoTask,
    UpscalerTask,
)
from comfyrec.client.redaction import Redaction
from comfyrec.errors import NoServer, TaskError, UsageError

__all__ = [
    "STATUSES",
    "FluxLoraTask",
    "Key",
    "Task",
    "TaskClient",
    "Text2VideoTask",
    "UpscalerTask",
]

T = TypeVar("T")

KEY_VARIABLES = ("XALORA_API_KEY", "HEURIST_API_KEY")
URL_VARIABLES = ("XALORA_WORKFLOW_URL", "HEURIST_WORKFLOW_URL")


class TaskClient:
    """A client of the task interface.

    Args:
        server: base URL; ``None`` reads ``XALORA_WORKFLOW_URL``, then ``HEURIST_WORKFLOW_URL``.
        api_key: ``CONSUMER#KEY``; ``None`` reads ``XALORA_API_KEY``, then ``HEURIST_API_KEY``.
        request_timeout_s: limit of one request.
        environment: instead of the process's own.

    Raises:
        UsageError: no server, no key, or one that cannot be used.
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        api_key: str | None = None,
        request_timeout_s: float = 60.0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        environment = os.environ if environment is None else environment
        url = server or _first(environment, URL_VARIABLES)
        key = api_key or _first(environment, KEY_VARIABLES)
        if not url:
            raise UsageError(f"no task server: give its URL, or set {' or '.join(URL_VARIABLES)}")
        if not key:
            raise UsageError(f"no key: give api_key, or set {' or '.join(KEY_VARIABLES)}")
        self.address = address.parse(url, where="the task server")
        self.key = Key.parse(key)
        self._timeout = aiohttp.ClientTimeout(total=request_timeout_s)
        self._http: aiohttp.ClientSession | None = None
        self._redact = Redaction.over([self.key.api_key])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def execute(self, task: Task) -> str:
        """Submit a task without waiting; gives its id.

        Raises:
            TaskError, NoServer: refused, or not answered.
        """
        return await self._carry_out(
            task_requests.create(task, self.key, job=uuid.uuid4().hex[:10])
        )

    async def query(self, task_id: str) -> dict[str, Any]:
        """The state of a task, with every field that the server gives.

        Raises:
            TaskError, NoServer: refused or unknown, or not answered.
        """
        return await self._carry_out(task_requests.query(task_id, self.key))

    async def cancel(self, task_id: str) -> dict[str, Any]:
        """Cancel a task; ``msg`` of the answer says what came of it.

        Raises:
            TaskError, NoServer: refused or unknown, or not answered.
        """
        return await self._carry_out(task_requests.cancel(task_id, self.key))

    async def resource(
        self, *, workflow_id: str | None = None, task_type: str | None = None
    ) -> str:
        """The id of the worker that would take such a task.

        Raises:
            TaskError, NoServer: refused, or not answered.
        """
        talk = task_requests.resource(self.key, workflow_id=workflow_id, task_type=task_type)
        return await self._carry_out(talk)

    async def wait(
        self,
        task_id: str,
        *,
        timeout_s: float = 300.0,
        interval_s: float = 10.0,
        check: bool = False,
    ) -> dict[str, Any]:
        """Wait until a task is over; gives its last state.

        Raises:
            ValueError: limits that make no sense; nothing was sent.
            TaskFailed: ``check``, and it failed or was canceled.
            TaskTimedOut: not over within the limit; the task goes on.
            TaskError, NoServer: refused or unknown, or not answered.
        """
        task_requests.check_wait(timeout_s, interval_s)
        talk = task_requests.wait(
            task_id, self.key, timeout_s=timeout_s, interval_s=interval_s, check=check
        )
        return await self._carry_out(talk)

    async def execute_and_wait(
        self,
        task: Task,
        *,
        timeout_s: float = 300.0,
        interval_s: float = 10.0,
        check: bool = False,
    ) -> dict[str, Any]:
        """``execute``, then ``wait``; the limits are checked before anything is sent."""
        task_requests.check_wait(timeout_s, interval_s)
        task_id = await self.execute(task)
        return await self.wait(task_id, timeout_s=timeout_s, interval_s=interval_s, check=check)

    async def _carry_out(self, talk: task_requests.TalkWithPauses[T] | task_requests.Talk[T]) -> T:
        answer: Any = None
        try:
            while True:
                wish = talk.send(answer)
                if isinstance(wish, task_requests.Pause):
                    await asyncio.sleep(wish.seconds)
                    answer = None
                else:
                    answer = await self._do(wish)
        except StopIteration as end:
            value: T = end.value
            return value
        except TaskError as refusal:
            refusal.message = self._redact(refusal.message)
            raise

    async def _do(self, ask: HttpRequest) -> HttpResponse:
        if self._http is None:
            self._http = aiohttp.ClientSession()
        url = self.address.url(ask.path)
        try:
            async with self._http.request(
                ask.method,
                yarl.URL(url, encoded=True),
                data=ask.body,
                headers={"Content-Type": ask.content_type},
                allow_redirects=False,
                timeout=self._timeout,
            ) as response:
                return HttpResponse(
                    status=response.status,
                    content_type=response.headers.get("Content-Type", ""),
                    body=await response.read(),
                    url=url,
                )
        except TimeoutError:
            why = f"no answer within {self._timeout.total:g} s"
        except (aiohttp.ClientError, OSError) as error:
            why = self._redact(str(error) or type(error).__name__)
        raise NoServer(str(self.address), why)


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")
