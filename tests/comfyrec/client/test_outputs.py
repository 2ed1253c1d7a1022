"""Outputs of every kind, and names for them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.client.outputs import OutputFile, Pattern, files, texts, to_save
from comfyrec.errors import UsageError

EVERYTHING: dict[str, Any] = {
    "9": {
        "images": [{"filename": "a.png", "subfolder": "s", "type": "output"}, None, True, "b", {}],
        "animated": [True],
    },
    "10": {"gifs": [{"filename": "b.mp4", "format": "video/h264-mp4", "type": "temp"}]},
    "11": {"audio": [{"filename": "c.flac", "subfolder": None, "type": "output"}]},
    "12": {"text": ["hello", "you"], "string": "alone"},
    "13": {"3d": [[{"filename": "d.glb", "type": "output"}]], "one": {"filename": "e.bin"}},
    "14": None,
    "15": {"images": None, "n": 3},
}


def test_files_of_every_kind_are_found_and_everything_else_passed_over():
    found = [(f.node_id, f.kind, f.filename, f.type) for f in files(EVERYTHING)]

    assert found == [
        ("9", "images", "a.png", "output"),
        ("10", "gifs", "b.mp4", "temp"),
        ("11", "audio", "c.flac", "output"),
        ("13", "3d", "d.glb", "output"),
        ("13", "one", "e.bin", "output"),
    ]


def test_texts_of_every_kind_are_found():
    assert [t.text for t in texts(EVERYTHING)] == ["b", "hello", "you", "alone"]


def test_previews_are_saved_only_when_there_is_nothing_else():
    assert "b.mp4" not in [f.filename for f in to_save(EVERYTHING)]
    assert [f.filename for f in to_save({"10": EVERYTHING["10"]})] == ["b.mp4"]


KEYS = st.sampled_from(["images", "filename", "type", "subfolder", "text", "9"])


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(KEYS, JSON, max_size=3))
def test_any_outputs_are_walked_without_an_error(outputs: dict[str, Any]):
    assert all(f.filename for f in files(outputs))
    assert all(isinstance(t.text, str) for t in texts(outputs))


NAMES = {
    "hashes": ("frame.###.png", 0, 7, ".png", "frame.007.png"),
    "one hash": ("#.png", 0, 12, ".png", "12.png"),
    "printf": ("shot_%04d.png", 0, 3, ".png", "shot_0003.png"),
    "printf without width": ("%d.png", 0, 3, ".png", "3.png"),
    "printf with blanks": ("%3d.png", 0, 3, ".png", "  3.png"),
    "an offset": ("frame.###.png", 100, 7, ".png", "frame.107.png"),
    "more digits than hashes": ("#.png", 0, 1234, ".png", "1234.png"),
    "two counters": ("#_##.png", 0, 5, ".png", "5_05.png"),
    "a video keeps its own suffix": ("frame.###.png", 0, 1, ".mp4", "frame.001.mp4"),
    "jpg is jpeg": ("###.jpg", 0, 1, ".jpeg", "001.jpg"),
    "a pattern without a suffix gets one": ("out_###", 0, 1, ".png", "out_001.png"),
    "a counter behind a dot is no suffix": ("out.###", 0, 1, ".png", "out.001.png"),
    "a file without a suffix": ("###.png", 0, 1, "", "001.png"),
    "an absurd width": ("%0999999999d.png", 0, 1, ".png", f"{1:064d}.png"),
}


@pytest.mark.parametrize(("text", "offset", "index", "suffix", "name"), NAMES.values(), ids=NAMES)
def test_a_pattern_names_files(text: str, offset: int, index: int, suffix: str, name: str):
    assert Pattern.parse(text, offset=offset).name(index, suffix) == name


@pytest.mark.parametrize(
    ("text", "offset", "word"),
    {
        "no counter": ("frame.png", 0, "no counter"),
        "a folder": ("a/###.png", 0, "without a folder"),
        "a folder up": ("..\\###.png", 0, "without a folder"),
        "nothing": ("", 0, "without a folder"),
        "a negative offset": ("###", -1, "--index-offset"),
    }.values(),
    ids=str,
)
def test_a_pattern_that_cannot_be_used_is_refused(text: str, offset: int, word: str):
    with pytest.raises(UsageError, match=word):
        Pattern.parse(text, offset=offset)


@pytest.mark.parametrize(
    ("filename", "suffix"),
    [("a.png", ".png"), ("a.tar.gz", ".gz"), ("a", ""), (".hidden", ""), ("a.b/c", ""), ("a.", "")],
)
def test_a_suffix_is_a_short_word_behind_the_last_dot(filename: str, suffix: str):
    assert OutputFile(filename, "", "output", "1", "images").suffix == suffix


@pytest.mark.parametrize(
    "pattern, name, number",
    [
        ("frame.###.png", "frame.012.png", 12),
        ("frame.###.png", "frame.1234.webp", 1234),
        ("frame.###.png", "frame.png", None),
        ("frame.###.png", "other.012.png", None),
        ("shot_%04d", "shot_0007.mp4", 7),
        ("%d_end.png", "41_end.png", 41),
        ("%d_end.png", "41.png", None),
    ],
)
def test_a_file_of_a_pattern_is_known_by_its_number(
    pattern: str, name: str, number: int | None
) -> None:
    assert Pattern.parse(pattern).number_of(name) == number
