"""Short streams as a server would send them, built by hand, for tests of the order."""

from __future__ import annotations

from comfyrec.events import (
    Event,
    ExecInfo,
    Executed,
    ExecutedData,
    Executing,
    ExecutingData,
    ExecutionCached,
    ExecutionCachedData,
    ExecutionError,
    ExecutionErrorData,
    ExecutionInterrupted,
    ExecutionInterruptedData,
    ExecutionStart,
    ExecutionSuccess,
    FeatureFlags,
    NodeProgress,
    Preview,
    PreviewMetadata,
    PreviewWithMetadata,
    Progress,
    ProgressData,
    ProgressState,
    ProgressStateData,
    PromptTime,
    QueueStatus,
    Status,
    StatusData,
)

T = 1_795_218_919_262
PICTURE = memoryview(b"\xff\xd8\xff\xd9")


def status(remaining: int = 1, sid: str | None = None) -> Status:
    return Status(StatusData(QueueStatus(ExecInfo(remaining)), sid))


def start(prompt: str = "p", at: int | None = T) -> ExecutionStart:
    return ExecutionStart(PromptTime(prompt, at))


def cached(*nodes: str, prompt: str = "p", at: int | None = T) -> ExecutionCached:
    return ExecutionCached(ExecutionCachedData(list(nodes), prompt, at))


def executing(node: str | None, prompt: str | None = "p") -> Executing:
    return Executing(ExecutingData(node, node, prompt))


def state(prompt: str = "p", **nodes: tuple[float, float, str]) -> ProgressState:
    entries = {
        name[1:]: NodeProgress(value, most, word, name[1:], prompt, name[1:], None, name[1:])
        for name, (value, most, word) in nodes.items()
    }
    return ProgressState(ProgressStateData(prompt, entries))


def progress(node: str | None, value: float, most: float = 2, prompt: str | None = "p") -> Progress:
    return Progress(ProgressData(value, most, prompt, node))


def executed(node: str, prompt: str = "p") -> Executed:
    return Executed(ExecutedData(node=node, display_node=node, output=None, prompt_id=prompt))


def success(prompt: str = "p", at: int = T + 9) -> ExecutionSuccess:
    return ExecutionSuccess(PromptTime(prompt, at))


def interrupted(node: str, prompt: str = "p", at: int | None = T + 9) -> ExecutionInterrupted:
    return ExecutionInterrupted(ExecutionInterruptedData(prompt, node, "Work", [], at))


def error(node: str, kind: str = "ValueError", prompt: str = "p") -> ExecutionError:
    return ExecutionError(ExecutionErrorData(prompt, node, "Boom", [], "no\n", kind, [], {}, []))


def preview() -> Preview:
    return Preview(PICTURE)


def rich_preview(node: str, prompt: str = "p") -> PreviewWithMetadata:
    return PreviewWithMetadata(PreviewMetadata(node, prompt, node), PICTURE)


HELLO = status(0, "client-a")
QUEUED = [status(), status()]
GOODBYE = [status(0), executing(None)]
BEGIN, MIDDLE, DONE = (0.0, 1.0, "running"), (1, 2, "running"), (2, 2, "finished")
ONE = (1.0, 1.0, "finished")

RUN: list[Event] = [
    HELLO,
    *QUEUED,
    start(),
    cached(),
    state(n1=BEGIN),
    executing("1"),
    state(n1=MIDDLE),
    progress("1", 1),
    preview(),
    state(n1=DONE),
    state(n1=DONE, n2=BEGIN),
    executing("2"),
    executed("2"),
    state(n1=DONE, n2=ONE),
    success(),
    *GOODBYE,
]
"""A node with progress, and an output."""

CACHED_RUN: list[Event] = [
    HELLO,
    *QUEUED,
    start(),
    cached("1", "2"),
    executed("2"),
    state(n2=(1, 1, "finished")),
    success(),
    *GOODBYE,
]

OLD_RUN: list[Event] = [
    HELLO,
    *QUEUED,
    start(at=None),
    cached(at=None),
    executing("1"),
    progress("1", 1),
    preview(),
    executing("2"),
    executed("2"),
    status(0),
    executing(None),
]
"""The same in July 2024: no progress_state, no timestamps, no execution_success."""

FLAGS = FeatureFlags({"supports_preview_metadata": True})
