"""Run a workflow on a ComfyUI server, or serve it over HTTP.

Shows a summary, asks whether to run it, shows progress, prints and saves the
outputs. With --json, the last line of standard output is
{"comfyrec": {"outcome", "prompt_id", "outputs", "error"}}.

Exit status: 0 success (or you chose not to run it), 1 the workflow failed,
2 wrong use or not a workflow, 4 interrupted by somebody else, 5 lost,
6 timed out, 7 rejected, 8 no server, 9 removed from the queue, 10 outputs
could not be saved, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from comfyrec.cli._run_flags import add_arguments, check_combination
from comfyrec.cli._run_server import on_signals, served
from comfyrec.cli._workflows import as_prompt, page_workflow
from comfyrec.client import address, outputs, workflow
from comfyrec.client.formatting import json_line, printable
from comfyrec.client.http.exchange import key_in
from comfyrec.client.http.interrupt import Effect
from comfyrec.client.result import EXIT_STATUS, Outcome, Result, report
from comfyrec.client.shells.printer import LiveProgress, ProgressPrinter
from comfyrec.client.workflow import Workflow
from comfyrec.errors import (
    BadAnswer,
    ClientError,
    ComfyrecError,
    NoServer,
    OutputError,
    RunFailed,
    UsageError,
    WorkflowError,
)
from comfyrec.wording import reason

if TYPE_CHECKING:
    from comfyrec.client.progress_event import ProgressEvent
    from comfyrec.client.shells.aio import Client, OnEvent, PromptHandle
    from comfyrec.client.shells.jobs import JobClient
    from comfyrec.workflows import Workflow as PageWorkflow

__all__ = ["add_arguments", "run"]

INTERRUPTED = 130
_CTRL_C = "it was interrupted before its end was known"

_YES, _NO = frozenset({"y", "yes", "yeah", "yep"}), frozenset({"n", "no", "nope"})


def run(arguments: argparse.Namespace) -> int:
    """Check everything that can be checked here, then contact the server."""
    check_combination(arguments)
    pattern = outputs.Pattern.parse(
        arguments.filepattern or outputs.Pattern().text, offset=arguments.index_offset or 0
    )
    # Whoever reads the report line gets one from here on, however it ends.
    report_line = _ReportLine(wanted=arguments.json)
    try:
        flow = _read(arguments.workflow)
        if arguments.save_images is not None:
            _check_folder(arguments.save_images, pattern, overwrite=arguments.overwrite)
        return asyncio.run(_run(arguments, flow, pattern, report_line))
    except ComfyrecError as error:
        report_line.print(*_told_by(error), {}, error=str(error))
        raise
    except KeyboardInterrupt:
        report_line.print(Outcome.INTERRUPTED, None, {}, error=_CTRL_C)
        raise


def _read(path: Path) -> Workflow | PageWorkflow:
    """The workflow of the file: as a server runs it, or as the page saved it."""
    where = _name_of(path)
    try:
        text = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as wrong:
        raise WorkflowError(
            where, f"cannot be read ({reason(wrong)}); give a workflow file, or a picture with one"
        ) from None
    return page_workflow(text, where) or workflow.read(text, where=where)


def _name_of(path: Path) -> str:
    return "standard input" if str(path) == "-" else str(path)


def _check_folder(folder: Path, pattern: outputs.Pattern, *, overwrite: bool) -> None:
    """Make sure that outputs can be saved before the GPU works for them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as wrong:
        raise OutputError(
            f"--save-images {folder}", f"cannot be created ({reason(wrong)}); give another folder"
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"--save-images {folder}", "is not writable; choose another folder")
    numbers = {pattern.number_of(file.name): file for file in folder.iterdir()}
    taken = [number for number in numbers if number is not None and number >= pattern.offset]
    if taken and not overwrite:
        # From another run: its files would stand between the new ones, or in their way.
        raise OutputError(
            str(numbers[min(taken)]),
            f"already exists; give another folder, --overwrite to replace files of the same name, "
            f"or --index-offset {max(taken) + 1} to go on behind it",
        )


def _told_by(error: ComfyrecError) -> tuple[str, str | None]:
    """Outcome and prompt id of a run that ended with an error."""
    if isinstance(error, BadAnswer):
        return Outcome.REJECTED, None
    if isinstance(error, RunFailed):
        return error.outcome, error.prompt_id
    return (Outcome.LOST if isinstance(error, NoServer) else Outcome.ERROR), None


