"""The client side of ComfyUI: submit, watch, fetch; done, silent or lost?

``Client`` (asyncio) and ``blocking.Client`` are shells over one quiet core: ``session`` routes
messages and reconnects, ``tracker`` finds out how one prompt ends. Names are imported when they
are first used, so that importing this package does not import aiohttp.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comfyrec.client.aio import Client, Prompt
    from comfyrec.client.blocking import Client as BlockingClient
    from comfyrec.client.outcome import Failure, Outcome, Result
    from comfyrec.client.outputs import OutputFile, OutputText, Pattern
    from comfyrec.client.printer import LiveProgress, ProgressPrinter
    from comfyrec.client.progress import chain_callbacks
    from comfyrec.client.settings import Settings
    from comfyrec.client.stopping import Effect
    from comfyrec.client.stream import EventStream
    from comfyrec.client.told import Progress, Told
    from comfyrec.client.workflow import Workflow

__all__ = [
    "BlockingClient",
    "Client",
    "Effect",
    "EventStream",
    "Failure",
    "LiveProgress",
    "Outcome",
    "OutputFile",
    "OutputText",
    "Pattern",
    "Progress",
    "ProgressPrinter",
    "Prompt",
    "Result",
    "Settings",
    "Told",
    "Workflow",
    "chain_callbacks",
]

_HOME = {
    "BlockingClient": ("blocking", "Client"),
    "Client": ("aio", "Client"),
    "Effect": ("stopping", "Effect"),
    "EventStream": ("stream", "EventStream"),
    "Failure": ("outcome", "Failure"),
    "LiveProgress": ("printer", "LiveProgress"),
    "Outcome": ("outcome", "Outcome"),
    "OutputFile": ("outputs", "OutputFile"),
    "OutputText": ("outputs", "OutputText"),
    "Pattern": ("outputs", "Pattern"),
    "Progress": ("told", "Progress"),
    "ProgressPrinter": ("printer", "ProgressPrinter"),
    "Prompt": ("aio", "Prompt"),
    "Result": ("outcome", "Result"),
    "Settings": ("settings", "Settings"),
    "Told": ("told", "Told"),
    "Workflow": ("workflow", "Workflow"),
    "chain_callbacks": ("progress", "chain_callbacks"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOME[name]
    value = getattr(import_module(f"{__name__}.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
