"""What is known from earlier prompts, and when it is forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from fake_server.storage.pictures import picture
from tests.support.engine_bench import Rig, node


def chain(color: int, prefix: str = "p", **more: Any) -> dict[str, Any]:
    return {
        "1": node("Make", color=color),
        "2": node("Pass", image=["1", 0]),
        "3": node("SaveImage", images=["2", 0], filename_prefix=prefix),
        **more,
    }


A, B = chain(1), chain(2, "q")
BOTH = {"1": node("Make", color=1), "2": node("Both", image1=["1", 0], image2=["1", 0])}


def cached(rig: Rig, *prompts: Any) -> list[str]:
    """What each prompt finds in the cache, in short."""
    rig.connect("A")
    rig.told()
    for prompt in prompts:
        rig.queue(prompt)
        rig.finish()
    told = [one for one in rig.told() if one.startswith("cached")]
    return [one.removeprefix("cached").strip() for one in told]


ALL = "1 2 3"
RENAMED = {
    "31": A["1"],
    "32": node("Pass", image=["31", 0]),
    "9": {**A["3"], "inputs": {"images": ["32", 0], "filename_prefix": "p"}},
}
RUNS: dict[str, tuple[str, list[Any], list[str]]] = {
    "ram: unrelated prompt between": ("ram", [A, B, A], ["", "", ""]),
    "ram: the same again": ("ram", [A, A, A], ["", ALL, ALL]),
    "classic: unrelated prompt between": ("classic", [A, B, A, A], ["", "", "", ALL]),
    "lru: what fits is kept": ("lru", [A, A, B, A], ["", ALL, "", ALL]),
    "none: nothing ever": ("none", [A, A], ["", ""]),
    "the last node changed": ("ram", [A, chain(1, "z")], ["", "1 2"]),
    "the first node changed": ("ram", [A, chain(5)], ["", ""]),
    "other ids": ("ram", [A, RENAMED], ["", "31 32 9"]),
    "titles do not count": (
        "ram",
        [A, {key: {**value, "_meta": {"title": key}} for key, value in A.items()}],
        ["", ALL],
    ),
}


@pytest.mark.parametrize("mode, prompts, found", RUNS.values(), ids=RUNS)
def test_what_is_cached(mode: str, prompts: list[Any], found: list[str]) -> None:
    assert cached(Rig(cache=mode, lru_size=6), *prompts) == found


def test_lru_pushes_out_the_oldest_prompts() -> None:
    rig = Rig(cache="lru", lru_size=3)

    assert cached(rig, A, A, B, A) == ["", ALL, "", ALL]
    assert cached(rig, B, chain(3), B) == ["", "", ALL]
    assert cached(rig, A) == [""]


def test_ram_keeps_everything_while_no_node_completes() -> None:
    # A, then B whose first node fails, then A: nothing completed, so A is still there (section 5).
    failing = {
        "1": node("Pass", image=["0", 0]),
        "0": node("Make", color=9),
        "bad": node("Sink", image=["1", 0]),
    }
    rig = Rig({"0": {"raise": "no"}})

    assert cached(rig, A, failing, A) == ["", "", ALL]


def test_ram_forgets_as_soon_as_a_node_of_another_prompt_completes() -> None:
    failing = {"0": node("Make", color=9), "bad": node("Sink", image=["0", 0])}
    rig = Rig({"bad": {"raise": "no"}})

    assert cached(rig, A, failing, A) == ["", "", ""]


@pytest.mark.parametrize("version, found", [("0.27.0", ""), ("0.8.2", "")])
def test_the_default_cache_of_every_version_forgets_other_prompts(version: str, found: str) -> None:
    assert cached(Rig(version=version), A, B, A)[-1] == found


def test_a_cached_output_writes_no_new_file() -> None:
    rig = Rig()

    cached(rig, A, A)

    assert rig.folders.names("output") == ["p_00001_.png"]


def test_two_nodes_that_are_the_same_are_worked_out_once() -> None:
    rig = Rig()
    rig.connect("A")
    rig.told()

    rig.queue(
        {
            "1": node("Make", color=1),
            "2": node("Make", color=1),
            "3": node("Both", image1=["1", 0], image2=["2", 0]),
            "4": node("Sink", image=["3", 0]),
        }
    )

    told = rig.told()
    assert "run 1" in told or "run 2" in told
    assert ("run 1" in told) != ("run 2" in told)
    # The other one is found in the cache when its turn comes, which looks like a cached output.
    assert "executed 2" in told or "executed 1" in told


def test_sharing_an_ancestor_is_not_the_same_as_having_two_alike() -> None:
    two = {
        "1": node("Make", color=1),
        "2": node("Pass", image=["1", 0]),
        "3": node("Both", image1=["1", 0], image2=["1", 0]),
        "4": node("Sink", image=["3", 0]),
    }
    other = {**two, "5": node("Make", color=1), "3": node("Both", image1=["1", 0], image2=["5", 0])}

    assert cached(Rig(), two, other) == ["", "1 5"]


def test_a_class_that_asks_for_its_id_is_not_found_under_another() -> None:
    def prompt(node_id: str) -> dict[str, Any]:
        return {
            "1": node("Make", color=1),
            node_id: node("Own", image=["1", 0]),
            "9": node("Sink", image=[node_id, 0]),
        }

    assert cached(Rig(), prompt("2"), prompt("3"), prompt("3")) == ["", "1", "1 3 9"]


def test_an_uncached_node_and_all_behind_it_run_again() -> None:
    assert cached(Rig({"2": {"uncached": True}}), A, A) == ["", "1"]


def test_load_image_knows_its_file_by_content() -> None:
    rig = Rig()
    prompt = {"1": node("LoadImage", image="a.png"), "2": node("PreviewImage", images=["1", 0])}
    rig.folders.write("input", "", "a.png", picture(width=4, height=4, seed=1), 0)

    same = cached(rig, prompt, prompt)
    rig.folders.write("input", "", "a.png", picture(width=4, height=4, seed=2), 0)

    assert same == ["", "1 2"]
    assert cached(rig, prompt) == [""]


def test_free_memory_empties_the_cache_and_unload_models_does_not() -> None:
    rig = Rig()
    rig.connect("A")

    cached(rig, A)
    rig.ask("POST", "/free", {"unload_models": True})
    kept = cached(rig, A)
    rig.ask("POST", "/free", {"free_memory": True})

    assert kept == [ALL]
    assert cached(rig, A) == [""]


def test_letters_of_temporary_files_live_as_long_as_the_node() -> None:
    rig = Rig()
    shots = [
        {"1": node("Make", color=n), "2": node("PreviewImage", images=["1", 0])} for n in range(3)
    ]

    cached(rig, shots[0], shots[1])
    first = rig.folders.names("temp")
    cached(rig, A, shots[2])

    letters = {name.split("_")[2] for name in first}
    assert len(first) == 2
    assert len(letters) == 1
    assert len({name.split("_")[2] for name in rig.folders.names("temp")}) == 2


def test_expanded_nodes_are_found_again_when_only_the_outer_node_is_new() -> None:
    graph = {"1": node("Make", color=7), "2": node("Pass", image=["1", 0])}
    rig = Rig({"2": {"expand": {"graph": graph, "result": [["2", 0]]}}}, cache="classic")
    rig.connect("A")
    rig.queue(chain(1))
    rig.told()

    rig.queue(chain(2))

    # The nodes inside depend on nothing that changed.
    assert [one for one in rig.told() if one.startswith("run")] == ["run 1", "run 2", "run 3"]


def test_only_links_inside_the_prompt_are_followed() -> None:
    rig = Rig()

    found = cached(rig, {**A, "7": node("Pass", image=["nowhere", 0]), "8": {"class_type": "Pass"}})

    assert found == [""]
    assert rig.engine.history


def test_partial_targets_run_one_output_and_know_the_other_from_before() -> None:
    prompt = {**A, "4": node("PreviewImage", images=["1", 0])}
    rig = Rig()
    rig.connect("A")
    rig.told()

    rig.queue(prompt, partial_execution_targets=["3"])
    first = rig.told()
    rig.queue(prompt, partial_execution_targets=["4"])
    second = rig.told()

    assert "run 4" not in first
    assert "cached 1 2 3" in second
    assert "executed 3" not in second
    assert (
        rig.refuse(prompt, partial_execution_targets=["1"])["error"]["type"] == "prompt_no_outputs"
    )
    assert rig.refuse(prompt, partial_execution_targets=[])["error"]["type"] == "prompt_no_outputs"


def test_a_hundred_failing_prompts_leave_nothing_behind() -> None:
    rig = Rig({"1": {"raise": "no"}})

    cached(rig, *[chain(n) for n in range(100)])

    assert len(rig.engine.worker.cache._used) <= 3  # type: ignore[attr-defined]  # the bound is inside
