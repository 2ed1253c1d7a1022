"""Every error we raise on purpose, as one tree.

::

    ComfyrecError
    ├── DecodeError           a message that is not a ComfyUI message at all
    ├── UsageError            a flag, argument or name that cannot be used
    ├── CassetteError         something about one cassette file
    │   ├── NotACassette      not a cassette at all, or an empty file
    │   ├── NewerFormat       written by a newer comfyrec
    │   ├── Unavailable       no such file, a folder, no right to read or write it
    │   ├── CassetteExists    it would be overwritten
    │   ├── CassetteInUse     another recorder is writing it
    │   ├── SecretKept        a known secret would stay in the file
    │   ├── DamagedRecord     bytes that are not a record; a reader goes on behind them
    │   └── CutOff            the end is missing
    ├── ProxyError            the recording proxy cannot start or reach its upstream
    ├── ScenarioError         a scenario, parameter or plan that does not fit
    ├── ReplayError           a cassette that cannot answer what was asked
    ├── TablesError           tables that cannot be read or written
    ├── ServerDied            the thread that fake servers run in has ended under them
    └── ClientError           the client side: a workflow, a server, a run, its outputs
        ├── WorkflowError     a file or object that is not a workflow in API format
        ├── NoServer          nothing answers at the address
        ├── BadAnswer         an HTTP answer that is not what ComfyUI gives
        │   └── Rejected      the prompt was not accepted
        ├── RunFailed         the prompt ended, and not with success
        │   └── TimedOut      the total limit was reached; the prompt may go on
        ├── OutputError       an output that cannot be fetched or saved
        ├── TaskError         the task interface refused, with status, kind and message
        └── TaskFailed        a task ended, and not with a result
            └── TaskTimedOut  it was not over within the limit; its id stays usable

Facts are attributes; the sentence is made from them: which file, flag or field, what is wrong, how
to mend it. Wrong calls by a programmer are ``TypeError`` or ``ValueError`` instead.
"""

from __future__ import annotations


class ComfyrecError(Exception):
    """Base of all errors that comfyrec raises on purpose."""


class DecodeError(ComfyrecError, ValueError):
    """A message that is none of ComfyUI: not JSON, no ``type``, a torn binary header."""

    # Read from ``args``: a stream of broken messages makes many of these, and reads few.
    @property
    def why(self) -> str:
        """What is wrong with the message."""
        return str(self.args[0])

    @property
    def message(self) -> str | bytes | bytearray | memoryview:
        """The message itself."""
        message: str | bytes | bytearray | memoryview = self.args[1] if len(self.args) > 1 else b""
        return message

    def __str__(self) -> str:
        return self.why


class UsageError(ComfyrecError):
    """Something a person gave cannot be used; the sentence says which and how to mend it."""


class CassetteError(ComfyrecError):
    """Something is wrong with one cassette file."""


class NotACassette(CassetteError):
    """A file that is not a cassette at all, or an empty one."""

    status = 2

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why)
        self.path, self.why = path, why

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


class NewerFormat(CassetteError):
    """A cassette that only a newer comfyrec can read."""

    status = 2

    def __init__(self, path: str, needs: int, known: int) -> None:
        super().__init__(path, needs, known)
        self.path, self.needs, self.known = path, needs, known

    def __str__(self) -> str:
        return (
            f"{self.path}: written in cassette format {self.needs}, and this comfyrec reads up to "
            f"format {self.known}; a newer comfyrec can read it"
        )


class Unavailable(CassetteError):
    """A file that cannot be opened, read or written; ``mend`` says what to do about it."""

    status = 2

    def __init__(self, path: str, why: str, mend: str) -> None:
        super().__init__(path, why, mend)
        self.path, self.why, self.mend = path, why, mend

    def __str__(self) -> str:
        return f"{self.path}: {self.why}; {self.mend}"


