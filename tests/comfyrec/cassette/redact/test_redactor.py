"""Secrets never reach a record; everything else does, byte for byte."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from comfyrec.cassette.records import AnyRecord, HttpPart, Note, Raw, Session, Side, WsFrame
from comfyrec.cassette.redact.redactor import Redactor, check_classes, hide_in_url
from comfyrec.errors import UsageError
from comfyrec.wire.frames import frame_head
from tests.support.cassette_samples import ONE_OF_EACH, PICTURE, T

SECRET = "sk-Very5ecretValue-9172053648"


def part(body: bytes = b"", head: bytes = b"", *, last: bool = True) -> HttpPart:
    return HttpPart(2, T, 1, Side.CLIENT, 0, head, body, last=last)


def frame(payload: bytes, head: bytes | None = None, **more: Any) -> WsFrame:
    return WsFrame(
        2, T, 1, Side.SERVER, head or frame_head(1, len(payload), masked=False), payload, **more
    )


def bytes_of(record: AnyRecord) -> bytes:
    fields = ("head", "body", "trailers", "payload", "data", "inflated")
    return b"|".join(getattr(record, name, b"") or b"" for name in fields)


def message_of(record: AnyRecord) -> bytes:
    """The body or message itself, as a reader takes it."""
    if isinstance(record, WsFrame):
        return record.payload if record.inflated is None else record.inflated
    assert isinstance(record, HttpPart)
    return record.body


HEADS = {
    "bearer": (b"Authorization: Bearer %s", b"Authorization: Bearer "),
    "basic": (b"authorization: Basic %s", b"authorization: Basic "),
    "proxy": (b"Proxy-Authorization: %s", b"Proxy-Authorization: "),
    "cookie": (b"Cookie: a=%s; b=%s", b"Cookie: a="),
    "set-cookie": (b"Set-Cookie: id=%s; Path=/; HttpOnly", b"; Path=/; HttpOnly"),
    "x-api-key": (b"X-API-Key: %s", b"X-API-Key: "),
    "api-key": (b"Api-Key:%s", b"Api-Key:"),
    "x-auth-token": (b"X-Auth-Token: %s", b"X-Auth-Token"),
    "cf id": (b"CF-Access-Client-Id: %s", b"CF-Access-Client-Id: "),
    "cf secret": (b"CF-Access-Client-Secret: %s", b"CF-Access-Client-Secret: "),
    "cf jwt": (b"Cf-Access-Jwt-Assertion: %s", b"Assertion: "),
    "any key": (b"X-Whatever-Key: %s", b"X-Whatever-Key: "),
    "any session": (b"My-Session-Thing: %s", b"My-Session-Thing: "),
    "challenge": (b'WWW-Authenticate: Digest realm="r", nonce="%s"', b"Digest realm="),
    "location": (b"Location: https://a.b/c?x=%s&y=1", b"Location: https://a.b/c?x="),
    "subprotocol": (b"Sec-WebSocket-Protocol: chat, %s", b"Protocol: chat, "),
    "subprotocol pair": (b"Sec-WebSocket-Protocol: token, %s", b"Protocol: token, "),
    "subprotocol prefix": (b"Sec-WebSocket-Protocol: v1, bearer.%s", b"v1, bearer."),
    "referer": (b"Referer: http://h/p?token=%s&x=1", b"/p?token="),
    "userinfo": (b"Origin: http://user:%s@host", b"@host"),
}


@pytest.mark.parametrize("line, kept", HEADS.values(), ids=HEADS)
def test_a_field_keeps_its_name_and_size_and_loses_its_secret(line: bytes, kept: bytes) -> None:
    line = line.replace(b"%s", SECRET.encode())
    head = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8188\r\n" + line + b"\r\nAccept: */*\r\n\r\n"

    record = Redactor().record(part(head=head))

    assert isinstance(record, HttpPart)
    assert SECRET.encode() not in record.head
    assert len(record.head) == len(head)
    assert kept in record.head
    assert record.head.endswith(b"\r\nAccept: */*\r\n\r\n")
    assert record.redacted > 0


TARGETS = {
    "token": "/ws?clientId=abc&token=%s",
    "api_key": "/prompt?api_key=%s&clientId=abc",
    "key": "/prompt?key=%s&clientId=abc",
    "access_token": "/?clientId=abc&access_token=%s",
    "auth": "/?clientId=abc&auth=%s",
    "signature": "/?clientId=abc&Signature=%s&Expires=17&Key-Pair-Id=K",
    "amazon": "/?clientId=abc&X-Amz-Signature=%s",
    "google": "/?clientId=abc&X-Goog-Credential=%s",
    "policy": "/?clientId=abc&Policy=%s",
    "absolute": "http://user:%s@host/?clientId=abc",
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_target_loses_its_secret_parameters(target: str) -> None:
    head = f"GET {target % SECRET} HTTP/1.1\r\nHost: h\r\n\r\n".encode()

    record = Redactor().record(part(head=head))

    assert SECRET.encode() not in bytes_of(record)
    assert b"clientId=abc" in bytes_of(record)
    assert len(bytes_of(record)) == len(bytes_of(part(head=head)))


BODIES: dict[str, Any] = {
    "extra data": {"prompt": {}, "extra_data": {"api_key_comfy_org": SECRET}},
    "auth token": {"extra_data": {"auth_token_comfy_org": SECRET}},
    "node input": {"prompt": {"3": {"class_type": "X", "inputs": {"hf_token": SECRET}}}},
    "civitai": {"a": [{"b": {"civitai": SECRET}}]},
    "camel case": {"openaiApiKey": SECRET},
    "upper case": {"CLIENT_SECRET": SECRET},
    "run together": {"mytoken": SECRET},
    "password": {"password": SECRET, "user": "joe"},
    "a list": {"secrets": ["a", SECRET, {"b": SECRET}]},
    "an object": {"credentials": {"user": {"name": [SECRET]}}},
    "json in json": {"workflow": json.dumps({"api_key": SECRET, "nested": [1]})},
    "json in json in json": {"w": json.dumps({"x": json.dumps({"api_key": SECRET})})},
    "quotes inside": {"api_key": f'a"b\\{SECRET}"c', "o": 1},
    "a URL": {"image": f"https://h/x.png?token={SECRET}&w=3"},
    "a shape": {"text": f"please use {SECRET} for this"},
    "a scheme": {"log": f"header was Bearer {SECRET}"},
    "arguments": {"argv": ["main.py", "--api-key", SECRET]},
    "a python dictionary": {"traceback": f"inputs {{'api_key': '{SECRET}'}}"},
}


@pytest.mark.parametrize("value", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("carrier", ["body", "frame", "deflated", "gzip", "zlib"])
def test_json_loses_its_secret_and_stays_json_of_the_same_size(value: Any, carrier: str) -> None:
    text = json.dumps(value).encode()
    record: AnyRecord
    if carrier == "body":
        record = Redactor().record(part(text))
    elif carrier == "frame":
        record = Redactor().record(frame(text))
    elif carrier == "deflated":
        record = Redactor().record(frame(b"\x01\x02" * 50, b"\xc1\x64", inflated=text))
    else:
        pack, name = (gzip.compress, b"gzip") if carrier == "gzip" else (zlib.compress, b"deflate")
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: " + name + b"\r\n\r\n"
        packed = pack(text + b" " * 200)
        record = Redactor().record(part(packed, head))
        assert isinstance(record, HttpPart)
        assert len(record.body) == len(packed)
        unpack = gzip.decompress if carrier == "gzip" else zlib.decompress
        record = part(unpack(record.body).rstrip(), b"")
        record = HttpPart(2, T, 1, Side.CLIENT, 0, b"", record.body, redacted=1)

    left = message_of(record)
    assert SECRET.encode() not in left
    assert len(left) == len(text)
    assert type(json.loads(left)) is dict
    assert record.redacted > 0  # type: ignore[union-attr]  # all of these carriers have it


@pytest.mark.parametrize("name", ["token", "api_key", "hf_key", "password"])
def test_only_the_name_of_an_option_is_spared_before_its_inputs(name: str) -> None:
    secret = "Zq81_of_no_known_shape"  # it is told by its name alone
    body = json.dumps({name: secret, "inputs": {"prompt": "a cat"}}).encode()

    assert secret.encode() not in bytes_of(Redactor().record(part(body)))


@pytest.mark.parametrize("padding", ["=", ""])
def test_a_login_in_words_is_taken_out_with_and_without_its_padding(padding: str) -> None:
    login = "am9lOmh1bnRlcjI"  # joe:hunter2

    record = Redactor().record(part(f"the header was Basic {login}{padding} there".encode()))

    assert login.encode() not in bytes_of(record)


def test_escapes_in_names_and_values_hide_nothing() -> None:
    redactor = Redactor()
    hidden = "".join(f"\\u{ord(c):04x}" for c in SECRET)
    body = b'{"api\\u005fkey": "%s", "\\u0074oken": "%s"}' % (hidden.encode(), SECRET.encode())

    record = redactor.record(part(body))
    later = redactor.record(frame(b'{"type": "x", "data": "%s"}' % SECRET.encode()))

    assert hidden.encode() not in bytes_of(record)
    assert SECRET.encode() not in bytes_of(record) + bytes_of(later)
    assert list(json.loads(message_of(record))) == ["api_key", "token"]


HARMLESS = {
    "tokens to count": {"max_tokens": 512, "token_count": 7, "tokenizer": "clip"},
    "a link": {"inputs": {"token": ["4", 0], "api_key": ["12", 1]}},
    "an input of a node": {"required": {"token": ["STRING", {"multiline": False}]}},
    "a choice": {"required": {"token_mode": [["none", "mean"], {}]}},
    "nothing set": {"api_key": "", "token": None, "secret": False, "auth": {}},
    "a sentence": {"tooltip": "The API key of the service. A token is a word."},
    "keys of other things": {"sort_key": "name", "keyframes": [1, 2], "hotkey": "ctrl+s"},
    "numbers": {"password_attempts": 3, "value": 12.5, "nodes": {"3": {"max": 20.0}}},
    "an option": {"options": [{"key": "eleven_multilingual_v2", "inputs": {"required": {}}}]},
    "words behind basic": {"groups": [{"title": "Basic Sampling"}, {"title": "basic settings."}]},
    "words behind bearer": {
        "text": "a bearer instrument, bearer-independent",
        "n": "bearer things",
    },
    "sigmas": {"class_type": "BasicScheduler", "inputs": {"sigmas": ["9", 0]}},
}


@pytest.mark.parametrize("value", HARMLESS.values(), ids=HARMLESS)
def test_what_is_no_secret_stays(value: Any) -> None:
    text = json.dumps(value).encode()

    record = part(text)

    assert Redactor().record(record) is record
    assert Redactor().record(frame(text)) == frame(text)


def test_handshake_keys_and_cors_headers_stay() -> None:
    head = (
        b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n"
        b"Access-Control-Allow-Headers: Content-Type, Authorization\r\n"
        b"Access-Control-Allow-Credentials: true\r\n\r\n"
    )

    assert Redactor().record(part(head=head)) == part(head=head)


def test_a_secret_that_was_met_is_known_everywhere_later() -> None:
    redactor = Redactor()
    redactor.record(part(head=b"GET / HTTP/1.1\r\nX-API-Key: " + SECRET.encode() + b"\r\n\r\n"))
    records: list[AnyRecord] = [
        frame(b'{"type": "executed", "data": {"text": ["%s"]}}' % SECRET.encode()),
        frame(PICTURE + SECRET.encode() + PICTURE, b"\x82\x7e\x10\x00"),
        part(PICTURE + SECRET.encode()),
        Raw(3, T, 1, Side.CLIENT, b"\x00\x01" + SECRET.encode(), "no HTTP"),
        frame(SECRET.encode(), b"\x89\x1d"),
        part(head=b"GET /view?filename=" + SECRET.encode() + b" HTTP/1.1\r\n\r\n"),
    ]

    for record in records:
        after = redactor.record(record)
        assert SECRET.encode() not in bytes_of(after)
        assert len(bytes_of(after)) == len(bytes_of(record))
    note = redactor.record(Note(9, T, 0, "comment", f"key {SECRET}"))
    assert isinstance(note, Note)
    assert SECRET not in note.text


def test_the_password_of_basic_authorization_is_known_later() -> None:
    redactor = Redactor()
    redactor.record(
        part(head=b"GET / HTTP/1.1\r\nAuthorization: Basic am9lOkh1bnRlcjItSHVudGVyMg==\r\n\r\n")
    )

    after = redactor.record(frame(b'{"type": "x", "data": "is Hunter2-Hunter2"}'))

    assert b"Hunter2" not in bytes_of(after)


def test_a_secret_given_from_outside_is_known_from_the_start() -> None:
    redactor = Redactor([SECRET])

    assert SECRET.encode() not in bytes_of(redactor.record(part(PICTURE + SECRET.encode())))


def test_common_words_under_a_secret_name_are_not_hunted() -> None:
    redactor = Redactor()
    redactor.record(part(b'{"token": "disabled", "auth": "none"}'))

    later = frame(b'{"type": "x", "data": "disabled or none"}')

    assert redactor.record(later) is later


@pytest.mark.slow
@given(st.lists(st.integers(1, 400), min_size=1, max_size=12), st.sampled_from(sorted(BODIES)))
@example([3], "an object")
def test_a_body_in_pieces_is_redacted_as_a_whole_one(cuts: list[int], name: str) -> None:
    filler = json.dumps({"prompt": {"1": {"class_type": "KSampler", "inputs": {"seed": 1}}}})
    text = (filler + json.dumps(BODIES[name]) + filler).encode()
    redactor, out, at = Redactor(), b"", 0
    for number, cut in enumerate(cuts):
        piece = text[at : at + cut] if number + 1 < len(cuts) else text[at:]
        at += len(piece)
        record = redactor.record(part(piece, last=number + 1 == len(cuts)))
        assert isinstance(record, HttpPart)
        out += record.body

    assert len(out) == len(text)
    assert SECRET[-12:].encode() not in out


def test_a_known_secret_cut_by_the_end_of_a_piece_is_blanked() -> None:
    for cut in range(4, len(SECRET)):
        redactor = Redactor([SECRET])
        first = redactor.record(part(PICTURE + SECRET[:cut].encode(), last=False))
        second = redactor.record(part(SECRET[cut:].encode() + PICTURE))

        whole = bytes_of(first) + bytes_of(second)
        assert SECRET[:cut].encode() not in whole
        assert SECRET[cut:].encode() not in whole or len(SECRET) - cut < 4


def test_frames_of_one_message_are_read_together() -> None:
    redactor = Redactor()
    first = redactor.record(frame(b'{"type": "x", "data": {"api_', b"\x01\x1c"))
    second = redactor.record(frame(b'key": "%s"}}' % SECRET.encode(), b"\x80\x2a"))

    assert SECRET.encode() not in bytes_of(first) + bytes_of(second)


def test_a_deflated_message_in_frames_is_read_frame_by_frame() -> None:
    redactor = Redactor()
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)

    def deflated(text: bytes) -> bytes:
        return (packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]

    first = b'{"type": "hello", "data": "%s"}' % PICTURE.hex().encode()
    second = b'{"type": "hello", "data": {"api_key": "%s"}}' % SECRET.encode()
    whole, cut = deflated(first), deflated(second)
    redactor.record(frame(whole, b"\xc1\x7e\x01\x00", inflated=first))
    pieces = [
        redactor.record(frame(cut[:20], b"\x41\x14")),
        redactor.record(frame(cut[20:-2], b"\x00\x14")),
        redactor.record(frame(cut[-2:], b"\x80\x02", inflated=second)),
    ]

    assert [p.payload for p in pieces if isinstance(p, WsFrame)][1:] == [b"", b""]
    assert SECRET.encode() not in bytes_of(pieces[2])
    window = zlib.decompressobj(-15, zdict=first[-32768:])
    assert SECRET[:8].encode() not in window.decompress(message_of(pieces[0]) or cut[:20])


def test_a_deflated_message_in_frames_without_a_secret_stays() -> None:
    text = b'{"type": "hello", "data": {"value": 1}}'
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    payload = packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH)
    records = [
        frame(payload[:9], b"\x41\x09"),
        frame(payload[9:-4], b"\x80\x09", inflated=text),
    ]
    redactor = Redactor()

    assert [redactor.record(record) for record in records] == records


def png(text: dict[str, str], *, packed: bool) -> bytes:
    info = PngImagePlugin.PngInfo()
    for key, value in text.items():
        info.add_text(key, value, zip=packed)
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


@pytest.mark.parametrize("packed", [False, True])
def test_a_picture_loses_the_keys_of_its_workflow_and_still_opens(packed: bool) -> None:
    prompt = json.dumps({"3": {"inputs": {"api_key": SECRET}}})
    body = png({"prompt": prompt, "other": "stays"}, packed=packed)

    record = Redactor().record(part(body))

    assert isinstance(record, HttpPart)
    assert len(record.body) == len(body)
    assert SECRET.encode() not in record.body
    picture = Image.open(io.BytesIO(record.body))
    picture.load()
    assert picture.size == (8, 8)


def test_forms_lose_their_secret_fields() -> None:
    form = (
        b'--b\r\nContent-Disposition: form-data; name="api_key"\r\n\r\n%s\r\n--b\r\n'
        % SECRET.encode()
    )
    fields = b"user=joe&password=" + SECRET.encode()

    records = [Redactor().record(part(form + PICTURE)), Redactor().record(part(fields))]

    assert SECRET.encode() not in b"".join(map(bytes_of, records))
    assert b"user=joe" in bytes_of(records[1])


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 7, 100, 5000])
@pytest.mark.parametrize("preamble", [b"", b"for old readers\r\n"])
def test_forms_with_files_lose_their_secret_fields_in_pieces_too(
    size: int, preamble: bytes
) -> None:
    form = (
        b'%s--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n%s'
        b'\r\n--b\r\nContent-Disposition: form-data; name="api_key"\r\n\r\n%s\r\n--b--\r\n'
        % (preamble, PICTURE * 4, SECRET.encode())
    )
    redactor = Redactor()
    pieces = [form[at : at + size] for at in range(0, len(form), size)]

    records = [
        redactor.record(HttpPart(n, T, 1, Side.CLIENT, 0, b"", piece, b"", n == len(pieces)))
        for n, piece in enumerate(pieces, 1)
    ]

    after = b"".join(map(message_of, records))
    assert len(after) == len(form)
    assert SECRET.encode() not in after


def test_bytes_that_could_not_be_parsed_lose_their_fields_too() -> None:
    raw = Raw(
        3, T, 1, Side.CLIENT, b"GET / HTTQ\r\nAuthorization: Bearer abcDEF123456\r\n\r\n", "odd"
    )

    after = Redactor().record(raw)

    assert b"abcDEF123456" not in bytes_of(after)


def test_a_session_tells_no_password() -> None:
    session = Session(0, T, upstream=f"http://joe:{SECRET}@h/", about={"argv": ["--token", SECRET]})

    after = Redactor().record(session)

    assert SECRET not in repr(after)
    assert hide_in_url("http://joe:pw@h/?token=abc") == "http://xxxxxx@h/?token=xxx"


@pytest.mark.parametrize("record", ONE_OF_EACH, ids=lambda record: type(record).__name__)
def test_a_record_without_secrets_is_the_very_same(record: AnyRecord) -> None:
    assert Redactor().record(record) is record


@given(st.binary(max_size=300))
@example(b'"key":')
@example(b'{"token": "')
@example(b'\\u005f\'"api_key": [[[')
@example(b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffzTXt")
def test_any_bytes_keep_their_size(data: bytes) -> None:
    redactor = Redactor()
    for record in (part(data), part(head=data), frame(data), Raw(1, T, 1, Side.CLIENT, data)):
        assert len(bytes_of(redactor.record(record))) == len(bytes_of(record))


def test_classes_are_known_or_refused_in_one_sentence() -> None:
    assert check_classes(()) == ("secret",)
    assert check_classes(["content,identity"]) == ("secret", "identity", "content")
    with pytest.raises(UsageError, match="no such class"):
        Redactor(classes=["everything"])
