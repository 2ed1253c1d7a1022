"""``--object-info``: a file, a cassette or a running server -> the classes it knows."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any, Final

from comfyrec.errors import NotACassette, UsageError
from comfyrec.versions import Era
from comfyrec.wording import reason
from fake_server.nodes.catalogue import Catalogue

__all__ = ["catalogue_of", "object_info_of"]

DOWNLOAD_MAX: Final = 256 * 1024 * 1024
"""Bytes of an object_info that is asked for over HTTP; a server with very many nodes has 30 MB."""


def catalogue_of(given: str | None, era: Era | None = None) -> Catalogue:
    """The node catalogue that the flag names; the built-in one of a version without it.

    Raises:
        UsageError: it cannot be read, or is not what ``GET /object_info`` answers.
    """
    if given is None:
        return Catalogue.core(era)
    info = object_info_of(given)
    try:
        return Catalogue.from_object_info(info).checked()
    except UsageError as error:
        raise UsageError(f"--object-info {given}: {error}") from None


def object_info_of(given: str) -> Any:
    """What the flag names, as JSON.

    Raises:
        UsageError: it cannot be read.
    """
    if given.startswith(("http://", "https://")):
        return _asked(given)
    data = _file(given)
    _refuse_workflow(data, given)
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return _from_cassette(given)


def _file(given: str) -> bytes:
    try:
        return Path(given).read_bytes()
    except OSError as error:
        raise UsageError(
            f"--object-info {given}: {error.strerror}; give the file that "
            f"'curl URL/object_info' wrote, a cassette, or a server's URL"
        ) from None


def _refuse_workflow(data: bytes, given: str) -> None:
    from comfyrec.workflows import is_workflow_file

    if is_workflow_file(data):
        raise UsageError(
            f"--object-info {given} is a workflow, and not the node classes that GET /object_info "
            f"answers; give it to --learn"
        )


def _parsed(data: bytes, given: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise UsageError(
            f"--object-info {given}: it is not JSON; give what GET /object_info answers"
        ) from None


def _asked(url: str) -> Any:
    url = url.rstrip("/")
    url = url if url.endswith("/object_info") else f"{url}/object_info"
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return _parsed(answer.read(DOWNLOAD_MAX), url)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--object-info {url}: no answer ({reason(error)}); start that server, or give a file"
        ) from None


def _from_cassette(given: str) -> Any:
    """The last whole answer to GET /object_info in a cassette."""
    from comfyrec.cli.terminal.output import opened, said
    from comfyrec.timeline import Timeline

    try:
        with opened(given) as reader:
            timeline = Timeline.build(reader)
            said(reader, "object_info")
    except NotACassette:
        raise UsageError(
            f"--object-info {given}: neither JSON nor a cassette; "
            f"give what GET /object_info answers"
        ) from None
    for exchange in reversed(timeline.exchanges):
        if exchange.path == "/object_info" and exchange.status == 200:
            return _parsed(exchange.response_body, given)
    raise UsageError(
        f"--object-info {given}: nobody asked for /object_info in that recording; "
        f"give a cassette of a web page's session, a file, or a server's URL"
    )
