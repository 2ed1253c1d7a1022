"""Whatever is asked of v2: a status and a body that the document has, and never a 5xx."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_server.surfaces.v2.surface import ROUTES
from tests.support.v2_client import OPERATIONS, PICTURE, V2Client, check_answer, v2_source

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["workflow", "extra_data", "metadata", "hash", "file_path", "expires_in", "webhook_url", "tags"]
)
BODIES = st.one_of(
    st.binary(max_size=40),
    JSON,
    st.dictionaries(NAMES, JSON, max_size=4),
    st.just({"workflow": PICTURE}),
    st.builds(lambda node, inputs: {"workflow": {"1": {"class_type": node, "inputs": inputs}}},
              st.sampled_from(["SaveImage", "PreviewAny", ""]), JSON),
)  # fmt: skip
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Idempotency_Key": st.text(st.characters(codec="latin-1"), max_size=5),
        "Range": st.sampled_from(["bytes=0-1", "bytes=9-1", "bytes=-", "x", "bytes=99999-"]),
        "Content_Type": st.sampled_from(
            ["application/json", "multipart/form-data; boundary=x", "multipart/form-data", "odd"]
        ),
    },
)
IDS = st.one_of(st.none(), st.text(min_size=1, max_size=8).filter(lambda text: "/" not in text))
QUERIES = st.sampled_from(
    ["", "?limit=1", "?limit=x", "?cursor=", "?metadata%5Ba%5D=1", "?status="]
)


def test_every_operation_of_the_document_has_its_route() -> None:
    assert {name for _, _, name in ROUTES} == set(OPERATIONS)


@pytest.mark.slow
@given(data=st.data(), route=st.sampled_from(ROUTES), body=BODIES, headers=HEADERS, query=QUERIES)
def test_nothing_that_is_asked_leads_outside_the_document(
    data: st.DataObject, route: tuple[str, str, str], body: Any, headers: dict[str, str], query: str
) -> None:
    method, path, operation = route
    client = V2Client(v2_source())
    known = {"jobs": client.submit(), "assets": ""}
    known["assets"] = client.job(known["jobs"]).outputs[0].id
    id = data.draw(IDS)
    quoted = quote(id, safe="") if id is not None else known[path.split("/")[1]]
    target = path.replace("{id}", quoted).replace("{hash}", quoted)

    answer = client.ask(method, f"{target}{query}", body, **headers)

    assert answer.status < 500
    check_answer(operation, answer)
