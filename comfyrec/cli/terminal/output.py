"""What the cassette commands share: opening by name, safe text, reporting damage."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Final

from comfyrec.cassette.files import Reader, find_cassette, open_cassette, same_file
from comfyrec.cli import DAMAGED, FINE
from comfyrec.errors import CassetteError, NotACassette, Unavailable, UsageError

__all__ = [
    "PROBLEMS_SHOWN",
    "Lines",
    "opened",
    "refuse_source",
    "safe",
    "safe_json",
    "said",
    "tell",
    "tool",
    "wrapped",
]

PROBLEMS_SHOWN: Final = 8
"""A destroyed file has hundreds; the first ones are enough."""
COLUMNS: Final = 80
"""A log has no width of its own; this is that of most terminals."""
_BUFFER_BYTES: Final = 64 << 10

# C0, DEL and C1 move cursors and change colors; the rest of the list reverses text.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_UNSAFE_UTF8: Final = re.compile(b"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]")
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def safe(text: str) -> str:
    """Text from the wire for one line of a terminal."""
    return _UNSAFE.sub(lambda m: _SHORT.get(m[0]) or f"\\u{ord(m[0]):04x}", text)


def wrapped(beginning: str, text: str, columns: int = COLUMNS) -> list[str]:
    """A line of a list, and more lines below its text where it would be too long."""
    from textwrap import wrap  # most output is not wrapped

    below = " " * len(beginning)
    if len(beginning) > columns // 2:  # too little room beside it
        start = beginning.lstrip()
        text, beginning = f"{start}{text}", beginning.removesuffix(start)
        below = f"{beginning}    "
    lines = wrap(
        text, columns, initial_indent=beginning, subsequent_indent=below, break_on_hyphens=False
    )
    return lines or [beginning.rstrip()]


def safe_json(line: bytes) -> bytes:
    """The same JSON, with what a terminal would interpret written as escapes."""
    if _UNSAFE_UTF8.search(line) is None:
        return line
    return _UNSAFE_UTF8.sub(lambda m: b"\\u%04x" % ord(m[0].decode()), line)


def tool() -> str:
    """What files name as their maker."""
    from comfyrec import __version__

    return f"comfyrec {__version__}"


def opened(
    name: str | Path, *, beyond_holes: bool = False, of_workflow: str = "'comfyrec run {}' runs it"
) -> Reader:
    """Open a cassette by path, or a bundled one by name.

    Args:
        name: of it.
        beyond_holes: whether to read on behind what is damaged.
        of_workflow: what to do instead where it is a workflow; ``{}`` is its path.

    Raises:
        CassetteError: it cannot be read at all.
    """
    path = find_cassette(name)
    try:
        return open_cassette(path, beyond_holes=beyond_holes)
    except CassetteError as error:
        if isinstance(error, Unavailable) or not _is_workflow(path):
            raise
        mend = of_workflow.format(shlex.quote(path))
        raise NotACassette(path, f"is a workflow and not a recording; {mend}") from None


def _is_workflow(path: str) -> bool:
    from comfyrec.workflows import is_workflow_file

    try:
        return is_workflow_file(Path(path).read_bytes())
    except OSError:
        return False


def refuse_source(output: str | Path, source: str | Path) -> None:
    """A recording is not overwritten by what is made of it, not even with ``--overwrite``.

    Raises:
        UsageError: both are one file.
    """
    if same_file(source, output):
        raise UsageError(f"--output {output} is the recording itself; give another name")


def tell(command: str, sentence: object) -> None:
    """One sentence for a person, on standard error."""
    print(f"comfyrec {command}: {safe(str(sentence))}", file=sys.stderr)


def said(reader: Reader, command: str) -> int:
    """Report what is damaged or missing in a cassette that was read; gives the exit status."""
    problems: list[CassetteError] = reader.problems
    for problem in problems[:PROBLEMS_SHOWN]:
        tell(command, problem)
    more = len(problems) - PROBLEMS_SHOWN + reader.problems_left_out
    if more > 0:
        tell(command, f"{reader.path}: {more} more places are damaged")
    return DAMAGED if problems else FINE


class Lines:
    """Lines of UTF-8 for standard output, many at a time: a system call per line is slow."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._lines: list[bytes] = []
        self._size = 0

    def add(self, line: bytes) -> None:
        """One line, without its end."""
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is there."""
        if self._lines:
            sys.stdout.buffer.write(b"\n".join(self._lines) + b"\n")
            sys.stdout.buffer.flush()
            self._lines, self._size = [], 0
