"""The one reader of requests: targets as aiohttp reads them, header fields, bodies once."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from comfyrec.http import request as module
from comfyrec.http.forms import BadForm
from comfyrec.http.request import NotJson, NotText, Request, loads, loads_or_none, target_of

TARGETS = {
    "/": ("/", False),
    "/prompt": ("/prompt", False),
    "/api/prompt": ("/prompt", True),
    "/%61pi/prompt": ("/prompt", True),
    "/api/api/prompt": ("/api/prompt", True),
    "/api": ("/api", False),
    "/api/": ("/", True),
    "/apiary": ("/apiary", False),
    "//host/prompt": ("//host/prompt", False),
    "/history/a%20b": ("/history/a b", False),
    "/prompt#part": ("/prompt", False),
    "/prompt#part?x=1": ("/prompt", False),
    "http://host:8188/prompt": ("/prompt", False),
    "HTTPS://user@[::1]:1/api/queue?x=1": ("/queue", True),
    "http://host": ("/", False),
    "http://host?x=1": ("/", False),
    "*": ("*", False),
    "host:443": ("host:443", False),
    "": ("", False),
}
# Characters that a target is made of, and some that no client sends.
CHARACTERS = st.sampled_from("/?&=#%:@+;ab\xfc\x00 [") | st.characters(exclude_categories=["Cs"])
QUERIES = st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=4)


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_gives_its_path_and_whether_api_was_in_front(target: str) -> None:
    parts = target_of(target)

    assert (parts.path, parts.prefixed) == TARGETS[target]


@given(st.text(CHARACTERS, max_size=40))
def test_any_text_can_be_taken_apart(target: str) -> None:
    parts = target_of(target)

    assert "?" not in parts.raw_path
    assert "#" not in parts.raw_path + parts.raw_query
    assert sum(len(values) for values in parts.query.values()) == len(parts.pairs)
    assert parts.first_segment == (parts.segments or ("",))[0]


@given(QUERIES)
def test_a_query_is_read_as_aiohttp_reads_it(pairs: list[tuple[str, str]]) -> None:
    written = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)

    parts = target_of(f"/view?{written}")

    theirs = URL.build(path="/view", query_string=written, encoded=True).query
    assert list(parts.pairs) == list(theirs.items())
    assert {name: list(values) for name, values in parts.query.items()} == {
        name: theirs.getall(name) for name in theirs
    }


def test_of_several_values_the_first_is_taken_as_comfyui_does() -> None:
    request = Request("GET", "/ws?clientId=one&clientId=two")

    assert (request.first("clientId"), request.client_id) == ("one", "one")
    assert request.query == {"clientId": ("one", "two")}
    assert (request.first("other"), Request("GET", "/ws?clientId=").client_id) == (None, "")


def test_an_encoded_slash_belongs_to_its_segment() -> None:
    parts = target_of("/userdata/a%2Fb.json")

    assert parts.segments == ("userdata", "a/b.json")


def test_a_request_below_a_prefix_is_that_of_a_server_there() -> None:
    request = Request("GET", "http://host/comfy/api/view?filename=a#top")

    below, outside = request.below("/comfy/"), request.below("/com")

    assert below is not None
    assert (below.target, below.path, below.prefixed) == ("/api/view?filename=a", "/view", True)
    assert outside is None


@given(QUERIES)
def test_values_of_a_query_are_put_in_and_taken_out(pairs: list[tuple[str, str]]) -> None:
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
    request = Request("GET", f"/view?{query}")

    changed = request.with_query(filename="a b&c", subfolder=None)

    kept = [pair for pair in pairs if pair[0] not in ("filename", "subfolder")]
    assert changed.parts.pairs == (*kept, ("filename", "a b&c"))


def test_a_header_field_is_found_in_any_case_and_the_first_counts() -> None:
    headers = (("X-One", "1"), ("x-one", "2"), ("Host", "h"))

    request = Request("GET", "/", headers)

    assert (request.header("x-ONE"), request.header("host")) == ("1", "h")
    assert (request.header("other"), request.header("other", "d")) == ("", "d")
    assert request.fields == {"x-one": "1", "host": "h"}


def test_a_body_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def counting(text: str) -> object:
        parsed.append(text)
        return json.loads(text)

    monkeypatch.setattr(module, "loads", counting)
    request = Request("POST", "/prompt", body=b'{"prompt": {}}')

    values = [request.json, request.read_json(), request.json]

    assert parsed == ['{"prompt": {}}']
    assert all(value is values[0] for value in values)


LATIN = (("Content-Type", 'application/json; charset="latin-1"'),)
NOBODYS = (("Content-Type", "application/json; charset=no-such"),)
DEEP = b"[" * 2_000 + b"]" * 2_000


def test_a_body_is_read_in_the_charset_of_its_type() -> None:
    request = Request("POST", "/", LATIN, '"ü"'.encode("latin-1"))

    assert (request.text(), request.json) == ('"ü"', "ü")


@pytest.mark.parametrize(
    "headers, body, error",
    [
        ((), b"\xff", NotText),
        (NOBODYS, b"{}", NotText),
        ((), b"{", NotJson),
        ((), b"", NotJson),
        ((), DEEP, RecursionError),
    ],
    ids=["not UTF-8", "a charset nobody knows", "torn", "empty", "too deep"],
)
def test_a_body_that_is_not_json_says_why_each_time(
    headers: tuple[tuple[str, str], ...], body: bytes, error: type[Exception]
) -> None:
    request = Request("POST", "/", headers, body)

    with pytest.raises(error):
        request.read_json()
    with pytest.raises(error):
        request.read_json()
    assert request.json is None


def test_a_body_deeper_than_anyone_follows_is_read_only_by_who_asks_for_it() -> None:
    body = b"[" * 200 + b"]" * 200
    request = Request("POST", "/", body=body)

    assert request.json is None
    assert request.read_json() == json.loads(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.slow
@given(json_values)
def test_json_is_read_as_python_reads_it(value: object) -> None:
    text = json.dumps(value)

    assert loads(text) == loads(text.encode()) == loads_or_none(text) == json.loads(text)


@given(st.text(max_size=20) | st.binary(max_size=20))
def test_what_is_not_json_is_none(text: str | bytes) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        expected = None

    found = loads_or_none(text)

    assert found == expected or found != found  # NaN


def test_a_form_is_taken_apart_once() -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="type"\r\n\r\ninput\r\n--b--\r\n'
    request = Request("POST", "/", (("Content-Type", "multipart/form-data; boundary=b"),), head)

    fields = request.form()

    assert [(field.name, field.value) for field in fields] == [("type", b"input")]
    assert request.form() is fields


def test_a_form_that_is_not_one_says_so_each_time() -> None:
    request = Request("POST", "/", (("Content-Type", "multipart/form-data; boundary=b"),), b"no")

    with pytest.raises(BadForm):
        request.form()
    with pytest.raises(BadForm):
        request.form()


def test_a_changed_copy_reads_its_own_body() -> None:
    request = Request("POST", "/prompt", body=b"[1]")
    assert request.json == [1]

    changed = request.with_target("/queue")

    assert (changed.path, changed.json, changed.json is request.json) == ("/queue", [1], False)


ORIGINS = {
    "plain": ({"Host": "box:8188"}, False, "http://box:8188"),
    "TLS": ({"Host": "box:8188"}, True, "https://box:8188"),
    "TLS at a proxy": (
        {"Host": "box", "X-Forwarded-Proto": "https"}, False, "https://box",
    ),
    "a proxy's own name": (
        {"Host": "10.0.0.1:8188", "X-Forwarded-Proto": "https, http", "X-Forwarded-Host": "gpu.me"},
        False,
        "https://gpu.me",
    ),
    "plain outside, TLS inside": ({"Host": "box", "X-Forwarded-Proto": "http"}, True, "http://box"),
    "no host": ({}, False, "http://127.0.0.1"),
}  # fmt: skip


@pytest.mark.parametrize("fields, secure, origin", ORIGINS.values(), ids=ORIGINS)
def test_links_begin_as_the_client_knows_the_server(
    fields: dict[str, str], secure: bool, origin: str
) -> None:
    assert Request("GET", "/", tuple(fields.items()), secure=secure).origin == origin
