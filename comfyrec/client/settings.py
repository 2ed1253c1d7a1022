"""argument, environment, default -> the settings of a client, in that order."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from comfyrec.errors import UsageError

__all__ = ["IDLE_LIMIT_S_MIN", "VARIABLES", "ClientSettings", "seconds", "settle"]

IDLE_LIMIT_S_MIN = 0.5
"""Smallest idle limit: below it a client would request the history between ordinary messages."""


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a client. All times in seconds."""

    idle_limit_s: float = 5.0
    """Silence about a prompt before its history is requested; at least ``IDLE_LIMIT_S_MIN``."""
    timeout_s: float | None = None
    """Total limit of one prompt, from its acceptance; None: no limit."""
    poll_interval_s: float = 1.0
    """Between two requests while the silence lasts (grows up to the idle limit)."""
    connect_timeout_s: float = 10.0
    """How long to wait for a server that does not answer yet."""
    request_timeout_s: float = 100.0
    """Limit of one HTTP request. Busy servers were seen to take 90 s for a history (A24)."""
    patience_s: float = 10.0
    """How long requests may fail in a row before a prompt counts as lost."""
    grace_s: float = 3.0
    """How long a prompt may be in neither queue nor history before it counts as gone."""
    interrupt_wait_s: float = 10.0
    """How long an interrupt may take to show an effect."""
    client_id: str = ""
    """``""`` makes a new one for each client, which is what you want (W6, W7)."""


VARIABLES: dict[str, tuple[str, ...]] = {
    # The second name is the one that comfyui-autoflow reads.
    "idle_limit_s": ("COMFYREC_IDLE_LIMIT_S", "AUTOFLOW_WS_IDLE_TIMEOUT_S"),
    "timeout_s": ("COMFYREC_TIMEOUT_S",),
    "poll_interval_s": ("COMFYREC_POLL_INTERVAL_S",),
    "connect_timeout_s": ("COMFYREC_CONNECT_TIMEOUT_S",),
    "request_timeout_s": ("COMFYREC_REQUEST_TIMEOUT_S",),
    "patience_s": ("COMFYREC_PATIENCE_S",),
    "grace_s": ("COMFYREC_GRACE_S",),
    "interrupt_wait_s": ("COMFYREC_INTERRUPT_WAIT_S",),
    "client_id": ("COMFYREC_CLIENT_ID",),
}
"""The environment variables of each setting; the first one that is set counts."""


def settle(environment: Mapping[str, str], /, **given: float | str | None) -> ClientSettings:
    """Settings from arguments (``None`` counts as not given), environment and defaults.

    Raises:
        UsageError: a value that is not a number of seconds greater than 0.
        TypeError: a name that is not a setting.
    """
    chosen: dict[str, float | str] = {}
    for field, names in VARIABLES.items():
        argument = given.pop(field, None)
        sources = [(field, argument), *((name, environment.get(name)) for name in names)]
        where, value = next(((w, v) for w, v in sources if v not in (None, "")), ("", None))
        if value is not None:
            chosen[field] = str(value) if field == "client_id" else seconds(where, value)
    if given:
        raise TypeError(f"unknown settings: {', '.join(sorted(given))}")
    if "idle_limit_s" in chosen:
        chosen["idle_limit_s"] = max(float(chosen["idle_limit_s"]), IDLE_LIMIT_S_MIN)
    return msgspec.convert(chosen, ClientSettings)


def seconds(where: str, value: float | str) -> float:
    """A number of seconds that was given at ``where``.

    Raises:
        UsageError: it is not one, or not greater than 0.
    """
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise UsageError(
            f"{where}: {value!r} is not a number of seconds greater than 0; give one such as 30"
        )
    return number
