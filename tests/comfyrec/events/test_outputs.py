"""Which files and texts an output names: one answer for all who ask."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.check.case import Case, Report, Traffic, Truth
from comfyrec.check.invariants import judge
from comfyrec.client.outputs import files as files_of_client
from comfyrec.client.outputs import texts as texts_of_client
from comfyrec.events import ExecutedData, HistoryEntry
from comfyrec.events.outputs import FileEntry, all_files_in, change_files, files_in, texts_in
from fake_server.scenarios import find

A, B = {"filename": "a.png"}, {"filename": "b.mp4", "subfolder": "s", "type": "temp"}
FILE_A, FILE_B = FileEntry("a.png"), FileEntry("b.mp4", "s", "temp")

FILES: dict[str, tuple[Any, list[FileEntry]]] = {
    "a list": ({"images": [A, B]}, [FILE_A, FILE_B]),
    "any key": ({"gifs": [B], "a_node_of_mine": [A]}, [FILE_B, FILE_A]),
    "no list around it": ({"video": A}, [FILE_A]),
    "lists in lists": ({"3d": [[[A]], [B]]}, [FILE_A, FILE_B]),
    "other items beside it": ({"images": [None, True, "a.png", 1, {}, A]}, [FILE_A]),
    "an empty name": ({"images": [{"filename": ""}]}, []),
    "a name that is not a text": ({"images": [{"filename": 3}]}, []),
    "a folder that is not a text": ({"images": [{**A, "subfolder": None, "type": 1}]}, [FILE_A]),
    "an empty type": ({"images": [{**A, "type": ""}]}, [FILE_A]),
    "an object around it": ({"prompt": {"1": {"inputs": A}}}, []),
    "a graph in a list": ({"workflow": [{"1": {"inputs": A}}]}, []),
    "null": (None, []),
    "a list instead of an object": ([A], []),
}  # fmt: skip


@pytest.mark.parametrize("output, files", FILES.values(), ids=FILES)
def test_an_output_names_its_files(output: Any, files: list[FileEntry]) -> None:
    assert list(files_in(output)) == files


def test_an_output_shows_its_texts() -> None:
    output = {"text": ["one", ["two"]], "string": "three", "images": [A], "n": [4, None]}

    assert list(texts_in(output)) == ["one", "two", "three"]


@pytest.mark.slow
def test_a_list_of_any_depth_is_taken_apart() -> None:
    nested: Any = A
    for _ in range(100_000):
        nested = [nested]

    assert list(files_in({"images": nested})) == [FILE_A]


NAMES = st.sampled_from(["", "a.png", "b.mp4", "sub\\c.flac"])
KEYS = st.sampled_from(["images", "filename", "type", "subfolder", "text", "name"])
ENTRIES = st.fixed_dictionaries(
    {"filename": NAMES | st.none()},
    optional={"subfolder": NAMES | st.integers(), "type": NAMES | st.none(), "id": st.text()},
)
JSON = st.recursive(
    ENTRIES | st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
OUTPUTS = st.dictionaries(KEYS, JSON, max_size=4)


def k5(reported: dict[str, Any], true: dict[str, Any]) -> bool | None:
    """What ``check`` says of the outputs that a client reported."""
    case = Case(
        scenario=find("output-kinds"),
        report=Report(outcomes=("success",), at_s=1.0, outputs=reported),
        truth=Truth(ending="success", at_s=0.5, prompt_id="p", outputs=true),
        traffic=Traffic(sockets=1, posts=1),
    )
    return next(verdict.passed for verdict in judge(case) if verdict.invariant == "K5")


@pytest.mark.slow
@given(OUTPUTS)
def test_all_who_ask_for_the_files_get_the_same(output: dict[str, Any]) -> None:
    outputs = {"9": output}
    executed = ExecutedData(node="9", output=output, prompt_id="p")
    entry = msgspec.convert(
        {"prompt": [0, "p", {}, {}, []], "outputs": outputs}, HistoryEntry, strict=False
    )
    found_by_client = [FileEntry(f.filename, f.subfolder, f.type) for f in files_of_client(outputs)]
    changed: list[Any] = []
    change_files(output, lambda file: changed.append(file) or file)  # type: ignore[func-returns-value]

    files = list(files_in(output))
    assert executed.files == entry.files["9"] == list(entry.all_files()) == files
    assert found_by_client == list(all_files_in(outputs)) == files
    assert [FileEntry.of(file) for file in changed] == files
    assert k5({"1": {"all": [msgspec.structs.asdict(file) for file in files]}}, outputs) is True


@pytest.mark.slow
@given(OUTPUTS)
def test_all_who_ask_for_the_texts_get_the_same(output: dict[str, Any]) -> None:
    assert [text.text for text in texts_of_client({"9": output})] == list(texts_in(output))


@pytest.mark.slow
@given(OUTPUTS)
def test_files_that_are_changed_to_themselves_leave_the_output_as_it_was(
    output: dict[str, Any],
) -> None:
    assert change_files(output, lambda file: file) == output


def test_files_are_changed_wherever_they_are_named() -> None:
    output = {"images": [A, 1], "video": B, "3d": [[A]]}

    changed = change_files(output, lambda file: {**file, "filename": "x"})

    x = {**A, "filename": "x"}
    assert changed == {"images": [x, 1], "video": {**B, "filename": "x"}, "3d": [[x]]}
