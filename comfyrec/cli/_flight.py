"""``record`` in parts: the flags, and what runs beside the traffic."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import re
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from comfyrec.cassette.files.lock import lock_at_once
from comfyrec.cassette.redact.redactor import Redactor
from comfyrec.cli import DAMAGED, FINE
from comfyrec.errors import UsageError
from comfyrec.flight.keeping import Keeping, Policy
from comfyrec.flight.rotation import Limits, Rotation
from comfyrec.proxy.recorder import Recorder, now_us
from comfyrec.proxy.relay import listen_address
from comfyrec.wording import plural

__all__ = ["Parts", "add_flags", "in_parts", "parts_of"]

TICK_S: Final = 0.5
SHARE_OF_DISK: Final = 8
"""A part takes at most this fraction of the room: a finished one and its final form are there for
a moment together with the next one."""
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?", re.IGNORECASE)
_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)")
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_UNIT_US: Final = {
    "s": 1_000_000,
    "m": 60_000_000,
    "min": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
_BYTES_MIN: Final = 1_000_000


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of a recording in parts."""
    parts = parser.add_argument_group(
        "in parts", "with one of these, --output names a folder for cassettes of their own"
    )
    parts.add_argument(
        "--keep",
        metavar="WHAT",
        help="which sessions stay: all, failed (an error, a violation of the protocol, a silence, "
        "a disconnect), sample:0.01 (that share of them), or failed,sample:0.01",
    )
    parts.add_argument(
        "--rotate", metavar="LIMIT", help="begin a new part at 100MB, 1h, or 100MB,1h (default)"
    )
    parts.add_argument(
        "--max-disk", metavar="SIZE", help="remove the oldest parts beyond this, as in 5GB"
    )
    parts.add_argument(
        "--recent",
        metavar="TIME",
        help="how long parts that do not stay can still be kept, by SIGUSR1 or --control (10min)",
    )
    parts.add_argument(
        "--silence",
        metavar="TIME",
        help="nothing for so long while a prompt waits or runs is a failure (60s)",
    )
    parts.add_argument(
        "--control",
        metavar="HOST:PORT",
        help="listen here too: POST /keep keeps the last minutes, GET /status says how it stands",
    )


