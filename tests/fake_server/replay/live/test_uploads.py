"""What live clients put on the server."""

from __future__ import annotations

import pytest

from comfyrec.events.outputs import FileEntry
from fake_server.replay.live.uploads import bound_fields, form_of, upload_of, viewed_file
from fake_server.source import Request


def uploading(name: str, subfolder: str, data: bytes = b"data") -> Request:
    body = (
        f'--b\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        "Content-Type: image/png\r\n\r\n".encode()
        + data
        + b'\r\n--b\r\nContent-Disposition: form-data; name="subfolder"\r\n\r\n'
        + f"{subfolder}\r\n--b--\r\n".encode()
    )
    headers = (("Content-Type", "multipart/form-data; boundary=b"),)
    return Request("POST", "/upload/image", headers, body)


def test_an_upload_is_kept_under_the_name_that_the_server_gave_it() -> None:
    answer = b'{"name": "a (1).png", "subfolder": "sub", "type": "input"}'

    stored = upload_of(uploading("a.png", "sub"), answer)

    assert stored is not None
    assert stored[0] == FileEntry("a (1).png", "sub", "input")
    assert (stored[1].body, stored[1].content_type) == (b"data", "image/png")


@pytest.mark.parametrize("answer", [b"", b"[]", b"{", b'{"name": 1}'])
def test_an_answer_without_a_name_stored_nothing(answer: bytes) -> None:
    assert upload_of(uploading("a.png", ""), answer) is None


def test_the_names_of_two_uploads_belong_together() -> None:
    forms = [form_of(uploading("a.png", "one")), form_of(uploading("b.png", "two"))]

    assert list(bound_fields(forms[0], forms[1])) == [("a.png", "b.png"), ("one", "two")]


def test_what_is_not_a_form_has_no_fields() -> None:
    assert form_of(Request("POST", "/upload/image", (), b"x")) == {}


VIEWED = {
    "/view?filename=a.png": FileEntry("a.png"),
    "/api/view?filename=a.png&subfolder=s&type=temp": FileEntry("a.png", "s", "temp"),
    "/view": None,
    "/queue?filename=a.png": None,
}


@pytest.mark.parametrize("target, file", VIEWED.items(), ids=VIEWED)
def test_the_file_that_is_viewed(target: str, file: FileEntry | None) -> None:
    assert viewed_file(Request("GET", target)) == file
