"""JSON from and to a server on a port, without a client of ours."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import Request, urlopen

LIMIT_S = 30
"""Longer than anything takes, even on a busy machine."""


def get_json(url: str) -> Any:
    """What a GET answers.

    Raises:
        urllib.error.HTTPError: a status that is not a success.
    """
    with urlopen(url, timeout=LIMIT_S) as answer:
        return json.loads(answer.read())


def post_json(url: str, value: Any) -> Any:
    """What a POST of a value answers; None for an empty answer.

    Raises:
        urllib.error.HTTPError: a status that is not a success.
    """
    request = Request(url, json.dumps(value).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=LIMIT_S) as answer:
        return json.loads(answer.read() or b"null")
