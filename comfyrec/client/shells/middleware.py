"""The continuous mode: one workflow served over HTTP, run on request.

=======  ==================  ==================================================================
method   path                does
=======  ==================  ==================================================================
GET      ``/health``         200 while this process lives, whatever ComfyUI does
GET      ``/status``         state, prompt id, progress, how the last run ended
POST     ``/run``            202 and the prompt id; 409 while one runs; 400 no workflow or refused
GET      ``/queue``          the same, as older scripts ask for it
POST     ``/upload/image``   forwards the part ``image``, puts its name into the load nodes
POST     ``/update/prompt``  ``{"node_id", "text"}`` or ``{"role": "positive"|"negative", "text"}``
POST     ``/interrupt``      stops our prompt and says what came of it; 409 when there is none
=======  ==================  ==================================================================

Answers are JSON with a ``message``; 502 means that ComfyUI does not answer, or not as it should.
With ``compat`` they are plain text with the codes that the older executor script gave: 200 instead
of 202, 400 instead of 409, 500 for bad JSON and for an upload without a node to put it into.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from aiohttp import BodyPartReader, web

from comfyrec.client import workflow
from comfyrec.client.http.interrupt import Effect
from comfyrec.client.result import Result
from comfyrec.client.shells.aio import Client, OnEvent, PromptHandle
from comfyrec.client.workflow import Workflow
from comfyrec.errors import BadAnswer, ClientError, NoServer, Rejected

__all__ = ["Middleware"]

_UPLOAD_BYTES_MAX: Final = 512 << 20
_JSON_BYTES_MAX: Final = 64 << 20

_COMPAT: Final = {202: 200, 409: 400, 422: 500}
"""Codes of the older script where they differ. Bad JSON is answered where it is found."""


class _Answer(Exception):
    def __init__(self, status: int, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.facts = status, message, facts


class Middleware:
    """One workflow, one run at a time.

    Args:
        client: of the ComfyUI server. It reconnects by itself, so a restart there is survived.
        flow: what is run; ``None`` answers runs with 400.
        on_event: called for everything that happens to a run.
        run_on_upload: run after each upload.
        compat: see the module.
    """

    def __init__(
        self,
        client: Client,
        flow: Workflow | None,
        *,
        on_event: OnEvent | None = None,
        run_on_upload: bool = False,
        compat: bool = False,
    ) -> None:
        self.flow = flow
        self.last: Result | None = None
        self._client = client
        self._on_event = on_event
        self._run_on_upload = run_on_upload
        self._compat = compat
        self._prompt: PromptHandle | None = None
        self._submitting = False
        self._watching: asyncio.Task[None] | None = None

    def app(self) -> web.Application:
        """The routes. Ending the application forgets the run; it goes on at the server."""
        app = web.Application(client_max_size=_JSON_BYTES_MAX, middlewares=[self._shape])
        app.add_routes(
            [
                web.get("/health", self._health),
                web.get("/status", self._status),
                web.post("/run", self._run),
                web.get("/queue", self._run, allow_head=False),
                web.post("/upload/image", self._upload),
                web.post("/update/prompt", self._update),
                web.post("/interrupt", self._interrupt),
            ]
        )
        app.on_cleanup.append(self._cleanup)
        return app

    @property
    def state(self) -> str:
        """``idle``, ``running``, or the outcome of the last run."""
        if self._submitting or self._prompt is not None:
            return "running"
        return "idle" if self.last is None else str(self.last.outcome)

    # --- routes ------------------------------------------------------------------------------

    async def _health(self, _request: web.Request) -> web.Response:
        return self._answer(200, "ok")

    async def _status(self, _request: web.Request) -> web.Response:
        prompt, last = self._prompt, self.last
        return self._answer(
            200,
            self.state,
            state=self.state,
            prompt_id=prompt.prompt_id if prompt else None,
            progress=prompt.progress.nodes_progress if prompt else None,
            queue_position=prompt.progress.queue_position if prompt else None,
            connected=self._client.connected,
            server=self._client.called,
            last=_told_of(last) if last else None,
        )

    async def _run(self, _request: web.Request) -> web.Response:
        prompt = await self._submit()
        return self._answer(202, "the workflow runs", prompt_id=prompt.prompt_id)

    async def _submit(self) -> PromptHandle:
        if self.flow is None:
            raise _Answer(400, "there is no workflow to run")
        if self._submitting or self._prompt is not None:
            running = self._prompt.prompt_id if self._prompt else None
            raise _Answer(409, "the workflow runs already", prompt_id=running)
        self._submitting = True
        try:
            prompt = await self._client.submit(self.flow, on_event=self._on_event)
        finally:
            self._submitting = False
        self._prompt = prompt
        self._watching = asyncio.create_task(self._watch(prompt))
        return prompt

    async def _watch(self, prompt: PromptHandle) -> None:
        try:
            self.last = await prompt.outcome()
        finally:
            self._prompt = None

    async def _upload(self, request: web.Request) -> web.Response:
        self._refuse_while_running()
        nodes = workflow.image_nodes(self.flow.graph) if self.flow else []
        data, name, fields = await self._parts(request)
        if fields.get("node_id"):
            nodes = [node for node in nodes if node == fields["node_id"]]
        if self.flow is None or not nodes:
            raise _Answer(422, "the workflow has no node that loads such an image")
        stored = await self._client.upload(
            data,
            name=name,
            subfolder=fields.get("subfolder", ""),
            overwrite=fields.get("overwrite", "") in ("1", "true"),
        )
        self._refuse_while_running()
        graph = workflow.with_image(self.flow.graph, nodes, stored.name, stored.subfolder)
        self.flow = Workflow(graph, self.flow.extra)
        facts: dict[str, Any] = {
            "name": stored.name,
            "subfolder": stored.subfolder,
            "nodes": nodes,
        }
        if self._run_on_upload:
            facts["prompt_id"] = (await self._submit()).prompt_id
        return self._answer(200, "the image is uploaded", **facts)

    def _refuse_while_running(self) -> None:
        if self._submitting or self._prompt is not None:
            raise _Answer(409, "the workflow runs; upload when it is over")

    async def _parts(self, request: web.Request) -> tuple[bytes, str, dict[str, str]]:
        """The part ``image`` and the plain fields of a multipart body."""
        if not request.content_type.startswith("multipart/"):
            raise _Answer(400, "send the image as multipart/form-data, in a part named 'image'")
        data, name, fields = None, "image.png", {}
        try:
            async for part in await request.multipart():
                if not isinstance(part, BodyPartReader):
                    continue
                body = await _bounded(part)
                if part.name == "image":
                    data, name = body, part.filename or name
                elif part.name:
                    fields[part.name] = body.decode("utf-8", "replace")
        except ValueError as broken:
            raise _Answer(400, f"the multipart body is broken: {broken}") from None
        if not data:
            raise _Answer(400, "the part 'image' is missing or empty")
        return data, name, fields

    async def _update(self, request: web.Request) -> web.Response:
        body = await self._object(request)
        text = body.get("text")
        if not isinstance(text, str):
            raise _Answer(400, "'text' is missing")
        if self.flow is None:
            raise _Answer(400, "there is no workflow to change")
        nodes = self._nodes_for(body, self.flow)
        graph = self.flow.graph
        for node in nodes:
            try:
                graph = workflow.with_text(graph, node, text)
            except ValueError as wrong:
                raise _Answer(400, str(wrong)) from None
        self.flow = Workflow(graph, self.flow.extra)
        when = "the next run" if self.state == "running" else "each run"
        return self._answer(200, f"the text is changed for {when}", nodes=nodes)

    def _nodes_for(self, body: dict[str, Any], flow: Workflow) -> list[str]:
        """The node that is named, or all that have the role (``type`` is the older word)."""
        node = body.get("node_id")
        if node is not None:
            if str(node) not in flow.graph:
                raise _Answer(
                    404, f"there is no node {node}; the nodes are {', '.join(flow.graph)}"
                )
            return [str(node)]
        role = body.get("role", body.get("type"))
        if role not in workflow.ROLES:
            raise _Answer(400, "give 'node_id', or 'role': 'positive' or 'negative'")
        nodes = workflow.text_nodes(flow.graph, role)
        if not nodes:
            raise _Answer(404, f"no node holds the {role} text")
        return nodes

    async def _object(self, request: web.Request) -> dict[str, Any]:
        try:
            body = json.loads(await request.read())
        except (ValueError, RecursionError):
            raise _Answer(500 if self._compat else 400, "the body is not valid JSON") from None
        if not isinstance(body, dict):
            raise _Answer(400, "the body must be a JSON object")
        return body

    async def _interrupt(self, _request: web.Request) -> web.Response:
        prompt = self._prompt
        if prompt is None:
            raise _Answer(409, "nothing runs", effect=None)
        effect = await prompt.interrupt()
        if effect not in (Effect.STILL_RUNNING, Effect.UNKNOWN) and self._watching is not None:
            await asyncio.wait([self._watching])
        return self._answer(
            200, f"prompt {prompt.prompt_id}: {effect}", effect=effect, prompt_id=prompt.prompt_id
        )

    # --- answers -----------------------------------------------------------------------------

    def _answer(self, status: int, message: str, **facts: Any) -> web.Response:
        if self._compat:
            return web.Response(status=_COMPAT.get(status, status), text=message)
        return web.json_response({"message": message, **facts}, status=status)

    @web.middleware
    async def _shape(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Whatever ends a handler becomes an answer of ours."""
        try:
            response: web.StreamResponse = await handler(request)
        except _Answer as answer:
            return self._answer(answer.status, answer.message, **answer.facts)
        except web.HTTPRequestEntityTooLarge:
            return self._answer(413, f"more than {_JSON_BYTES_MAX} bytes")
        except web.HTTPException as refusal:
            return self._refused(refusal)
        except Rejected as refusal:
            return self._answer(400, str(refusal), node_errors=refusal.node_errors)
        except (NoServer, BadAnswer, ClientError) as wrong:
            return self._answer(502, str(wrong))
        return response

    def _refused(self, refusal: web.HTTPException) -> web.Response:
        response = self._answer(refusal.status, refusal.reason)
        if "Allow" in refusal.headers:
            response.headers["Allow"] = refusal.headers["Allow"]
        return response

    async def _cleanup(self, _app: web.Application) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])


def _told_of(result: Result) -> dict[str, Any]:
    return {
        "prompt_id": result.prompt_id,
        "outcome": str(result.outcome),
        "reason": result.reason,
        "outputs": result.outputs,
        "elapsed_s": result.elapsed_s,
    }


async def _bounded(part: BodyPartReader) -> bytes:
    pieces, size = [], 0
    while piece := await part.read_chunk(1 << 16):
        size += len(piece)
        if size > _UPLOAD_BYTES_MAX:
            raise _Answer(413, f"an image of more than {_UPLOAD_BYTES_MAX} bytes is not forwarded")
        pieces.append(piece)
    return b"".join(pieces)
