"""What a value tells, by name, place and form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from comfyrec.cassette.redact.pseudonyms.json_values import Mode, values_in
from comfyrec.cassette.redact.pseudonyms.known_values import edited
from comfyrec.cassette.redact.pseudonyms.standins import StandIns
from comfyrec.cassette.redact.pseudonyms.substitutes import Substitutes
from comfyrec.cassette.redact.pseudonyms.telling import KINDS, kind_of, kind_of_input, told_form

HARMLESS: dict[str, Any] = {
    "choices": {"inputs": {"sampler_name": "euler", "scheduler": "karras", "upscale": "lanczos"}},
    "links": {"inputs": {"images": ["9", 0], "text": ["node-7", 1]}},
    "default prefix": {"filename": "ComfyUI_00001_.png", "subfolder": "", "type": "output"},
    "default preview": {"filename": "ComfyUI_temp_abcde_00001_.png", "type": "temp"},
    "states": {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}}},
    "classes": {"class_type": "KSampler", "node_type": "SaveImage"},
    "slots": {"nodes": [{"inputs": [{"name": "clip", "type": "CLIP", "link": 1}]}]},
    "node": {"workflow": {"nodes": [{"type": "Note", "mode": 0, "properties": {
        "Node name for S&R": "Note"}}], "links": [[1, 4, 0, 5, 0, "MODEL"]]}},
    "described class": {"input": {"required": {"text": ["STRING", {"multiline": True}]}},
                        "output": ["IMAGE"], "description": "Draws a text", "name": "X"},
    "loopback": {"upstream": "http://127.0.0.1:8188", "host": "localhost"},
    "numbers": {"text": "12", "image": "", "prompt": None},
    "words of a node": {"text_encoder_type": "t5", "image_format": "png"},
    "ids of nodes": {"node": "3", "display_node": "3", "nodes": ["3", "7:2"]},
}  # fmt: skip


@pytest.mark.parametrize("value", HARMLESS.values(), ids=HARMLESS)
def test_what_tells_nothing_stays(value: Any) -> None:
    data = json.dumps(value).encode()

    assert edited(data, Substitutes(KINDS).edits(data)) == data


@pytest.mark.slow
@example("seed", "0\xa00")
@given(
    st.sampled_from(["text", "seed", "image", "mode", "zz", "filename_prefix", "url"]),
    st.one_of(
        st.text(max_size=40),
        st.from_regex(r"[A-Za-z0-9]{6,24}", fullmatch=True),
        st.from_regex(r"https?://[a-z]{3,9}/[a-z]{1,9}", fullmatch=True),
    ),
)
def test_what_a_replay_compares_is_the_same_for_a_stand_in(name: str, value: str) -> None:
    substitutes = Substitutes(KINDS)
    new = substitutes.text(kind_of_input(name, value), value)

    assert told_form(name, new) == told_form(name, value)


@pytest.mark.slow
@example("A:\x1f")
@example({"m": "A:\nbc\tde"})
@given(st.recursive(
    st.none() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["text", "a", "images", "inputs", "client_id"]), inner),
    max_leaves=12,
))  # fmt: skip
def test_json_stays_json_of_the_same_size(value: Any) -> None:
    for data in (json.dumps(value).encode(), json.dumps(value, ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )):  # fmt: skip
        new = edited(data, Substitutes(KINDS).edits(data))

        assert len(new) == len(data)
        read = json.loads(new.decode("utf-8", "surrogatepass"))
        assert type(read) is type(value)


def test_values_have_the_names_around_them() -> None:
    data = b'{"a": {"inputs": {"x": "1"}}, "l": ["p", {"q": "r"}, "s"], "n": "cut'

    found = [(v.name, v.mode, data[v.start : v.stop]) for v in values_in(data) if not v.is_key]

    assert found == [
        ("x", Mode.INPUTS, b"1"),
        ("l", Mode.PLAIN, b"p"),
        ("q", Mode.PLAIN, b"r"),
        ("l", Mode.PLAIN, b"s"),
        ("n", Mode.PLAIN, b"cut"),
    ]


def test_every_kind_belongs_to_a_class_and_has_a_use() -> None:
    assert set(KINDS.values()) == {"identity", "content"}
    data = b'{"text": "a velvet otter"}'
    (value,) = (v for v in values_in(data) if not v.is_key)
    assert kind_of(value, "a velvet otter") == "text"
    assert StandIns().of("a velvet otter", "text") == "a xxxxxx xxxxx"
