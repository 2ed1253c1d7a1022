"""The client side of ComfyUI: submit, watch, fetch; done, silent or lost?

``Client`` (asyncio) and ``blocking.Client`` are shells over one quiet core: ``session`` routes
messages and reconnects, ``tracker`` finds out how one prompt ends. Names are imported when they
are first used, so that importing this package does not import aiohttp.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comfyrec.client.formatting import chain_callbacks
    from comfyrec.client.http.interrupt import Effect
    from comfyrec.client.outputs import OutputFile, OutputText, Pattern
    from comfyrec.client.progress_event import ProgressEvent, ProgressInfo
    from comfyrec.client.result import Failure, Outcome, Result
    from comfyrec.client.settings import ClientSettings
    from comfyrec.client.shells.aio import Client, PromptHandle
    from comfyrec.client.shells.blocking import Client as BlockingClient
    from comfyrec.client.shells.printer import LiveProgress, ProgressPrinter
    from comfyrec.client.shells.stream import EventStream
    from comfyrec.client.workflow import Workflow

__all__ = [
    "BlockingClient",
    "Client",
    "ClientSettings",
    "Effect",
    "EventStream",
    "Failure",
    "LiveProgress",
    "Outcome",
    "OutputFile",
    "OutputText",
    "Pattern",
    "ProgressEvent",
    "ProgressInfo",
    "ProgressPrinter",
    "PromptHandle",
    "Result",
    "Workflow",
    "chain_callbacks",
]

_HOME = {
    "BlockingClient": ("shells.blocking", "Client"),
    "Client": ("shells.aio", "Client"),
    "Effect": ("http.interrupt", "Effect"),
    "EventStream": ("shells.stream", "EventStream"),
    "Failure": ("result", "Failure"),
    "LiveProgress": ("shells.printer", "LiveProgress"),
    "Outcome": ("result", "Outcome"),
    "OutputFile": ("outputs", "OutputFile"),
    "OutputText": ("outputs", "OutputText"),
    "Pattern": ("outputs", "Pattern"),
    "ProgressInfo": ("progress_event", "ProgressInfo"),
    "ProgressPrinter": ("shells.printer", "ProgressPrinter"),
    "PromptHandle": ("shells.aio", "PromptHandle"),
    "Result": ("result", "Result"),
    "ClientSettings": ("settings", "ClientSettings"),
    "ProgressEvent": ("progress_event", "ProgressEvent"),
    "Workflow": ("workflow", "Workflow"),
    "chain_callbacks": ("formatting", "chain_callbacks"),
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