class CassetteExists(CassetteError):
    """A file that would be overwritten."""

    status = 2

    def __init__(self, path: str, mend: str = "give another name, or --overwrite") -> None:
        super().__init__(path, mend)
        self.path, self.mend = path, mend

    def __str__(self) -> str:
        return f"{self.path} exists already; {self.mend}"


class CassetteInUse(CassetteError):
    """Another recorder is writing this cassette."""

    status = 2

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return (
            f"{self.path} is being written by another recorder; stop that one or give another name"
        )


class SecretKept(CassetteError):
    """A secret that became known while recording still stands in the file."""

    status = 1

    def __init__(self, path: str, count: int, why: str) -> None:
        super().__init__(path, count, why)
        self.path, self.count, self.why = path, count, why

    def __str__(self) -> str:
        hold = "1 record still holds" if self.count == 1 else f"{self.count} records still hold"
        return (
            f"{self.path}: {hold} a secret that was met only later, and "
            f"the file could not be written anew ({self.why}); delete it, and record again where "
            f"there is room"
        )


class DamagedRecord(CassetteError):
    """Bytes that are not a whole record; ``missing`` counts what is lost, if known."""

    def __init__(self, path: str, offset: int, why: str, missing: int = 0) -> None:
        super().__init__(path, offset, why, missing)
        self.path, self.offset, self.why, self.missing = path, offset, why, missing

    def __str__(self) -> str:
        gone = {0: "", 1: ", 1 record is missing"}.get(
            self.missing, f", {self.missing} records are missing"
        )
        return f"{self.path}: damaged at byte {self.offset}: {self.why}{gone}"


class CutOff(CassetteError):
    """The end of a cassette is missing: it was cut off, or its recorder was killed.

    ``records`` is how many were read, if that was counted.
    """

    def __init__(self, path: str, offset: int, why: str = "", records: int | None = None) -> None:
        super().__init__(path, offset, why, records)
        self.path, self.offset, self.why, self.records = path, offset, why, records

    def __str__(self) -> str:
        why = self.why or "the recording has no end, it was cut off or its recorder was killed"
        if self.records is not None:
            why += f" after {self.records} record{'' if self.records == 1 else 's'}"
        return f"{self.path}: {why} (byte {self.offset}); all before it was read"


class ProxyError(ComfyrecError):
    """The recording proxy cannot start, or cannot reach its upstream."""


class ScenarioError(ComfyrecError):
    """A scenario, a parameter or a plan does not fit."""


class ReplayError(ComfyrecError):
    """A cassette cannot answer what was asked of it."""


class TablesError(ComfyrecError):
    """Tables cannot be read or written; the sentence says why and what to do about it."""

    status = 1