class Parts:
    """A recording in parts, with all that runs beside it."""

    def __init__(
        self,
        folder: Path,
        policy: Policy,
        limits: Limits,
        control: tuple[str, int] | None,
        *,
        redactor: Redactor,
        upstream: str,
        redacted: Sequence[str],
        say: Callable[[str], None],
    ) -> None:
        self.folder, self._control, self._say = folder, control, say
        self.written = 0
        """Records that were written down, once it is closed."""
        self._lock = _locked(folder)
        self._thread = ThreadPoolExecutor(1, "comfyrec-parts")
        self.sink = Rotation(
            Keeping(folder, policy, chance=random.random, say=say),
            limits,
            redactor=redactor,
            upstream=upstream,
            redacted=redacted,
            clock_us=now_us,
            beside=self._thread.submit,
            say=say,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the relay serves: ends of sessions, SIGUSR1 and the control."""
        loop = asyncio.get_running_loop()
        runner = None
        if self._control is not None:
            from comfyrec.flight.control import start_control

            host, port = self._control
            runner, port = await start_control(self.sink, host, port, clock_us=now_us)
            print(f"POST http://{host}:{port}/keep keeps the last minutes", flush=True)
        if hasattr(signal, "SIGUSR1"):
            loop.add_signal_handler(signal.SIGUSR1, self._keep_recent)
        ticking = loop.create_task(self._tick())
        try:
            yield
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
            if hasattr(signal, "SIGUSR1"):
                loop.remove_signal_handler(signal.SIGUSR1)
                signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            if runner is not None:
                await runner.cleanup()

    def viewed(self, address: str | None) -> contextlib.AbstractContextManager[None]:
        """Nothing beside: a page shows one cassette."""
        assert address is None, "it was refused before"
        return contextlib.nullcontext()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.sink.tick(now_us())
            self.sink.keeping.tidy(now_us())

    def _keep_recent(self) -> None:
        names = self.sink.keep_recent(now_us())
        self._say(f"kept the last minutes: {plural(len(names), 'part')} in {self.folder}")

    def close(self, recorder: Recorder) -> int:
        """End the last part and wait for all decisions; gives the exit status."""
        self.written = recorder.records
        self.sink.close(lost=recorder.unnoted)
        self._thread.shutdown(wait=True)
        os.close(self._lock)
        keeping = self.sink.keeping
        missing = recorder.lost or keeping.dropped or self.sink.trouble
        return DAMAGED if missing else FINE

    @property
    def where(self) -> str:
        """The folder, and what came of the parts."""
        keeping = self.sink.keeping
        words = f"{plural(keeping.kept, 'part')} kept"
        if keeping.dropped:
            words += f", {keeping.dropped} removed for want of room"
        return f"{self.folder} ({words})"


def in_parts(arguments: argparse.Namespace) -> bool:
    """Whether the recording is to be in parts.

    Raises:
        UsageError: only flags were given that say how.
    """
    if arguments.keep or arguments.rotate or arguments.max_disk or arguments.control:
        return True
    for flag, given in {"--recent": arguments.recent, "--silence": arguments.silence}.items():
        if given:
            raise UsageError(f"{flag} goes with --keep failed; add that or leave it away")
    return False


def parts_of(
    arguments: argparse.Namespace,
    *,
    redactor: Redactor,
    upstream: str,
    redacted: Sequence[str],
    say: Callable[[str], None],
) -> Parts:
    """What the flags ask for.

    Raises:
        UsageError: a flag cannot be used, or another recorder has the folder.
        CassetteError: nothing can be written there.
    """
    if arguments.append or arguments.overwrite:
        raise UsageError("parts are always added to their folder; leave --append and --overwrite")
    if arguments.view is not None:
        raise UsageError("--view shows one cassette; leave it away, or record without parts")
    if arguments.output.exists() and not arguments.output.is_dir():
        raise UsageError(f"-o {arguments.output}: parts need a folder; name one, or a new name")
    policy = _policy(arguments)
    limits = _limits(arguments, policy)
    control = None if arguments.control is None else listen_address(arguments.control, "--control")
    return Parts(
        arguments.output,
        policy,
        limits,
        control,
        redactor=redactor,
        upstream=upstream,
        redacted=redacted,
        say=say,
    )


def _policy(arguments: argparse.Namespace) -> Policy:
    everything, failed, sample = arguments.keep is None, False, 0.0
    for word in (arguments.keep or "").split(",") if arguments.keep else ():
        share = re.fullmatch(r"sample:(\d*\.?\d+)", word.strip())
        if share is not None and 0 < float(share[1]) <= 1:
            sample = float(share[1])
        elif word.strip() in ("all", "failed"):
            everything, failed = everything or word == "all", failed or word.strip() == "failed"
        else:
            raise UsageError(f"--keep {arguments.keep}: give all, failed or sample:0.01")
    limit = None if arguments.max_disk is None else _bytes("--max-disk", arguments.max_disk)
    if limit is not None and limit < SHARE_OF_DISK * _BYTES_MIN:
        raise UsageError(f"--max-disk {arguments.max_disk} is too small; give 8MB or more")
    recent = _microseconds("--recent", arguments.recent or "10min")
    return Policy(
        everything=everything, failed=failed, sample=sample, disk_bytes_max=limit, recent_us=recent
    )


def _limits(arguments: argparse.Namespace, policy: Policy) -> Limits:
    found = {"bytes_max": 100_000_000, "us_max": 3_600_000_000}
    for word in (arguments.rotate or "").split(",") if arguments.rotate else ():
        if _TIME.fullmatch(word.strip()):
            found["us_max"] = _microseconds("--rotate", word.strip())
        elif _SIZE.fullmatch(word.strip()):
            found["bytes_max"] = max(_bytes("--rotate", word), _BYTES_MIN)
        else:
            raise UsageError(
                f"--rotate {arguments.rotate}: {word.strip()!r} is neither a size nor a time; give "
                f"a size as in 100MB, a time as in 1h, or both as in 100MB,1h"
            )
    if policy.disk_bytes_max is not None:
        found["bytes_max"] = min(found["bytes_max"], policy.disk_bytes_max // SHARE_OF_DISK)
    return Limits(
        bytes_max=found["bytes_max"],
        us_max=found["us_max"],
        each_session=not policy.everything,
        silence_us=_microseconds("--silence", arguments.silence or "60s"),
    )


def _bytes(flag: str, text: str) -> int:
    found = _SIZE.fullmatch(text.strip())
    if found is None or not float(found[1]):
        raise UsageError(f"{flag} {text}: give a size as in 100MB or 5GB")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** _POWERS[found[2].lower()])


def _microseconds(flag: str, text: str) -> int:
    found = _TIME.fullmatch(text.strip())
    if found is None or not float(found[1]):
        raise UsageError(f"{flag} {text}: give a time as in 30s, 10min or 1h")
    return int(float(found[1]) * _UNIT_US[found[2]])


def _locked(folder: Path) -> int:
    """Hold the folder against other recorders."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(folder / ".recorder", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as wrong:
        raise UsageError(f"-o {folder}: {wrong.strerror}; name another folder") from None
    try:
        lock_at_once(fd)
    except OSError:
        os.close(fd)
        raise UsageError(f"-o {folder}: another recorder writes there; name another one") from None
    return fd
