"""(shell) Prints what happens to a prompt: text, JSON lines, a format, or bars on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from comfyrec.client.formatting import FormatError, as_format, as_json, as_text, printable
from comfyrec.client.progress_event import ProgressEvent

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

__all__ = ["LiveProgress", "ProgressPrinter"]


class ProgressPrinter:
    """A callback that prints one line for each thing that happens.

    Args:
        file: where to; ``None`` is standard output.
        format: ``None`` or ``"json"`` for lines of JSON, ``"text"`` for a person, or a format
            string (see ``comfyrec.client.formatting.as_format``). One that does not fit is said
            once, and lines of JSON follow instead.
        event_types: only these types; ``None`` for all.
        raw: as JSON only the server's own message, where there is one.
        redact: applied to each line, to hide secrets (``Client.redaction``).
    """

    def __init__(
        self,
        file: TextIO | None = None,
        format: str | None = None,
        event_types: Collection[str] | None = None,
        raw: bool = False,
        *,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._file = file
        self._format = format or "json"
        self._event_types = None if event_types is None else frozenset(event_types)
        self._raw = raw
        self._redact = redact
        self._last: str | None = None

    def __call__(self, event: ProgressEvent) -> None:
        if self._event_types is not None and event.type not in self._event_types:
            return
        line = self._line(event)
        # The same line twice says nothing new: two equal ``status`` come with each submission.
        if line is not None and line != self._last:
            self._last = line
            self._print(line)

    def _line(self, event: ProgressEvent) -> str | None:
        if self._format == "text":
            return as_text(event)
        if self._format != "json":
            try:
                return printable(as_format(event, self._format))
            except FormatError as wrong:
                self._format = "json"
                self._print(f"Format error: {wrong}")
        return as_json(event, raw=self._raw)

    def _print(self, line: str) -> None:
        stream = sys.stdout if self._file is None else self._file
        stream.write(f"{self._redact(line)}\n")
        stream.flush()


class LiveProgress:
    """Bars on a terminal: one for the prompt, one for the node that runs. A context manager.

    Args:
        file: the terminal; ``None`` is standard error.
        names: node id -> what to call it; ids without a name are shown as they are.
    """

    def __init__(self, file: TextIO | None = None, *, names: dict[str, str] | None = None) -> None:
        self._file = file
        self._names = names or {}
        self._bars: Bars | None = None
        self._whole: TaskID | None = None
        self._node: TaskID | None = None

    def __enter__(self) -> Self:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            console=Console(file=self._file or sys.stderr),
            transient=True,
        )
        self._bars.start()
        self._whole = self._bars.add_task("submitting", total=1.0)
        self._node = self._bars.add_task("", total=100.0, visible=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, event: ProgressEvent) -> None:
        if self._bars is None or self._whole is None or self._node is None:
            raise RuntimeError("LiveProgress is used inside 'with'")
        now = event.progress
        self._bars.update(self._whole, completed=now.nodes_progress, description=self._state(event))
        self._bars.update(
            self._node,
            completed=now.node_progress,
            description=self._name(now.node_current),
            visible=now.node_current is not None,
        )

    def _state(self, event: ProgressEvent) -> str:
        now = event.progress
        if now.queue_position is not None:
            return f"waiting, {now.queue_position} before it"
        return f"{len(now.nodes_done)}/{now.nodes_total} nodes"

    def _name(self, node: str | None) -> str:
        return printable(self._names.get(node or "", node or ""))