class ServerDied(ComfyrecError):
    """The thread that the fake servers of this process run in has ended, and they with it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return (
            f"the thread of the fake server has ended while a test was using it: {self.why}; "
            f"look for code that stops its event loop or exits from inside it"
        )


class ClientError(ComfyrecError):
    """Something is wrong on the client side: with a workflow, a server, a run or its outputs."""

    status = 1


class WorkflowError(ClientError):
    """What was given is not a workflow in API format; the sentence says what it is, and a mend."""

    status = 2

    def __init__(self, where: str, why: str) -> None:
        super().__init__(where, why)
        self.where, self.why = where, why

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


class NoServer(ClientError):
    """Nothing that can be talked to answers at the address."""

    status = 8

    def __init__(self, address: str, why: str) -> None:
        super().__init__(address, why)
        self.address, self.why = address, why

    def __str__(self) -> str:
        return (
            f"no ComfyUI server answers at {self.address} ({self.why}); "
            f"start one, or name another with --server or COMFYUI_URL"
        )


class BadAnswer(ClientError):
    """A request was answered, but not with what ComfyUI gives for it.

    Attributes:
        request: method and path, such as ``GET /history/...``.
        http_status: of the answer.
        why: the server's own reason, or what is wrong with its answer.
        mend: what to do about it; may be empty.
    """

    status = 7

    def __init__(self, request: str, http_status: int, why: str, mend: str = "") -> None:
        super().__init__(request, http_status, why, mend)
        self.request, self.http_status, self.why, self.mend = request, http_status, why, mend

    def __str__(self) -> str:
        sentence = f"{self.request} was answered with {self.http_status}: {self.why}"
        return f"{sentence}; {self.mend}" if self.mend else sentence


class Rejected(BadAnswer):
    """The server did not accept the prompt.

    Attributes:
        error_type: the ``type`` of ComfyUI's refusal, ``""`` when the answer has none.
        node_errors: as answered, ``{}`` when the answer has none.
    """

    def __init__(
        self,
        request: str,
        http_status: int,
        why: str,
        mend: str = "",
        *,
        error_type: str = "",
        node_errors: dict[str, object] | None = None,
    ) -> None:
        super().__init__(request, http_status, why, mend)
        self.error_type, self.node_errors = error_type, node_errors or {}


class RunFailed(ClientError):
    """A prompt ended otherwise than with success.

    Attributes:
        prompt_id: of the prompt.
        outcome: ``error``, ``interrupted``, ``cancelled``, ``lost`` or ``timed-out``.
        reason: the server's own words where it gave any.
    """

    def __init__(self, prompt_id: str, outcome: str, reason: str) -> None:
        super().__init__(prompt_id, outcome, reason)
        self.prompt_id, self.outcome, self.reason = prompt_id, outcome, reason

    def __str__(self) -> str:
        return f"prompt {self.prompt_id}: {self.outcome}: {self.reason}"


class TimedOut(RunFailed):
    """The total limit was reached. The prompt may still run; its id stays usable."""

    status = 6

    def __init__(self, prompt_id: str, limit_s: float) -> None:
        super().__init__(prompt_id, "timed-out", f"not over after {limit_s:g} s")
        self.limit_s = limit_s

    def __str__(self) -> str:
        return (
            f"prompt {self.prompt_id} was not over after {self.limit_s:g} s; "
            f"it may still run: wait for it again by its id, or interrupt it"
        )


class OutputError(ClientError):
    """An output cannot be fetched or saved."""

    status = 10

    def __init__(self, name: str, why: str) -> None:
        super().__init__(name, why)
        self.name, self.why = name, why

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


class TaskError(ClientError):
    """The task interface refused.

    Attributes:
        http_status: of the answer.
        error_type: ``server_error`` from 500 on, else ``client_error``.
        message: the server's own words.
    """

    def __init__(self, http_status: int, message: str) -> None:
        super().__init__(http_status, message)
        self.http_status, self.message = http_status, message
        self.error_type = "server_error" if http_status >= 500 else "client_error"

    def __str__(self) -> str:
        return f"the task server answered {self.http_status} ({self.error_type}): {self.message}"


class TaskFailed(ClientError):
    """A task ended otherwise than with a result.

    Attributes:
        task_id: of the task.
        task_status: ``failed`` or ``canceled``.
        message: the server's own words, ``""`` for none.
    """

    def __init__(self, task_id: str, task_status: str, message: str) -> None:
        super().__init__(task_id, task_status, message)
        self.task_id, self.task_status, self.message = task_id, task_status, message

    def __str__(self) -> str:
        return f"task {self.task_id} {self.task_status}: {self.message or 'no reason given'}"


class TaskTimedOut(TaskFailed):
    """A task was not over within the limit. It may go on; query it by its id, or cancel it."""

    status = 6

    def __init__(self, task_id: str, task_status: str, limit_s: float) -> None:
        super().__init__(task_id, task_status, f"not over after {limit_s:g} s")
        self.limit_s = limit_s

    def __str__(self) -> str:
        return (
            f"task {self.task_id} was {self.task_status} and not over after {self.limit_s:g} s; "
            f"it can still be queried and canceled by its id"
        )