class _ReportLine:
    """The last line of ``--json``: printed once, by whoever knows first how it ended."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted

    def print(
        self, outcome: str, prompt_id: str | None, found: dict[str, Any], *, error: str
    ) -> None:
        """Print it, if it is wanted and was not printed."""
        if self._wanted:
            self._wanted = False
            print(json_line(report(str(outcome), prompt_id, found, error=error)), flush=True)

    def leave_out(self) -> None:
        """Something else is printed in its place."""
        self._wanted = False


def _say(sentence: str) -> None:
    """For a person, on standard error."""
    shown = "\n".join(map(printable, sentence.splitlines()))
    print(shown, file=sys.stderr, flush=True)


# --- with the server -------------------------------------------------------------------------


async def _run(
    arguments: argparse.Namespace,
    flow: Workflow | PageWorkflow,
    pattern: outputs.Pattern,
    report_line: _ReportLine,
) -> int:
    async with _client(arguments) as client:
        if not isinstance(flow, Workflow):
            flow = await _converted(client, flow, _name_of(arguments.workflow))
        if arguments.continuous:
            return await served(arguments, client, flow)
        await client.connect()
        if not _agreed(arguments, flow, client):
            report_line.print(Outcome.CANCELLED, None, {}, error="it was not to be run")
            return 0
        if arguments.upload_images is not None:
            folder = Path(arguments.upload_images or arguments.workflow.parent)
            flow = await _uploaded(folder, client, flow)
        return await _Run(arguments, client, flow, pattern, report_line).go()


async def _converted(client: Client, page: PageWorkflow, where: str) -> Workflow:
    """The page's workflow as the page would send it to this server.

    Raises:
        WorkflowError: nothing in it runs, or subgraphs contain each other.
        NoServer, BadAnswer: the server does not say which classes it has.
    """
    if is_of_jobs(client):
        raise WorkflowError(
            where,
            "is as the page saves it, and a server of Comfy API v2 does not say which classes it "
            "has; export it in API format",
        )
    await client.connect()
    classes = await client.get("/object_info")
    prompt = as_prompt(page, classes if isinstance(classes, dict) else {}, where=where)
    return workflow.of(prompt, where=where)


@contextlib.asynccontextmanager
async def _client(arguments: argparse.Namespace) -> AsyncIterator[Client]:
    """The client, with a recording proxy in between if --record is given."""
    from comfyrec.client.shells.aio import Client as Native
    from comfyrec.client.shells.jobs import JobClient
    from comfyrec.client.shells.tls import context_for

    where = (
        address.parse(arguments.server)
        if arguments.server
        else address.from_environment(os.environ)
    )
    options: dict[str, Any] = {
        "headers": _headers(arguments.header),
        "extra_data": _extra_data(arguments.api_key),
        "timeout_s": arguments.timeout,
        "idle_limit_s": arguments.idle_limit,
        "connect_timeout_s": arguments.connect_timeout,
        "request_timeout_s": arguments.request_timeout,
        "patience_s": arguments.patience,
        "grace_s": arguments.grace,
        "client_id": arguments.client_id,
        "tls": context_for(arguments.ca_file, insecure=arguments.insecure),
    }
    async with contextlib.AsyncExitStack() as stack:
        reached = where
        if arguments.record is not None:
            from comfyrec.cli.recording import recorded

            recording = recorded(where, arguments, secrets=_secrets(options))
            reached = await stack.enter_async_context(recording)
        spoken = arguments.surface
        if spoken != "v2":
            client: Client = await stack.enter_async_context(Native(reached, **options))
            client.called = str(where)
            if spoken == "cloud":
                if not key_in(options["headers"]):
                    raise UsageError(
                        "--surface cloud needs a key; give it as --header 'X-API-Key: KEY'"
                    )
                client.assume_cloud()
            if spoken is None and not arguments.continuous:
                spoken = await _found_out(client)
        if spoken == "v2":
            client = await stack.enter_async_context(JobClient(reached, **options))
            client.called = str(where)
        yield client


async def _found_out(client: Client) -> str:
    """Which API the server speaks; said, unless it is a ComfyUI server beyond doubt.

    Raises:
        NoServer: the server did not answer.
    """
    spoken = await client.surface()
    told = _SPOKEN.get(spoken)
    if told is not None:
        _say(f"{client.called}: {told}")
    return spoken


_SPOKEN = {
    "cloud": "speaks as Comfy Cloud does: it takes the key of a WebSocket in its address "
    "(--surface v2 has the workflow run by Comfy API v2)",
    "v2": "speaks Comfy API v2, by which the workflow is run (--surface native says otherwise)",
    "unknown": "does not tell which API it speaks; ComfyUI's own is tried "
    "(--surface v2 says otherwise)",
}


def _headers(given: list[str]) -> dict[str, str]:
    headers = {}
    for text in given:
        name, colon, value = text.partition(":")
        if not colon or not name.strip() or not value.strip() or "\n" in text or "\r" in text:
            raise UsageError("--header: give it as 'NAME: VALUE'")
        headers[name.strip()] = value.strip()
    return headers


def _extra_data(api_key: str | None) -> dict[str, str]:
    key = api_key or os.environ.get("COMFY_API_KEY", "")
    return {"api_key_comfy_org": key} if key else {}


def _secrets(options: dict[str, Any]) -> list[str]:
    return [*options["headers"].values(), *options["extra_data"].values()]


def _agreed(arguments: argparse.Namespace, flow: Workflow, client: Client) -> bool:
    """Show what would be run, and ask."""
    if not arguments.json:
        _say(workflow.summary(flow, where=str(arguments.workflow)))
        _say(f"on {client.called}")
    if arguments.yes:
        return True
    while True:
        print("Run it? [y/n] ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
        if not answer:
            raise UsageError("there was no answer to 'Run it?'; --yes runs it without asking")
        word = answer.strip().lower()
        if word in _YES or word in _NO:
            return word in _YES


async def _uploaded(folder: Path, client: Client, flow: Workflow) -> Workflow:
    """The workflow with the names that the server gave to the uploaded files (A85)."""
    graph = flow.graph
    for node_id in workflow.image_nodes(graph):
        name = str(graph[node_id]["inputs"]["image"])
        path = folder / name
        if path.is_file() and is_of_jobs(client):
            reference = await client.bring(path)
            node = graph[node_id]
            node = {**node, "inputs": {**node["inputs"], "image": reference}}
            graph = {**graph, node_id: node}
            _say(f"node {node_id}: uploaded {path} as asset {reference['info']['id']}")
        elif path.is_file():
            stored = await client.upload(path)
            graph = workflow.with_image(graph, [node_id], stored.name, stored.subfolder)
            _say(f"node {node_id}: uploaded {path} as {stored.name}")
    return Workflow(graph, flow.extra)


def is_of_jobs(client: Client) -> TypeGuard[JobClient]:
    """Whether it speaks Comfy API v2."""
    from comfyrec.client.shells.jobs import JobClient

    return isinstance(client, JobClient)


class _Run:
    """One prompt from its submission to its saved files."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        client: Client,
        flow: Workflow,
        pattern: outputs.Pattern,
        report_line: _ReportLine,
    ) -> None:
        self._arguments, self._report_line = arguments, report_line
        self._client = client
        self._flow = flow
        self._pattern = pattern
        self._stopping: asyncio.Task[None] | None = None
        self._prompt: PromptHandle | None = None
        self._result: asyncio.Future[Result] | None = None

    async def go(self) -> int:
        """Submit, wait, save. Ctrl-C stops the prompt; a second one exits at once."""
        main = asyncio.current_task()
        if main is None:
            raise AssertionError("runs in a task")
        with on_signals(lambda: self._stop(main)), self._progress() as on_event:
            try:
                self._prompt = await self._client.submit(self._flow, on_event=on_event)
                if not self._arguments.json:
                    print(self._prompt.prompt_id, flush=True)
                if self._arguments.no_wait:
                    return self._left_alone(self._prompt)
                result = await self._prompt.wait()
            except asyncio.CancelledError:
                if self._stopping is None:
                    raise
                # It would cancel this task once more while the client is being closed.
                self._stopping.cancel()
                await asyncio.gather(self._stopping, return_exceptions=True)
                known = None if self._prompt is None else self._prompt.prompt_id
                self._report_line.print(Outcome.INTERRUPTED, known, {}, error=_CTRL_C)
                return INTERRUPTED
        if self._stopping is not None:
            await asyncio.wait([self._stopping])
        return await self._ended(result)

    def _left_alone(self, prompt: PromptHandle) -> int:
        if self._arguments.json:
            self._report_line.leave_out()
            print(json.dumps({"prompt_id": prompt.prompt_id, "number": prompt.number}))
        return 0

    async def _ended(self, result: Result) -> int:
        for warning in result.warnings:
            _say(f"warning: {warning}")
        end = result.outcome, result.prompt_id, result.outputs
        try:
            written = await self._save(result)
        except OutputError as error:
            # The run itself ended as it did.
            self._report_line.print(*end, error=str(error))
            raise
        self._report_line.print(*end, error=result.reason)
        if not self._arguments.json:
            for path in written:
                print(path)
            for text in result.texts:
                print(printable(f"node {text.node_id} {text.kind}: {text.text}"))
        if result.outcome is not Outcome.SUCCESS:
            _say(f"comfyrec run: prompt {result.prompt_id}: {result.outcome}: {result.reason}")
        sys.stdout.flush()
        return INTERRUPTED if self._stopping is not None else EXIT_STATUS[result.outcome]

    async def _save(self, result: Result) -> list[Path]:
        folder = self._arguments.save_images
        if folder is None or result.outcome is not Outcome.SUCCESS:
            return []
        written = await self._client.save(
            result, folder, pattern=self._pattern, overwrite=self._arguments.overwrite
        )
        if not written:
            _say("the prompt has no files to save")
        return written

    # --- Ctrl-C ------------------------------------------------------------------------------

    def _stop(self, main: asyncio.Task[Any]) -> None:
        if self._stopping is not None or self._prompt is None:
            # The second one, or nothing is submitted yet.
            self._stopping = self._stopping or asyncio.create_task(_nothing())
            main.cancel()
            return
        self._stopping = asyncio.create_task(self._interrupt(self._prompt, main))

    async def _interrupt(self, prompt: PromptHandle, main: asyncio.Task[Any]) -> None:
        _say(f"interrupting prompt {prompt.prompt_id}; Ctrl-C again exits at once")
        try:
            effect = await prompt.interrupt()
        except ClientError as error:
            _say(f"the interrupt failed: {error}")
            main.cancel()
            return
        _say(f"the interrupt {_effect_in_words(effect)}")
        if effect in (Effect.STILL_RUNNING, Effect.UNKNOWN) and not prompt.done():
            main.cancel()

    # --- progress ----------------------------------------------------------------------------

    @contextlib.contextmanager
    def _progress(self) -> Iterator[OnEvent | None]:
        arguments, redact = self._arguments, self._client.redaction
        if arguments.no_progress or arguments.no_wait:
            yield None
        elif arguments.json:
            yield _while_read(ProgressPrinter(redact=redact))
        elif arguments.format:
            yield _while_read(ProgressPrinter(format=arguments.format, redact=redact))
        elif sys.stderr.isatty():
            names = {node: str(it["class_type"]) for node, it in self._flow.graph.items()}
            with LiveProgress(names=names) as bars:
                yield bars
        else:
            yield ProgressPrinter(sys.stderr, format="text", redact=redact)


def _while_read(printer: OnEvent) -> OnEvent:
    """Print as long as somebody reads (`comfyrec run --json | head`); the run goes on."""
    closed = False

    def once_more(event: ProgressEvent) -> None:
        nonlocal closed
        if not closed:
            try:
                printer(event)
            except BrokenPipeError:
                closed = True

    return once_more


def _effect_in_words(effect: Effect) -> str:
    return {
        Effect.INTERRUPTED: "took effect: the prompt was stopped",
        Effect.DELETED: "took effect: the prompt was removed from the queue",
        Effect.TOO_LATE: "came too late: the prompt was already over",
        Effect.UNKNOWN: "had no effect: the server does not know the prompt",
        Effect.STILL_RUNNING: "was sent, but the prompt still runs",
    }[effect]


async def _nothing() -> None:
    """In place of an interrupt where there is nothing to interrupt."""
