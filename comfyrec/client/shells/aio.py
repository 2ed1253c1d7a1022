"""The asyncio shell around a session: WebSocket, HTTP, time and files.

::

    async with Client("127.0.0.1:8188") as client:
        result = await client.run(workflow, on_event=print)
        await client.save(result, Path("pictures"))

Order of calls: ``run`` connects by itself; ``submit`` and then ``PromptHandle.wait`` is ``run`` in
two steps.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from comfyrec.client import outputs, session_inputs, workflow
from comfyrec.client.http import requests
from comfyrec.client.http.exchange import HttpRequest, Unanswered, read_json
from comfyrec.client.http.requests import Accepted, QueuePlace, Uploaded
from comfyrec.client.result import Result
from comfyrec.client.shells.connection import Connection
from comfyrec.client.shells.handle import OnEvent, PromptHandle, check_callback, check_limit
from comfyrec.errors import NoServer, OutputError

__all__ = ["Client", "OnEvent", "PromptHandle"]

_FETCH_TRIES = 3


class Client(Connection):
    """A client of one ComfyUI server: one socket, any number of prompts at once.

    ``connect``, ``watch``, ``interrupt``, ``progress_of`` and ``close`` are those of
    ``Connection``.

    Args:
        server: address (see ``comfyrec.client.address``); ``None`` reads the environment.
        headers: sent with every request, the WebSocket included; for a proxy's keys.
        extra_data: goes into each prompt's ``extra_data``, such as ``api_key_comfy_org``.
        tls: ``False`` accepts any certificate; or a context of your own.
        reconnect: whether a lost WebSocket is opened again. If not, queue and history are watched.
        environment: instead of the process's own.
        settings: fields of ``ClientSettings``.

    Raises:
        UsageError: an invalid address or setting.
    """

    async def run(
        self,
        graph: workflow.Workflow | Mapping[str, Any],
        *,
        on_event: OnEvent | None = None,
        timeout_s: float | None = None,
        prompt_id: str | None = None,
    ) -> Result:
        """Submit a workflow and wait for its end.

        Args:
            graph: API format, bare or inside ``{"prompt": ...}``.
            on_event: called for everything that happens to it.
            timeout_s: total limit for this prompt instead of the settings' one.
            prompt_id: a UUID of your own; servers before 0.3.45 ignore it.

        Raises:
            WorkflowError: not a workflow in API format; nothing was sent.
            NoServer: the server does not answer.
            Rejected: the server did not accept it.
            TimedOut: see ``PromptHandle.wait``.
        """
        prompt = await self.submit(
            graph, on_event=on_event, timeout_s=timeout_s, prompt_id=prompt_id
        )
        try:
            return await prompt.wait()
        finally:
            self._forget(prompt)

    async def submit(
        self,
        graph: workflow.Workflow | Mapping[str, Any],
        *,
        on_event: OnEvent | None = None,
        timeout_s: float | None = None,
        prompt_id: str | None = None,
    ) -> PromptHandle:
        """Submit a workflow and watch it. Arguments and errors are those of ``run``."""
        flow = graph if isinstance(graph, workflow.Workflow) else workflow.of(dict(graph))
        check_limit(timeout_s)
        check_callback(on_event)
        limit_s = self.settings.timeout_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(limit_s):
                await self.connect()
                accepted = await self._post(flow, prompt_id)
        except TimeoutError:
            raise NoServer(self.called, f"no answer within {limit_s:g} s") from None
        prompt = PromptHandle(self, accepted, on_event, limit_s)
        self._prompts[prompt.prompt_id] = prompt
        self._feed(
            session_inputs.PromptAccepted(
                accepted,
                nodes=tuple(flow.graph),
                listening=on_event is not None,
                timeout_s=timeout_s,
            )
        )
        return prompt

    async def _post(self, flow: workflow.Workflow, prompt_id: str | None) -> Accepted:
        """Meanwhile messages about unknown prompts are kept (K7)."""
        self._feed(session_inputs.SubmitStarted())
        conversation = requests.submit(
            flow,
            client_id=self.client_id,
            prompt_id=prompt_id,
            extra_data=self._extra_data,
        )
        try:
            return await self._converse(conversation)
        except BaseException:
            self._feed(session_inputs.SubmitFailed())
            raise

    async def position(self, prompt_id: str) -> QueuePlace:
        """Where a prompt is in the queue.

        Raises:
            NoServer, BadAnswer: the server does not answer, or not with a queue.
        """
        request = requests.queue()
        queued = requests.read_queue(request, await self._request(request))
        return requests.place_in(queued, prompt_id)

    async def history(self, prompt_id: str) -> dict[str, Any] | None:
        """The history entry of a prompt; None while there is none.

        Raises:
            NoServer, BadAnswer: the server does not answer, or not with a history or a job.
        """
        return (await self._converse(requests.look_up(prompt_id))).entry

    async def get(self, path: str) -> Any:
        """The JSON of any GET route.

        Raises:
            NoServer, BadAnswer: the server does not answer, or not with JSON.
        """
        request = HttpRequest(path=path)
        return read_json(request, await self._request(request))

    async def upload(
        self,
        source: Path | bytes,
        *,
        name: str | None = None,
        subfolder: str = "",
        type: str = "input",
        overwrite: bool = False,
    ) -> Uploaded:
        """Put an image into the server's input folder; use the name that comes back (A85).

        Raises:
            OutputError: the file cannot be read.
            NoServer, BadAnswer: the server does not answer, or does not accept it.
        """
        if isinstance(source, Path):
            try:
                data = await asyncio.to_thread(source.read_bytes)
            except OSError as wrong:
                raise OutputError(str(source), f"cannot be read ({wrong.strerror})") from None
        else:
            data = source
        name = name or (source.name if isinstance(source, Path) else "image.png")
        return await self._converse(
            requests.upload(
                data,
                name,
                boundary=uuid.uuid4().hex,
                subfolder=subfolder,
                type=type,
                overwrite=overwrite,
            )
        )

    async def fetch(self, file: outputs.OutputFile) -> bytes:
        """The complete bytes of an output; tried three times if the connection breaks.

        Raises:
            OutputError: the server does not have it, or it never came completely.
        """
        why = ""
        for _ in range(_FETCH_TRIES):
            try:
                return await self._carry_out(requests.fetch(file))
            except Unanswered as broken:
                why = broken.why
            except OutputError as wrong:
                raise OutputError(wrong.name, self.redaction(wrong.why)) from None
        raise OutputError(file.filename, f"GET /view: {why}")

    async def save(
        self,
        result: Result,
        folder: Path,
        *,
        pattern: outputs.Pattern | str = "frame.###.png",
        overwrite: bool = False,
    ) -> list[Path]:
        """Fetch the result's files and write them as the pattern says.

        Previews (type ``temp``) are saved only if there is nothing else.

        Raises:
            UsageError: a pattern without a counter.
            OutputError: a file is missing, incomplete, or cannot be written.
        """
        if isinstance(pattern, str):
            pattern = outputs.Pattern.parse(pattern)
        written = []
        for index, file in enumerate(outputs.to_save(result.outputs)):
            path = folder / pattern.name(index, file.suffix)
            data = await self.fetch(file)
            await asyncio.to_thread(_write, path, data, overwrite=overwrite)
            written.append(path)
        return written


def _write(path: Path, data: bytes, *, overwrite: bool) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb" if overwrite else "xb") as file:
            file.write(data)
    except FileExistsError:
        raise OutputError(
            str(path), "already exists; choose another folder, --filepattern or --index-offset"
        ) from None
    except OSError as wrong:
        raise OutputError(str(path), f"cannot be written ({wrong.strerror})") from None
