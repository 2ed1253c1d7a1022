"""What is said of a transport error."""

from __future__ import annotations

import aiohttp
import pytest

from comfyrec.client.redaction import Redaction
from comfyrec.client.shells.transport import Transport

SAID = {
    "a time limit": (TimeoutError(), "no answer within 2 s"),
    "cut while sending": (
        aiohttp.ClientOSError(None, "Can not write request body for http://127.0.0.1:8188/queue"),
        "the connection was cut while the request was sent",
    ),
    "cut by the other side": (
        aiohttp.ClientOSError(104, "Connection reset by peer"),
        "Connection reset by peer",
    ),
    "cut before an answer": (aiohttp.ServerDisconnectedError(), "Server disconnected"),
    "with a secret in it": (aiohttp.ClientPayloadError("of s3cret-key"), "of ***"),
}


@pytest.mark.parametrize("error, sentence", SAID.values(), ids=SAID)
def test_a_transport_error_is_told_in_words_without_numbers(
    error: Exception, sentence: str
) -> None:
    transport = Transport({}, True, Redaction.over(["s3cret-key"]), 2.0)

    said, refused = transport.reason(error, 2.0)

    assert (said, refused) == (sentence, False)
