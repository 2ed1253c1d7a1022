"""Fields of a head that no rule knows and that may hold a credential."""

from __future__ import annotations

import pytest

from comfyrec.cassette.redact.head import doubtful_fields

RANDOM = "Zk83mQ2LxV7tR9pW4bN6"
FIELDS = {
    f"X-Team: {RANDOM}": True,
    f"X-Gateway-Ticket: {RANDOM}": True,
    # What people write, and numbers.
    "X-Team: red": False,
    "X-Timestamp-Value: 1700000000123": False,
    "X-Version-Of: 2026.11.3": False,
    "X-Run: c4654efc-6be7-4c63-8855-4b889316a734": False,
    # Values that machines make up, under names that say that they are something else.
    f'ETag: "{RANDOM}"': False,
    f"X-Amz-Cf-Id: {RANDOM}==": False,
    f"X-GUploader-UploadID: {RANDOM}": False,
    f"X-Goog-Hash: md5={RANDOM}": False,
    "Strict-Transport-Security: max-age=315360000": False,
    "Cache-Control: max-age=315360000": False,
    "Access-Control-Max-Age: 315360000": False,
    "X-Start-Time: t=1700000000000": False,
    f'Report-To: {{"url":"https://a.example/report?s={RANDOM}"}}': False,
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01": False,
    f"Sec-WebSocket-Key: {RANDOM}==": False,
    # What rules of their own know.
    f"X-Api-Key: {RANDOM}": False,
    f"Cookie: a={RANDOM}": False,
    f"User-Agent: {RANDOM}": False,
}


@pytest.mark.parametrize("field, doubtful", FIELDS.items(), ids=FIELDS)
def test_only_a_person_can_say_what_stands_in_an_unknown_field(field: str, doubtful: bool) -> None:
    head = f"HTTP/1.1 200 OK\r\nDate: now\r\n{field}\r\n\r\n".encode()

    assert list(doubtful_fields(head)) == [field.partition(":")[0]] * doubtful
